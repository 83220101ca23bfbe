import type { Job, Label, MeasureInfo, Settings, State } from "../src/protocol";
import { bytesOf, encodeSlice, encodeText, type Row } from "./encode";
import { answerBranches, type FakeRollout } from "./fake_branches";
import { FakeModel, type Sent } from "./fake_model";
import { answerPlace, distributionsAfter, rankOf, sorted } from "./fake_places";

export type Piece = string | number[];
const TOP = 50;
const ORIGIN = { prompt: 0, sampled: 1, forced: 2, edited: 3 };

const SETTINGS: Settings = {
  max_new_tokens: 40,
  temperature: 0.8,
  top_k: null,
  top_p: null,
  min_p: null,
  seed: 0,
};

/** A kernel with a made-up model: each token has a distribution that follows from its path alone. */
export class FakeKernel {
  readonly model = new FakeModel();
  readonly rows: Row[] = [];
  readonly vocabulary: Uint8Array[];
  readonly #ids = new Map<string, number>();
  readonly #known = new Set<number>();
  readonly #named: number;
  readonly #undo: number[] = [];
  readonly #redo: number[] = [];
  state: State;
  /** Whether requests are answered. A busy kernel can stream rows and answer nothing. */
  answers = true;
  /** Measures that the user has registered. */
  measures: MeasureInfo[] = [];
  /** What is done to `p` before a token is drawn; null for nothing. */
  intervene: ((logProbs: readonly number[]) => number[]) | null = null;
  /** Ids of special tokens. */
  readonly delimiters = new Set<number>();
  /** What `tick` appends, when the model shall not choose by itself. */
  script: Piece[] = [];
  /** Called before each token of a job, with how many it has made. */
  beforeToken: (made: number) => void = () => {};
  /** What was made beside the tree; their numbers count from 1. */
  readonly rollouts: FakeRollout[] = [];
  #sentRows = 0;

  constructor(prompt: Piece[], vocabulary: Piece[] = [], size = 400) {
    const pieces = [...prompt, ...vocabulary];
    this.#named = pieces.length;
    while (pieces.length < size) pieces.push(` word${pieces.length}`);
    this.vocabulary = pieces.map(bytesOf);
    for (const [id, bytes] of this.vocabulary.entries()) {
      const key = bytes.join();
      if (!this.#ids.has(key)) this.#ids.set(key, id);
    }
    this.state = {
      version: 1,
      seq: 1,
      session: "first",
      rows: 0,
      head: -1,
      selected: null,
      prompt: prompt.filter((piece) => typeof piece === "string").join(""),
      settings: SETTINGS,
      job: null,
      notice: null,
      can_undo: false,
      can_redo: false,
      read_only: null,
      labels: [],
      model: { name: "fake", vocabulary_size: this.vocabulary.length, context_length: 2048 },
    };
    this.model.onSend = (message) => this.#handle(message);
    this.write(prompt, "prompt");
    this.save();
  }

  idOf(piece: Piece): number {
    const id = this.find(piece);
    if (id === undefined) throw new Error(`"${String(piece)}" is no token of the fake vocabulary.`);
    return id;
  }

  find(piece: Piece): number | undefined {
    return this.#ids.get(bytesOf(piece).join());
  }

  /** Append tokens after the head, without a message. */
  write(pieces: Piece[], origin: keyof typeof ORIGIN = "sampled"): void {
    for (const piece of pieces) this.append(this.idOf(piece), origin);
  }

  append(token_id: number, origin: keyof typeof ORIGIN): number {
    const parent = this.state.head;
    const scores = parent < 0 ? null : this.logProbs(parent);
    const own = scores?.[token_id] ?? Number.NaN;
    const order = scores === null ? [] : sorted(scores).slice(0, TOP);
    const surprisal = -own / Math.LN2;
    const { q, s } = this.#drawnWith(parent, token_id, origin, surprisal);
    const entropy = scores?.reduce((sum, x) => sum - (Math.exp(x) * x) / Math.LN2, 0) ?? Number.NaN;
    this.rows.push({
      parent,
      token_id,
      position: parent < 0 ? 0 : (this.rows[parent]?.position ?? 0) + 1,
      origin: ORIGIN[origin],
      rank: scores === null ? 0 : rankOf(token_id, scores),
      surprisal,
      entropy,
      varentropy: entropy,
      surprisal_q: q,
      surprisal_s: s,
      cost: origin === "prompt" ? Number.NaN : surprisal - q,
      expected_cost: origin === "prompt" ? Number.NaN : origin === "forced" ? surprisal : 0,
      fired: 0,
      top_ids: order,
      top_log_probs: order.map((id) => scores?.[id] ?? Number.NaN),
    });
    this.state = { ...this.state, head: this.rows.length - 1, rows: this.rows.length };
    return this.state.head;
  }

  /** Bits of a token in `q` and `s`: those of a forced token hold nothing else. */
  #drawnWith(parent: number, id: number, origin: keyof typeof ORIGIN, surprisal: number) {
    if (origin === "forced") return { q: 0, s: 0 };
    if (parent < 0 || origin !== "sampled") return { q: surprisal, s: surprisal };
    const { q, s } = distributionsAfter(this, parent);
    const bitsIn = (scores: readonly number[]) => -(scores[id] as number) / Math.LN2;
    return { q: this.intervene === null ? surprisal : bitsIn(q), s: bitsIn(s) };
  }

  /** Natural log-probabilities after a row. */
  logProbs(parent: number): number[] {
    const { token_id, position } = this.rows[parent] as Row;
    return this.logProbsAfter(token_id, position);
  }

  /** Natural log-probabilities after a token that is so far from the beginning. */
  logProbsAfter(token_id: number, position: number): number[] {
    const { length } = this.vocabulary;
    const scores = this.vocabulary.map((_, id) => {
      const noise = Math.sin(1 + id * 12.9898 + token_id * 78.233 + position * 37.719) * 43758.5453;
      const luck = noise - Math.floor(noise);
      // As in a real vocabulary, few are probable; those named by hand oftener than the fillers.
      return -1.6 * Math.log(1 + luck * length * (id < this.#named ? 0.01 : 1));
    });
    const all = Math.log(scores.reduce((sum, score) => sum + Math.exp(score), 0));
    return scores.map((score) => score - all);
  }

  /** Write the traits, as the kernel does when nothing streams. */
  save(): void {
    const known = new Set<number>();
    const { header, buffers } = this.#encode(0, known);
    this.model.traits = { state: this.state, table: { seq: this.state.seq, header, buffers } };
    for (const id of known) this.#known.add(id);
    this.#sentRows = this.rows.length;
  }

  /** Send what is new. */
  delta(change: Partial<State> = {}, lose = false): void {
    const state = { ...this.state, ...change };
    const selected = this.#inSight(state.selected, state.head);
    this.state = { ...state, selected, seq: this.state.seq + 1, rows: this.rows.length };
    const { header, buffers } = this.#encode(this.#sentRows, this.#known);
    this.#sentRows = this.rows.length;
    if (!lose) this.model.emit({ kind: "delta", state: this.state, header }, buffers);
  }

  /** Begin another session in place of this one. */
  restart(session: string, prompt: string[]): void {
    this.rows.length = 0;
    this.#sentRows = 0;
    this.state = { ...this.state, session, head: -1 };
    this.vocabulary.push(...prompt.map(bytesOf));
    for (const [i, piece] of prompt.entries()) {
      this.#ids.set(bytesOf(piece).join(), this.vocabulary.length - prompt.length + i);
    }
    this.write(prompt, "prompt");
    this.delta();
  }

  /** Let the job that runs make so many tokens. */
  tick(count = 1): void {
    for (let i = 0; i < count && this.state.job !== null; i++) {
      const { job } = this.state;
      this.beforeToken(job.made);
      const next = this.script.shift();
      const scores = this.logProbs(this.state.head);
      this.append(
        next === undefined ? (sorted(scores)[i % 3] as number) : this.idOf(next),
        "sampled",
      );
      const made = job.made + 1;
      this.state.job = made >= job.total || job.stopping ? null : { ...job, made };
    }
    if (this.state.job === null) this.beforeToken = () => {};
    this.delta();
  }

  respond(request: Sent, fields: Record<string, unknown> = {}, buffers: DataView[] = []): void {
    this.model.emit({ kind: `${request.kind}-response`, id: request.id, ...fields }, buffers);
  }

  fail(request: Sent, message: string): void {
    this.respond(request, { error: { type: "ValueError", message } });
  }

  #encode(first: number, known: Set<number>) {
    const rows = this.rows.slice(first);
    const ids = new Set(rows.flatMap((row) => [row.token_id, ...row.top_ids]));
    const fresh = [...ids].filter((id) => !known.has(id));
    for (const id of fresh) known.add(id);
    const delimiters = fresh.filter((id) => this.delimiters.has(id));
    return encodeSlice(rows, first, this.dictionary(fresh), this.measures, delimiters);
  }

  /** The row at the position of another, on the branch that is shown. */
  #inSight(row: number | null, head: number): number | null {
    const wanted = this.rows[row ?? -1]?.position ?? -1;
    let here = this.rows[head];
    while (here !== undefined && here.position > wanted) here = this.rows[here.parent];
    return here?.position === wanted ? this.rows.indexOf(here) : null;
  }

  /** The bytes of tokens. */
  dictionary(ids: number[]): [number, Uint8Array][] {
    return ids.map((id) => [id, this.vocabulary[id] as Uint8Array]);
  }

  /** Keep the head for undo. */
  remember(): void {
    this.#undo.push(this.state.head);
  }

  /** Begin a job. */
  start(kind: Job["kind"], made: number, total = this.state.settings.max_new_tokens): void {
    this.remember();
    const job = { id: this.state.seq, kind, made, total, stopping: false };
    this.delta({ job, can_undo: true, can_redo: false });
  }

  #handle(request: Sent): void {
    if (!this.answers) return;
    const move = (from: number[], to: number[]) => {
      const head = from.pop() ?? this.state.head;
      to.push(this.state.head);
      this.respond(request);
      const can_undo = this.#undo.length > 0;
      this.delta({ head, can_undo, can_redo: this.#redo.length > 0 });
    };
    if (answerPlace(this, request) || answerBranches(this, request)) return;
    switch (request.kind) {
      case "generate":
        if (typeof request.parent === "number") this.state.head = request.parent;
        this.state.settings = request.settings as Settings;
        this.respond(request);
        this.start("generate", 0);
        break;
      case "force": {
        this.respond(request);
        this.#undo.push(this.state.head);
        this.state.head = request.parent as number;
        const id = request.token_id ?? this.idOf(request.text as string);
        this.append(id as number, "forced");
        this.start("force", 1);
        break;
      }
      case "stop":
        this.respond(request);
        if (this.state.job !== null) this.delta({ job: { ...this.state.job, stopping: true } });
        break;
      case "undo":
        move(this.#undo, this.#redo);
        break;
      case "redo":
        move(this.#redo, this.#undo);
        break;
      case "switch":
        this.#answer(request, { head: request.row as number });
        break;
      case "select":
        this.#answer(request, { selected: request.row as number | null });
        break;
      case "settings":
        this.#answer(request, { settings: request.settings as Settings });
        break;
      case "dismiss":
        this.#answer(request, { notice: null });
        break;
      case "label":
        this.#label(request);
        break;
      case "snapshot": {
        const { header, buffers } = this.#encode(0, new Set());
        this.respond(request, { state: this.state, header }, buffers);
        break;
      }
      case "export":
        this.respond(request, {}, [encodeText(fileOf(request.format))]);
        break;
    }
  }

  #answer(request: Sent, change: Partial<State>): void {
    this.respond(request);
    this.delta(change);
  }

  #label(request: Sent): void {
    const changes = { ...(request.label as Partial<Label>) };
    if (typeof changes.name === "string") changes.name = changes.name.trim() || null;
    const { length } = [...(changes.name ?? "")];
    if (length > 60) {
      this.fail(request, `name has ${length} characters, but 1 to 60 are accepted`);
      return;
    }
    const start = this.#startOf(request.row as number);
    const others = this.state.labels.filter((label) => label.start !== start);
    const before = this.state.labels.find((label) => label.start === start);
    const label = { start, name: null, colour: null, hidden: false, ...before, ...changes };
    const says = label.name !== null || label.colour !== null || label.hidden;
    this.#answer(request, { labels: says ? [...others, label] : others });
  }

  /** The row at which the branch of a row starts: no first child of its parent. */
  #startOf(row: number): number {
    const parent = this.rows[row]?.parent ?? -1;
    const first = this.rows.findIndex((other) => other.parent === parent);
    return parent >= 0 && first === row ? this.#startOf(parent) : row;
  }
}

/** A file as the kernel writes it; the part that draws pictures comes from where the tests run. */
function fileOf(format: unknown): string {
  if (format !== "pictures") return `a file of the format ${format}`;
  return `export * from "${location.origin}/js/src/picture.ts";`;
}
