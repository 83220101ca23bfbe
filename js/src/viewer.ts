import { type Alignment, decodeAlignment, decodeDivergences } from "./comparison";
import { Connection, type Model, type Reply } from "./connection";
import type * as Pictures from "./picture";
import {
  type Alternatives,
  type DistributionName,
  type DistributionQuery,
  decodeAlternatives,
  decodeTokens,
  type Requests,
  type Settings,
  type Stage,
} from "./protocol";
import { decodeRollout, type Rollout } from "./rollout";
import { Store } from "./store";

/** After this long the person is told what else stops a kernel. */
const STOP_PATIENCE_MS = 1000;

export interface Page extends Alternatives {
  /** How many there are altogether. */
  total: number;
  /** What there is of the place besides `p`. */
  distributions: readonly DistributionName[];
  /** Where among all of them the token of the place stands; null where it does not. */
  chosen: number | null;
  /** Entropy of `p` in bits. */
  entropy: number;
  /** Varentropy of `p` in bits². */
  varentropy: number;
}

/** How a text would be forced. */
export interface Tokenization {
  text: string;
  token_ids: readonly number[];
  /** Bits of each; null where they are not known yet. */
  surprisals: readonly (number | null)[];
  /** What the end of the text before would be together with this one; empty if they do not join. */
  joined: readonly number[];
}

/** What a person at the page can do. One for each model, shared by all its views. */
export class Viewer {
  readonly store = new Store();
  readonly #connection: Connection;
  #stopTimer: ReturnType<typeof setTimeout> | undefined;
  /** The row that the kernel was told last is selected. */
  #told: number | null = null;

  /** The code of the part that draws pictures. */
  #pictures: BlobPart | null;

  constructor(model: Model, signal: AbortSignal, pictures: BlobPart | null = null) {
    this.#pictures = pictures;
    this.#connection = new Connection(model, this.store, signal);
    const leave = this.store.listen(() => this.#tellGrowth());
    signal.addEventListener("abort", () => {
      leave();
      clearTimeout(this.#stopTimer);
    });
  }

  /** The node that the token at a position was drawn after; null where nothing comes before it. */
  parentOf(place: number): number | null {
    return this.store.path[place - 1] ?? null;
  }

  generate(prompt: string): void {
    const { settings } = this.store.state;
    void this.#connection.request("generate", { prompt, settings });
  }

  /** Go on from the token at a position; what follows it already stays. */
  continueFrom(place: number): void {
    const { path, tree, state } = this.store;
    const parent = path[place];
    if (parent === undefined) return;
    const { prompt, settings: before } = state;
    // With the same seed what follows already would come again.
    const seed = before.seed + Math.min(1, tree.children(parent).length);
    const settings = { ...before, seed };
    void this.#connection.request("generate", { prompt, settings, parent });
  }

  /** Grow several continuations from a position, each with the next seed. */
  growSiblings(place: number, n: number): void {
    const parent = this.parentOf(place);
    if (parent === null) return;
    const { settings: before } = this.store.state;
    const settings = { ...before, seed: before.seed + 1 };
    void this.#connection.request("siblings", { parent, n, settings });
  }

  /** Ask what would follow each of the best `k` tokens after a row. Null when that failed. */
  rollOut(parent: number, k: number, length: number, signal: AbortSignal): Promise<Rollout | null> {
    const settings = { ...this.store.state.settings, max_new_tokens: length };
    // It takes its time, and who waits can give up.
    const request = this.#connection.request("rollout", { parent, k, settings }, signal, true);
    return this.#ask(request, (reply) => {
      const rollout = decodeRollout(reply);
      this.store.table.addTokens(rollout.tokens);
      return rollout;
    });
  }

  /** Make a continuation a branch. True when the kernel has taken it. */
  async adopt(rollout: number, index: number): Promise<boolean> {
    return (await this.#connection.request("adopt", { rollout, index })) !== null;
  }

  /** Ask how branches are aligned, by the rows at which they end. Null when that failed. */
  compare(tips: readonly number[], signal: AbortSignal): Promise<Alignment | null> {
    const request = this.#connection.request("compare", { tips }, signal, true);
    return this.#ask(request, (reply) => decodeAlignment(tips, reply));
  }

  /** Ask how far the distributions of aligned branches are apart, in bits. Null when that failed. */
  divergences(tips: readonly number[], signal: AbortSignal): Promise<Float32Array | null> {
    const request = this.#connection.request("divergences", { tips }, signal, true);
    return this.#ask(request, decodeDivergences);
  }

  /** Look at a token of a branch, by the row at which the branch ends. */
  show(tip: number, row: number): void {
    this.switchTo(tip);
    this.select(this.store.table.value("position", row));
  }

  /** Grow another continuation from a position. The next seed, or it would be the same again. */
  regenerate(place: number): void {
    const parent = this.parentOf(place);
    if (parent === null) return;
    const { prompt, settings: before } = this.store.state;
    const settings = { ...before, seed: before.seed + 1 };
    this.changeSettings(settings);
    void this.#connection.request("generate", { prompt, settings, parent });
  }

  /** Put a token, or any text, at a position. True when the kernel has taken it. */
  async force(place: number, choice: { token_id: number } | { text: string }): Promise<boolean> {
    const parent = this.parentOf(place);
    if (parent === null) return false;
    const { settings } = this.store.state;
    const reply = await this.#connection.request("force", { parent, settings, ...choice });
    return reply !== null;
  }

  stop(): void {
    const stopped = this.store.state.job;
    if (stopped === null) return;
    this.store.setStopping("yes");
    clearTimeout(this.#stopTimer);
    this.#stopTimer = setTimeout(() => {
      const { job } = this.store.state;
      if (job?.id === stopped.id && !job.stopping) this.store.setStopping("hint");
    }, STOP_PATIENCE_MS);
    void this.#connection.request("stop", {}).then(() => {
      clearTimeout(this.#stopTimer);
      if (this.store.stopping === "hint") this.store.setStopping("yes");
    });
  }

  undo(): void {
    void this.#connection.request("undo", {});
  }

  redo(): void {
    void this.#connection.request("redo", {});
  }

  /** Show the branch that ends at a row. */
  switchTo(row: number): void {
    const { store } = this;
    if (store.busy || row === store.head) return;
    store.chosenHead = row;
    store.changed();
    void this.#connection.request("switch", { row }).then(() => {
      // Done or refused: from now on the state says where the head is.
      if (store.chosenHead === row) store.chosenHead = null;
      store.changed();
    });
    // The position that is looked at now holds another token.
    if (store.place !== null) this.#tellSelection();
  }

  /** Look at a position of the text, or at none. */
  select(place: number | null): void {
    if (place === this.store.place) return;
    this.store.look(place);
    this.#tellSelection();
  }

  changeSettings(settings: Settings): void {
    this.store.state = { ...this.store.state, settings };
    this.store.changed();
    void this.#connection.request("settings", { settings });
  }

  /** Name the branch that a row belongs to, give it a colour, or hide it. True when that was accepted. */
  async label(row: number, label: Requests["label"]["label"]): Promise<boolean> {
    return (await this.#connection.request("label", { row, label })) !== null;
  }

  dismissNotice(notice: number): void {
    this.store.state = { ...this.store.state, notice: null };
    this.store.changed();
    void this.#connection.request("dismiss", { notice });
  }

  /**
   * Ask for rows of the distributions of a place. Null when that failed.
   *
   * `needed` says that the page has nothing to show instead, so that a missing answer is worth a word.
   */
  distribution(
    query: DistributionQuery,
    signal: AbortSignal,
    needed: boolean,
  ): Promise<Page | null> {
    return this.#ask(this.#connection.request("distribution", query, signal, !needed), (reply) => {
      const { total = 0, distributions = ["p"], chosen = null } = reply.message;
      const { entropy = Number.NaN, varentropy = Number.NaN } = reply.message;
      const alternatives = decodeAlternatives(distributions, reply.buffers);
      this.store.table.addTokens(alternatives.tokens);
      return { ...alternatives, total, distributions, chosen, entropy, varentropy };
    });
  }

  /** Ask what each operator did where a token was drawn. Null when that failed. */
  stages(row: number, signal: AbortSignal): Promise<Stage[] | null> {
    return this.#ask(this.#connection.request("stages", { row }, signal), (reply) => {
      this.store.table.addTokens(decodeTokens(reply.buffers));
      return reply.message.stages ?? [];
    });
  }

  /** Ask how a text would be forced after a row. Null when that failed. */
  tokenize(parent: number, text: string, signal: AbortSignal): Promise<Tokenization | null> {
    return this.#ask(this.#connection.request("tokenize", { parent, text }, signal), (reply) => {
      const { token_ids = [], surprisals = [], joined = [] } = reply.message;
      this.store.table.addTokens(decodeTokens(reply.buffers));
      return { text, token_ids, surprisals, joined };
    });
  }

  /** Whether pictures can be drawn without a kernel. */
  get canDraw(): boolean {
    return this.#pictures !== null;
  }

  /** The part that draws pictures, which is asked for when it is first wanted. Null when that failed. */
  async pictures(): Promise<typeof Pictures | null> {
    this.#pictures ??= await this.file("pictures");
    if (this.#pictures === null) return null;
    const code = new Blob([this.#pictures], { type: "text/javascript" });
    const url = URL.createObjectURL(code);
    const pictures: typeof Pictures = await import(/* @vite-ignore */ url);
    URL.revokeObjectURL(url);
    return pictures;
  }

  /** Ask for a file that the kernel writes. Null when that failed. */
  file(format: Requests["export"]["format"]): Promise<Blob | null> {
    return this.#ask(
      this.#connection.request("export", { format }),
      (reply) => new Blob(reply.buffers as DataView<ArrayBuffer>[]),
    );
  }

  async #ask<Answer>(
    request: Promise<Reply | null>,
    read: (reply: Reply) => Answer,
  ): Promise<Answer | null> {
    const reply = await request;
    if (reply === null) return null;
    try {
      return read(reply);
    } catch (error) {
      this.store.addError({ type: "ProtocolError", message: String(error) });
      return null;
    }
  }

  /** Tell of a token that has come to stand in the place of the next one, which is looked at. */
  #tellGrowth(): void {
    const { selected, state } = this.store;
    if (selected === null || selected === state.selected || selected === this.#told) return;
    this.#tellSelection();
  }

  #tellSelection(): void {
    const row = this.store.selected;
    this.#told = row;
    this.store.sentSelection(row);
    void this.#connection.request("select", { row });
  }
}
