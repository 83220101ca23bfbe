import { expect, onTestFinished, test, vi } from "vitest";
import { Connection, type Model, PATIENCE_MS, SNAPSHOT_PATIENCE_MS } from "../src/connection";
import { Store } from "../src/store";
import { FakeKernel } from "./fake_kernel";
import { pause } from "./mount";

function connect(kernel: FakeKernel) {
  const life = new AbortController();
  onTestFinished(() => life.abort());
  const store = new Store();
  const connection = new Connection(kernel.model as unknown as Model, store, life.signal);
  return { store, connection, life };
}

/** Connected, and what was asked for at the start is answered and out of the list. */
function settled(kernel: FakeKernel) {
  const connected = connect(kernel);
  kernel.model.sent.length = 0;
  return connected;
}

function snapshots(kernel: FakeKernel): number {
  return kernel.model.sent.filter(({ kind }) => kind === "snapshot").length;
}

/** Lose a delta and send the next one. */
function lose(kernel: FakeKernel): void {
  kernel.delta({}, true);
  kernel.delta();
}

function kernelOf(prompt = ["The", " cat"]): FakeKernel {
  return new FakeKernel(prompt, [" sat", " down"]);
}

test("the traits are read at the start, and the kernel is asked whether there is more", () => {
  const kernel = kernelOf();
  kernel.answers = false;
  const { store } = connect(kernel);
  expect(store.table.length).toBe(2);
  expect(store.path).toEqual([0, 1]);
  expect(kernel.model.sent.map(({ kind }) => kind)).toEqual(["snapshot"]);
});

test("an answer that holds what the traits held changes nothing", () => {
  const kernel = kernelOf();
  kernel.answers = false;
  const { store } = connect(kernel);
  const { table, state, generation } = store;
  kernel.answers = true;
  kernel.model.onSend(kernel.model.last("snapshot") as never);
  expect(store.table).toBe(table);
  expect(store.state).toBe(state);
  expect(store.generation).toBe(generation);
});

test("what fits is taken while the answer of the start is still awaited", () => {
  const kernel = kernelOf();
  kernel.answers = false;
  const { store } = connect(kernel);
  kernel.write([" sat"]);
  kernel.delta();
  expect(store.path).toEqual([0, 1, 2]);
});

test("a model that has no state yet is an empty one", () => {
  const kernel = kernelOf();
  kernel.model.traits = {};
  kernel.answers = false;
  expect(connect(kernel).store.path).toEqual([]);
});

test("the answer of the start heals traits that disagree, and the stream goes on from it", () => {
  const kernel = kernelOf();
  kernel.write([" sat"]);
  const traits = kernel.model.traits;
  kernel.model.traits = { ...traits, state: kernel.state };
  const { store } = connect(kernel);
  expect(store.table.length).toBe(3);
  kernel.save();
  kernel.write([" down"]);
  kernel.delta();
  expect(store.table.length).toBe(4);
  lose(kernel);
  expect(snapshots(kernel)).toBe(2);
  lose(kernel);
  expect(snapshots(kernel)).toBe(3);
});

test("deltas append rows and bring the state", () => {
  const kernel = kernelOf();
  const { store } = settled(kernel);
  kernel.write([" sat"]);
  kernel.delta();
  kernel.write([" down"]);
  kernel.delta({ can_undo: true });
  expect(store.path).toEqual([0, 1, 2, 3]);
  expect(store.state.can_undo).toBe(true);
  expect(kernel.model.sent).toEqual([]);
});

test("a delta that was lost is noticed, and a snapshot heals it", () => {
  const kernel = kernelOf();
  const { store } = settled(kernel);
  kernel.write([" sat"]);
  kernel.delta({}, true);
  kernel.write([" down"]);
  kernel.answers = false;
  kernel.delta();
  expect(store.table.length).toBe(2);
  const request = kernel.model.last("snapshot");
  expect(request).toBeDefined();
  // Until the snapshot is there, nothing else is taken over, and it is asked for once.
  kernel.write([" sat"]);
  kernel.delta();
  expect(store.table.length).toBe(2);
  expect(kernel.model.sent).toHaveLength(1);
  kernel.answers = true;
  kernel.model.onSend(request as never);
  expect(store.path).toEqual([0, 1, 2, 3, 4]);
  kernel.write([" down"]);
  kernel.delta();
  expect(store.path).toHaveLength(6);
});

test("an answer that is lost is asked for again, and two of them in a row are told of", () => {
  const now = vi.spyOn(performance, "now").mockReturnValue(1000);
  const later = (by: number) => now.mockReturnValue(performance.now() + by);
  const kernel = kernelOf();
  const { store } = settled(kernel);
  kernel.answers = false;
  kernel.write([" sat"]);
  lose(kernel);
  later(SNAPSHOT_PATIENCE_MS - 100);
  kernel.delta();
  expect(snapshots(kernel)).toBe(1);
  later(200);
  kernel.delta();
  expect(snapshots(kernel)).toBe(2);
  expect(store.unanswered).toBe(false);
  later(SNAPSHOT_PATIENCE_MS + 100);
  kernel.delta();
  expect(snapshots(kernel)).toBe(3);
  expect(store.unanswered).toBe(true);
  // The answer to any of them will do, however late it is.
  kernel.answers = true;
  kernel.model.onSend(kernel.model.sent[1] as never);
  expect(store.unanswered).toBe(false);
  expect(store.path).toEqual([0, 1, 2]);
  kernel.write([" down"]);
  kernel.delta();
  expect(store.path).toEqual([0, 1, 2, 3]);
});

test("a delta of another session that begins at its beginning replaces the table", () => {
  const kernel = kernelOf();
  const { store } = settled(kernel);
  kernel.restart("another", ["A", " dog"]);
  expect(store.state.session).toBe("another");
  expect(store.path).toHaveLength(2);
  expect(kernel.model.sent).toEqual([]);
});

test("answers find the request they belong to, and others are dropped", async () => {
  const kernel = kernelOf();
  const { connection, store } = settled(kernel);
  kernel.answers = false;
  const first = connection.request("undo", {});
  const second = connection.request("redo", {});
  const [undo, redo] = kernel.model.sent;
  kernel.model.emit({ kind: "undo-response", id: 99 });
  if (undo === undefined || redo === undefined) throw new Error("two requests were sent");
  kernel.respond(redo, { total: 2 });
  kernel.respond(undo, { total: 1 });
  expect((await first)?.message.total).toBe(1);
  expect((await second)?.message.total).toBe(2);
  expect(store.errors).toEqual([]);
});

test("ids are whole numbers that survive JSON and differ between pages", () => {
  const kernel = kernelOf();
  kernel.answers = false;
  const ids = [settled(kernel), settled(kernel)].flatMap(({ connection }) => {
    void connection.request("undo", {});
    void connection.request("undo", {});
    return kernel.model.sent.slice(-2).map(({ id }) => id);
  });
  expect(new Set(ids).size).toBe(4);
  expect(ids.every((id) => Number.isSafeInteger(id) && id > 0)).toBe(true);
});

test("a request that is given up is cancelled, and its late answer is dropped", async () => {
  const kernel = kernelOf();
  const { connection } = settled(kernel);
  kernel.answers = false;
  const controller = new AbortController();
  const query = { parent: 0, offset: 0, count: 50 };
  const reply = connection.request("distribution", query, controller.signal);
  controller.abort();
  expect(await reply).toBeNull();
  const [request, cancel] = kernel.model.sent;
  expect(cancel).toEqual({ kind: "distribution-cancel", id: request?.id });
  if (request !== undefined) kernel.respond(request, { total: 3 });
});

test("an error is kept for the person to see", async () => {
  const kernel = kernelOf();
  const { connection, store } = settled(kernel);
  kernel.answers = false;
  const reply = connection.request("undo", {});
  kernel.fail(kernel.model.sent[0] as never, "There is nothing to undo.");
  expect(await reply).toBeNull();
  expect(store.errors.map(({ message }) => message)).toEqual(["There is nothing to undo."]);
});

test("a message that cannot be read becomes an error, and the rows stay", () => {
  const kernel = kernelOf();
  const { store } = settled(kernel);
  const state = { ...kernel.state, seq: kernel.state.seq + 1 };
  kernel.model.emit(
    { kind: "delta", state, header: { first: 2, count: 1, measures: [], delimiters: [] } },
    [],
  );
  expect(store.errors[0]?.message).toMatch(/ buffers, not 0/);
  expect(store.table.length).toBe(2);
});

test("silence is told of once, and an answer ends it", async () => {
  const kernel = kernelOf();
  const { connection, store } = settled(kernel);
  kernel.answers = false;
  void connection.request("undo", {});
  void connection.request("select", { row: 1 });
  await pause(PATIENCE_MS - 200);
  expect(store.unanswered).toBe(false);
  await pause(300);
  expect(store.unanswered).toBe(true);
  kernel.respond(kernel.model.sent[0] as never);
  expect(store.unanswered).toBe(false);
});

test("rows that come after a request show that the kernel lives, unless a job ran before it", async () => {
  const idle = kernelOf();
  const busy = kernelOf();
  const quiet = connect(idle);
  const running = connect(busy);
  busy.delta({ job: { id: 1, kind: "generate", made: 0, total: 9, stopping: false } });
  idle.answers = false;
  busy.answers = false;
  void quiet.connection.request("undo", {});
  void running.connection.request("undo", {});
  idle.delta();
  busy.delta();
  await pause(PATIENCE_MS + 100);
  expect(quiet.store.unanswered).toBe(false);
  expect(running.store.unanswered).toBe(true);
});

test("a distribution waits its turn behind a job, and is missed only when the job is over", async () => {
  const kernel = kernelOf();
  const { connection, store } = settled(kernel);
  kernel.delta({ job: { id: 1, kind: "generate", made: 0, total: 9, stopping: false } });
  kernel.answers = false;
  void connection.request("distribution", { parent: 0, offset: 0, count: 50 });
  await pause(PATIENCE_MS + 100);
  expect(store.unanswered).toBe(false);
  kernel.delta({ job: null });
  await expect.poll(() => store.unanswered, { timeout: 2 * PATIENCE_MS + 500 }).toBe(true);
}, 10_000);

test("nothing listens when the model is gone", () => {
  const kernel = kernelOf();
  const { life } = settled(kernel);
  expect(kernel.model.listeners.size).toBe(1);
  life.abort();
  expect(kernel.model.listeners.size).toBe(0);
});
