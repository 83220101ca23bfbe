import { Labels } from "./labels";
import type { Notice, Rows, Slice, State } from "./protocol";
import { Table } from "./table";
import { Tree } from "./tree";

type Listener = () => void;

const NO_KERNEL = "No kernel answers, and this needs the model.";

/** What the page has of a model that has not said anything yet. */
const UNKNOWN: State = {
  version: 1,
  seq: 0,
  session: "",
  rows: 0,
  head: -1,
  selected: null,
  prompt: "",
  settings: { max_new_tokens: 40, temperature: 1, top_k: null, top_p: null, min_p: null, seed: 0 },
  job: null,
  notice: null,
  can_undo: false,
  can_redo: false,
  read_only: null,
  labels: [],
  model: { name: "", vocabulary_size: 0, context_length: null },
};

/** Everything the page knows of one viewer. All views of it draw from the one store. */
export class Store {
  state: State = UNKNOWN;
  table = new Table();
  tree = new Tree(this.table);
  /** Another object when any of them has changed. */
  labels = new Labels([]);
  /** Grows when the rows are no longer the same rows: whatever was drawn of them must go. */
  generation = 0;
  /** Errors that this page was told of; the kernel's own notice is in the state. */
  errors: Notice[] = [];
  /** An action has been waiting for its answer for so long that the person should know. */
  unanswered = false;
  /** No kernel has answered since the page was made: what it shows is what was saved. */
  offline = false;
  /** The tip of a branch chosen here: shown at once, until the kernel has answered. */
  chosenHead: number | null = null;
  /** The position that is looked at, which is that of the next token at the end of the text. */
  place: number | null = null;
  /** Stop was pressed here; `hint` when that has had no effect for a while. */
  stopping: "no" | "yes" | "hint" = "no";

  readonly #listeners = new Set<Listener>();
  #frame = 0;
  #sentSelections: (number | null)[] = [];

  get listenerCount(): number {
    return this.#listeners.size;
  }

  /** Call back in the next frame after every change, until the function that is returned is called. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Say that something changed. Many changes make one frame. */
  changed(): void {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      for (const listener of [...this.#listeners]) listener();
    });
  }

  /** The node at which the text that is shown ends. */
  get head(): number {
    return this.chosenHead ?? this.state.head;
  }

  get path(): readonly number[] {
    return this.tree.path(this.head);
  }

  /** The row that is looked at; null when that is nothing, or a token that is not made yet. */
  get selected(): number | null {
    return this.place === null ? null : (this.path[this.place] ?? null);
  }

  /** Why nothing can be asked of the model, or null. */
  get readOnly(): string | null {
    return this.state.read_only ?? (this.offline ? NO_KERNEL : null);
  }

  get busy(): boolean {
    return this.state.job !== null;
  }

  /** Take over what the traits or a snapshot hold. */
  replace(state: State, header: Slice, rows: Rows): void {
    const known = this.state;
    const sameSession = state.session === known.session && header.count >= this.table.length;
    this.#clear(sameSession);
    this.#append(header, rows);
    this.#take(state, known);
  }

  /** Take over a delta: the whole state and the rows that are new since the last one. */
  grow(state: State, header: Slice, rows: Rows): void {
    const known = this.state;
    if (state.session !== known.session) this.#clear(false);
    this.#append(header, rows);
    this.#take(state, known);
  }

  /** Look at a position of the text that is shown. */
  look(place: number | null): void {
    if (place === this.place) return;
    this.place = place;
    this.changed();
  }

  /** Remember what the kernel was told is selected, to know the echo of it from a selection of its own. */
  sentSelection(row: number | null): void {
    this.#sentSelections.push(row);
  }

  addError(error: Omit<Notice, "id">): void {
    const last = this.errors.at(-1)?.id ?? 0;
    const others = this.errors.filter(({ message }) => message !== error.message);
    this.errors = [...others, { id: last + 1, ...error }];
    this.changed();
  }

  dropError(id: number): void {
    this.errors = this.errors.filter((error) => error.id !== id);
    this.changed();
  }

  setUnanswered(unanswered: boolean): void {
    if (this.unanswered === unanswered) return;
    this.unanswered = unanswered;
    this.changed();
  }

  setOffline(offline: boolean): void {
    if (this.offline === offline) return;
    this.offline = offline;
    this.changed();
  }

  setStopping(stopping: "no" | "yes" | "hint"): void {
    if (this.stopping === stopping) return;
    this.stopping = stopping;
    this.changed();
  }

  #clear(sameRows: boolean): void {
    this.table = new Table(this.table);
    this.tree = new Tree(this.table);
    if (!sameRows) {
      this.generation += 1;
      this.chosenHead = null;
    }
  }

  #append(header: Slice, rows: Rows): void {
    this.table.addTokens(rows.tokens);
    this.table.append(rows, header);
    this.tree.grow();
  }

  #take(state: State, known: State): void {
    this.state = state;
    if (!this.labels.hold(state.labels)) this.labels = new Labels(state.labels);
    // Stop is meant for one job, and the next may follow without a pause.
    if (state.job?.id !== known.job?.id) this.stopping = "no";
    if (state.job !== null || state.head === this.chosenHead) this.chosenHead = null;
    const fresh = state.session !== known.session;
    if (fresh) this.#sentSelections = [];
    const echo = this.#sentSelections.indexOf(state.selected);
    if (echo >= 0) {
      this.#sentSelections.splice(0, echo + 1);
    } else if (fresh || state.selected !== known.selected) {
      this.#sentSelections = [];
      // A selection is kept as a position: it stays when another branch takes the place of this one.
      const position = state.selected === null ? -1 : this.table.value("position", state.selected);
      this.place = position >= 0 ? position : null;
    }
    this.changed();
  }
}
