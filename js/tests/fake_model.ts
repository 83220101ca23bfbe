import type { Message, Traits } from "../src/protocol";

type Listener = (content: unknown, buffers: DataView[]) => void;

/** A request as the kernel sees it. */
export interface Sent {
  kind: string;
  id: number;
  prompt?: unknown;
  settings?: unknown;
  parent?: unknown;
  token_id?: unknown;
  text?: unknown;
  row?: unknown;
  notice?: unknown;
  offset?: unknown;
  count?: unknown;
  search?: unknown;
  n?: unknown;
  k?: unknown;
  rollout?: unknown;
  index?: unknown;
  tips?: unknown;
  format?: unknown;
  label?: unknown;
}

/** The model that a host hands to a widget, with what was sent in place of a kernel. */
export class FakeModel {
  readonly listeners = new Set<Listener>();
  readonly sent: Sent[] = [];
  onSend: (message: Sent) => void = () => {};
  /** Which messages of the kernel do not reach the page. */
  loses: (content: Message) => boolean = () => false;
  readonly #observers = new Set<Listener>();
  #traits: Partial<Traits> = {};

  get traits(): Partial<Traits> {
    return this.#traits;
  }

  /** The kernel writes its durable state. */
  set traits(traits: Partial<Traits>) {
    this.#traits = traits;
    for (const observer of [...this.#observers]) observer(undefined, []);
  }

  get<Name extends keyof Traits>(name: Name): Traits[Name] {
    return this.traits[name] as Traits[Name];
  }

  on(event: string, listener: Listener): void {
    if (event === "msg:custom") this.listeners.add(listener);
    if (event === "change:state") this.#observers.add(listener);
  }

  off(_event?: string | null, listener?: Listener | null): void {
    if (listener) this.listeners.delete(listener);
    if (listener) this.#observers.delete(listener);
  }

  send(content: Sent): void {
    this.sent.push(structuredClone(content));
    this.onSend(content);
  }

  /** A custom message from the kernel. */
  emit(content: Message | Record<string, unknown>, buffers: DataView[] = []): void {
    if (this.loses(content as Message)) return;
    for (const listener of [...this.listeners]) listener(structuredClone(content), buffers);
  }

  last(kind: string): Sent | undefined {
    return this.sent.filter((message) => message.kind === kind).at(-1);
  }
}
