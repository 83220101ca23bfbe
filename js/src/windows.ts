import { bitsOf } from "./format";
import type { DistributionName } from "./protocol";
import type { Page, Viewer } from "./viewer";

/** How many rows are asked for together. */
export const WINDOW = 100;

const MOST_HELD = 20;

/** A token that might have stood in a place, with its probability in each distribution there is. */
export interface Alternative extends Partial<Record<DistributionName, number>> {
  /** By `p`; 1 is the most probable. */
  rank: number;
  id: number;
  p: number;
  /** Surprisal, of `p`. */
  bits: number;
  /** Probability of all up to and with this one, in the order of the list. */
  mass: number;
}

/** What a list of alternatives is about: the place, and which of its tokens in which order. */
export interface Subject {
  parent: number;
  search: string;
  order: DistributionName;
}

interface Held {
  page: Page;
  row: number | null;
}

interface Asked {
  row: number | null;
  needed: boolean;
  request: AbortController;
}

/** Rows of a distribution of any length, read when they come in sight. */
export class Windows {
  /** The token that stands in the place: its program made `q` and `s`. */
  row: number | null = null;
  readonly #viewer: Viewer;
  readonly #subject: Subject;
  readonly #changed: () => void;
  readonly #held = new Map<number, Held>();
  readonly #asked = new Map<number, Asked>();
  /** Where the windows start that could not be read. */
  readonly #failed = new Set<number>();
  #newest: Held | null = null;
  #wanted: [number, number, boolean] = [0, 1, true];

  constructor(viewer: Viewer, subject: Subject, changed: () => void) {
    this.#viewer = viewer;
    this.#subject = subject;
    this.#changed = changed;
  }

  /** What was said of the whole, for the token that stands there; null before the first answer. */
  get facts(): Page | null {
    return this.#newest?.row === this.row ? this.#newest.page : null;
  }

  /** How many rows there are, once that is known: whatever token stands in the place. */
  get total(): number | null {
    return this.#newest?.page.total ?? null;
  }

  get failed(): boolean {
    return this.#failed.size > 0;
  }

  get waiting(): boolean {
    return this.#asked.size > 0;
  }

  /** Whether something was asked for that the page has nothing to show instead of. */
  get lacking(): boolean {
    return [...this.#asked.values()].some(({ needed }) => needed);
  }

  at(index: number): Alternative | undefined {
    const first = index - (index % WINDOW);
    const held = this.#held.get(first);
    if (held === undefined || index - first >= held.page.ids.length) return undefined;
    return alternativeAt(held.page, index - first, held.row === this.row);
  }

  /** Read the rows `first .. last` that are missing, and give up what was asked for and is out of sight. */
  want(first: number, last: number, needed: boolean): void {
    this.#wanted = [first, last, needed];
    const end = Math.min(last, this.total ?? last);
    const isWanted = (start: number) => start < end && start + WINDOW > first;
    for (const start of this.#failed) if (!isWanted(start)) this.#failed.delete(start);
    for (const [start, { row, request }] of this.#asked) {
      if (isWanted(start) && row === this.row) continue;
      request.abort();
      this.#asked.delete(start);
    }
    for (let start = first - (first % WINDOW); start < Math.max(end, 1); start += WINDOW) {
      const held = this.#held.get(start);
      if (held !== undefined) {
        // The newest are the last to be let go of.
        this.#held.delete(start);
        this.#held.set(start, held);
      }
      if (held?.row !== this.row && !this.#asked.has(start)) this.#ask(start, needed);
    }
  }

  /** Ask again for what was wanted last. */
  retry(): void {
    this.#failed.clear();
    this.want(...this.#wanted);
  }

  cancel(): void {
    for (const { request } of this.#asked.values()) request.abort();
    this.#asked.clear();
  }

  #ask(start: number, needed: boolean): void {
    const { row } = this;
    const { parent, search, order } = this.#subject;
    const request = new AbortController();
    this.#asked.set(start, { row, needed, request });
    this.#failed.delete(start);
    const query = {
      parent,
      offset: start,
      count: WINDOW,
      ...(row === null ? {} : { row }),
      ...(search === "" ? {} : { search }),
      ...(order === "p" ? {} : { order }),
    };
    this.#changed();
    void this.#viewer.distribution(query, request.signal, needed).then((page) => {
      if (request.signal.aborted) return;
      this.#asked.delete(start);
      if (page === null) this.#failed.add(start);
      else this.#hold(start, { page, row });
      this.#changed();
    });
  }

  #hold(start: number, held: Held): void {
    this.#newest = held;
    this.#held.delete(start);
    this.#held.set(start, held);
    for (const oldest of this.#held.keys()) {
      if (this.#held.size <= MOST_HELD) break;
      this.#held.delete(oldest);
    }
  }
}

function alternativeAt(page: Page, index: number, whole: boolean): Alternative {
  const { ranks, ids, masses, log_probs } = page;
  const logProb = (name: DistributionName) => log_probs[name]?.[index] ?? Number.NaN;
  const found: Alternative = {
    rank: ranks[index] ?? 0,
    id: ids[index] ?? 0,
    p: Math.exp(logProb("p")),
    bits: bitsOf(logProb("p")),
    mass: masses[index] ?? Number.NaN,
  };
  // Those of another token's program say nothing of this one.
  for (const name of whole ? page.distributions : []) found[name] = Math.exp(logProb(name));
  return found;
}
