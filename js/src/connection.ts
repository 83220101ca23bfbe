import type { AnyModel } from "@anywidget/types";
import {
  decodeSlice,
  type Message,
  type RequestKind,
  type Requests,
  type Traits,
} from "./protocol";
import type { Store } from "./store";

export type Model = Pick<AnyModel<Traits>, "get" | "on" | "off" | "send">;

export interface Reply {
  message: Message;
  buffers: readonly DataView[];
}

/** After this long without an answer the person is told. */
export const PATIENCE_MS = 1500;

/** After this long without an answer a snapshot is asked for again, when the page lacks something. */
export const SNAPSHOT_PATIENCE_MS = 2000;

/** A page that has heard nothing for so long shows what was saved, and asks nothing of a model. */
export const OFFLINE_MS = 3000;

/** Requests whose answer needs the model, and waits its turn behind a job. */
const BEHIND_JOBS: ReadonlySet<RequestKind> = new Set(["distribution", "stages", "tokenize"]);

/** Requests that nothing on the page waits for: without an answer, what they ask for still shows. */
const PATIENT: ReadonlySet<RequestKind> = new Set([
  "select",
  "settings",
  "switch",
  "stop",
  "dismiss",
  "snapshot",
]);

interface Waiting {
  kind: RequestKind;
  /** Whether a job ran when the request was sent: then rows that arrive are no sign of an answer. */
  busy: boolean;
  timer: ReturnType<typeof setTimeout> | undefined;
  settle: (reply: Reply | null) => void;
}

/** The page's end of the wire: numbered requests, their answers, and the ordered stream of deltas. */
export class Connection {
  readonly #model: Model;
  readonly #store: Store;
  readonly #waiting = new Map<number, Waiting>();
  // Two pages of one kernel count apart from each other. The product stays below 2 ** 53.
  readonly #prefix = Math.floor(Math.random() * 2 ** 31) * 2 ** 20;
  #count = 0;
  /** When the snapshot that is awaited was asked for; null when none is. */
  #snapshotAsked: number | null = null;
  /** How many snapshots in a row were asked for in vain. */
  #snapshotsLost = 0;
  readonly #offlineTimer: ReturnType<typeof setTimeout>;

  constructor(model: Model, store: Store, signal: AbortSignal) {
    this.#model = model;
    this.#store = store;
    this.#readTraits();
    const receive = (content: unknown, buffers: readonly DataView[]) => {
      if (!isMessage(content)) return;
      try {
        this.#receive(content, buffers);
      } catch (error) {
        store.addError({ type: "ProtocolError", message: String(error) });
      }
    };
    model.on("msg:custom", receive);
    // When the last delta of a job is lost, none follows that would show it; the traits do.
    const compare = () => {
      if (model.get("state").seq > store.state.seq) this.#catchUp();
    };
    model.on("change:state", compare);
    signal.addEventListener("abort", () => {
      model.off("msg:custom", receive);
      model.off("change:state", compare);
      clearTimeout(this.#offlineTimer);
      for (const { timer } of this.#waiting.values()) clearTimeout(timer);
      this.#waiting.clear();
    });
    // The traits are written when nothing runs: during a job they are behind, and look idle.
    this.#askForSnapshot();
    this.#offlineTimer = setTimeout(() => store.setOffline(true), OFFLINE_MS);
  }

  /**
   * Send a request and wait for its answer.
   *
   * Null when the kernel answered with an error or there is none, which the person then sees, and when
   * the signal says that nobody waits any more. Of a `patient` request nobody is told that it has no
   * answer.
   */
  request<Kind extends RequestKind>(
    kind: Kind,
    fields: Requests[Kind],
    signal?: AbortSignal,
    patient = PATIENT.has(kind),
  ): Promise<Reply | null> {
    const refused = this.#store.offline ? this.#store.readOnly : null;
    if (refused !== null && !patient) {
      this.#store.addError({ type: "NoKernelError", message: refused });
      return Promise.resolve(null);
    }
    this.#count += 1;
    const id = this.#prefix + this.#count;
    const promise = new Promise<Reply | null>((settle) => {
      const waiting = { kind, busy: this.#store.busy, timer: undefined, settle };
      this.#waiting.set(id, waiting);
      if (!patient) this.#watch(waiting);
    });
    signal?.addEventListener("abort", () => {
      const waiting = this.#waiting.get(id);
      if (waiting === undefined) return;
      this.#forget(id);
      this.#model.send({ kind: `${kind}-cancel`, id });
      waiting.settle(null);
    });
    this.#model.send({ kind, id, ...fields });
    return promise;
  }

  #watch(waiting: Waiting): void {
    waiting.timer = setTimeout(() => {
      // Once the job is over it needs time of its own.
      if (BEHIND_JOBS.has(waiting.kind) && waiting.busy) {
        waiting.busy = this.#store.busy;
        this.#watch(waiting);
      } else {
        this.#store.setUnanswered(true);
      }
    }, PATIENCE_MS);
  }

  #readTraits(): void {
    const state = this.#model.get("state");
    const table = this.#model.get("table");
    if (!state?.settings) return;
    if (table?.buffers === undefined || table.buffers.length === 0) {
      this.#store.state = state;
      return;
    }
    const { header } = table;
    try {
      this.#store.replace(state, header, decodeSlice(header, table.buffers));
    } catch (error) {
      this.#store.state = state;
      this.#store.addError({ type: "ProtocolError", message: String(error) });
    }
  }

  #receive(message: Message, buffers: readonly DataView[]): void {
    clearTimeout(this.#offlineTimer);
    if (this.#store.offline) this.#goOnline();
    if (message.kind === "delta") {
      this.#heard(false);
      this.#takeDelta(message, buffers);
      return;
    }
    if (message.id === undefined || !message.kind.endsWith("-response")) return;
    const waiting = this.#waiting.get(message.id);
    // Late answers to requests that were given up, and answers that another page waits for.
    if (waiting === undefined) return;
    this.#forget(message.id);
    this.#heard(true);
    if (waiting.kind === "snapshot") this.#takeSnapshot(message, buffers);
    if (message.error !== undefined) this.#store.addError(message.error);
    waiting.settle(message.error === undefined ? { message, buffers } : null);
  }

  #takeDelta({ state, header }: Message, buffers: readonly DataView[]): void {
    if (state === undefined || header === undefined) return;
    const { state: known, table } = this.#store;
    const held = state.session === known.session ? table.length : 0;
    if (state.seq !== known.seq + 1 || header.first !== held) {
      this.#catchUp();
      return;
    }
    this.#store.grow(state, header, decodeSlice(header, buffers));
  }

  // One stream carries answers and deltas, so a snapshot fits wherever in it it comes, even late.
  #takeSnapshot({ state, header }: Message, buffers: readonly DataView[]): void {
    this.#snapshotAsked = null;
    this.#snapshotsLost = 0;
    if (state === undefined || header === undefined) return;
    const { state: known, table } = this.#store;
    const sameRows = state.session === known.session && header.count === table.length;
    if (sameRows && state.seq === known.seq) return;
    this.#store.replace(state, header, decodeSlice(header, buffers));
  }

  /** Ask for what the page lacks, unless that was done just now. The answer can be lost as well. */
  #catchUp(): void {
    if (this.#snapshotAsked !== null) {
      if (performance.now() - this.#snapshotAsked < SNAPSHOT_PATIENCE_MS) return;
      this.#snapshotsLost += 1;
      if (this.#snapshotsLost > 1) this.#store.setUnanswered(true);
    }
    this.#askForSnapshot();
  }

  #askForSnapshot(): void {
    this.#snapshotAsked = performance.now();
    void this.request("snapshot", {});
  }

  // Rows can stream from a kernel whose main thread is busy, so only an answer shows that it answers;
  // but when no job ran, rows that come after a request are made for it.
  #heard(answer: boolean): void {
    for (const waiting of this.#waiting.values()) {
      if (answer || !waiting.busy) clearTimeout(waiting.timer);
    }
    if (answer) this.#store.setUnanswered(false);
  }

  // What was chosen here meanwhile gives way to what the kernel has.
  #goOnline(): void {
    this.#store.setOffline(false);
    for (const [id, waiting] of this.#waiting) {
      if (waiting.kind === "snapshot") continue;
      this.#forget(id);
      waiting.settle(null);
    }
  }

  #forget(id: number): void {
    clearTimeout(this.#waiting.get(id)?.timer);
    this.#waiting.delete(id);
  }
}

function isMessage(content: unknown): content is Message {
  return typeof content === "object" && content !== null && "kind" in content;
}
