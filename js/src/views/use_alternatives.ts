import { useEffect, useRef, useState } from "preact/hooks";
import { bitsOf } from "../format";
import { useStore, useViewer } from "../hooks";
import type { Alternatives } from "../protocol";
import type { Store } from "../store";
import { nameOf } from "../text";
import type { Page } from "../viewer";

const PAGE = 50;
const TYPING_PAUSE_MS = 150;

/** A token that might have stood in a place. */
export interface Alternative {
  rank: number;
  id: number;
  p: number;
  bits: number;
}

/** What the kernel was asked for, and told. */
interface Loaded {
  search: string;
  /** How many of all come before the first item. */
  offset: number;
  items: Alternative[];
  total: number;
  entropy: number;
}

/** The alternatives of one place: those that the table holds, and those that the kernel was asked for. */
export function useAlternatives(place: number, parent: number | null) {
  const viewer = useViewer();
  const { store } = viewer;
  const row = useStore((store) => rowWithTop(store, place, parent));
  const readOnly = useStore((store) => store.readOnly !== null);
  const [search, setSearch] = useState("");
  const [loaded, setLoaded] = useState<Loaded | null>(null);
  const [asking, setAsking] = useState<"no" | "waiting" | "failed">("no");
  const current = useRef<AbortController | null>(null);

  const stored = row === null ? [] : storedTop(store, row);
  const told = loaded?.search === search ? loaded : null;
  const found = search === "" ? stored : stored.filter(({ id }) => matches(store, id, search));
  const items = told === null ? found : search === "" ? joined(stored, told) : told.items;
  // Equal tokens share a rank, so what comes next is counted.
  const next = Math.max(search === "" ? stored.length : 0, told === null ? 0 : endOf(told));
  const total = told?.total ?? store.state.model.vocabulary_size;

  function cancel(): void {
    current.current?.abort();
    current.current = null;
    setAsking("no");
  }

  function load(offset: number): void {
    if (parent === null || readOnly) return;
    cancel();
    const controller = new AbortController();
    current.current = controller;
    setAsking("waiting");
    const query = { parent, offset, count: PAGE, ...(search === "" ? {} : { search }) };
    void viewer.distribution(query, controller.signal).then((page) => {
      if (controller.signal.aborted) return;
      setAsking(page === null ? "failed" : "no");
      if (page !== null) setLoaded((before) => extended(before, search, offset, page));
    });
  }

  // What the table does not hold is asked for at once, what is searched for when typing pauses.
  const nothingStored = stored.length === 0;
  useEffect(() => {
    cancel();
    if (search === "" && !nothingStored) return;
    const timer = setTimeout(() => load(0), search === "" ? 0 : TYPING_PAUSE_MS);
    return () => {
      clearTimeout(timer);
      current.current?.abort();
    };
  }, [search, nothingStored, readOnly]);
  useEffect(() => () => current.current?.abort(), []);

  return {
    items,
    search,
    setSearch,
    asking,
    readOnly,
    /** How many the table holds. */
    held: stored.length,
    /** How many of all are listed, from the first on. */
    next,
    /** How many there are altogether; for a search that is known when the kernel has answered. */
    total,
    answered: search === "" ? items.length > 0 : told !== null,
    entropy: row === null ? (loaded?.entropy ?? Number.NaN) : store.table.value("entropy", row),
    more: readOnly || next >= total ? null : () => load(next),
  };
}

/** A row whose token was drawn in this place, and which keeps the top of the distribution there. */
function rowWithTop(store: Store, place: number, parent: number | null): number | null {
  const row = store.path[place];
  const rows = parent === null ? [] : store.tree.children(parent);
  for (const candidate of row === undefined ? rows : [row, ...rows]) {
    if ((store.table.values("top_ids", candidate)[0] ?? -1) >= 0) return candidate;
  }
  return null;
}

function storedTop({ table }: Store, row: number): Alternative[] {
  const logProbs = table.values("top_log_probs", row);
  const items: Alternative[] = [];
  let rank = 1;
  for (const [index, id] of table.values("top_ids", row).entries()) {
    if (id < 0) break;
    // Tokens that tie share the better rank.
    if (logProbs[index] !== logProbs[index - 1]) rank = index + 1;
    items.push(alternative(rank, id, logProbs[index] ?? Number.NaN));
  }
  return items;
}

/** What the table holds, and of what the kernel told only what comes after that. */
function joined(stored: readonly Alternative[], told: Loaded): Alternative[] {
  const ids = new Set(stored.map(({ id }) => id));
  const rest = told.items.slice(Math.max(0, stored.length - told.offset));
  // Computed at different times, two that are almost alike may stand in another order.
  return [...stored, ...rest.filter(({ id }) => !ids.has(id))];
}

function endOf({ offset, items }: Loaded): number {
  return offset + items.length;
}

function extended(before: Loaded | null, search: string, offset: number, page: Page): Loaded {
  const { total, entropy } = page;
  const goesOn = before?.search === search && endOf(before) === offset;
  const items = goesOn ? [...before.items, ...listed(page)] : listed(page);
  return { search, offset: goesOn ? before.offset : offset, items, total, entropy };
}

function listed({ ranks, ids, log_probs }: Alternatives): Alternative[] {
  return Array.from(ids, (id, index) =>
    alternative(ranks[index] ?? 0, id, log_probs[index] ?? Number.NaN),
  );
}

function alternative(rank: number, id: number, logProb: number): Alternative {
  return { rank, id, p: Math.exp(logProb), bits: bitsOf(logProb) };
}

function matches({ table }: Store, id: number, search: string): boolean {
  const bytes = table.tokens.get(id);
  return bytes !== undefined && nameOf(bytes).toLowerCase().includes(search.toLowerCase());
}
