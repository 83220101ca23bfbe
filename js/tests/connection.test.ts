import { expect, onTestFinished, test } from "vitest";
import { Connection, type Model, PATIENCE_MS } from "../src/connection";
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

function kernelOf(prompt = ["The", " cat"]): FakeKernel {
  return new FakeKernel(prompt, [" sat", " down"]);
}

test("the traits are read at the start, and nothing is asked for", () => {
  const kernel = kernelOf();
  const { store } = connect(kernel);
  expect(store.table.length).toBe(2);
  expect(store.path).toEqual([0, 1]);
  expect(kernel.model.sent).toEqual([]);
});

test("a model that has no state yet is an empty one", () => {
  const kernel = kernelOf();
  kernel.model.traits = {};
  expect(connect(kernel).store.path).toEqual([]);
});

test("a snapshot is asked for when a job runs, and when the traits disagree", () => {
  const kernel = kernelOf();
  kernel.write([" sat"]);
  const traits = kernel.model.traits;
  kernel.model.traits = { ...traits, state: kernel.state };
  const { store } = connect(kernel);
  expect(kernel.model.sent.map(({ kind }) => kind)).toEqual(["snapshot"]);
  expect(store.table.length).toBe(3);
});

test("deltas append rows and bring the state", () => {
  const kernel = kernelOf();
  const { store } = connect(kernel);
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
  const { store } = connect(kernel);
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

test("a delta of another session that begins at its beginning replaces the table", () => {
  const kernel = kernelOf();
  const { store } = connect(kernel);
  kernel.restart("another", ["A", " dog"]);
  expect(store.state.session).toBe("another");
  expect(store.path).toHaveLength(2);
  expect(kernel.model.sent).toEqual([]);
});

test("answers find the request they belong to, and others are dropped", async () => {
  const kernel = kernelOf();
  const { connection, store } = connect(kernel);
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
  const ids = [connect(kernel), connect(kernel)].flatMap(({ connection }) => {
    void connection.request("undo", {});
    void connection.request("undo", {});
    return kernel.model.sent.slice(-2).map(({ id }) => id);
  });
  expect(new Set(ids).size).toBe(4);
  expect(ids.every((id) => Number.isSafeInteger(id) && id > 0)).toBe(true);
});

test("a request that is given up is cancelled, and its late answer is dropped", async () => {
  const kernel = kernelOf();
  const { connection } = connect(kernel);
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
  const { connection, store } = connect(kernel);
  kernel.answers = false;
  const reply = connection.request("undo", {});
  kernel.fail(kernel.model.sent[0] as never, "There is nothing to undo.");
  expect(await reply).toBeNull();
  expect(store.errors.map(({ message }) => message)).toEqual(["There is nothing to undo."]);
});

test("a message that cannot be read becomes an error, and the rows stay", () => {
  const kernel = kernelOf();
  const { store } = connect(kernel);
  const state = { ...kernel.state, seq: kernel.state.seq + 1 };
  kernel.model.emit({ kind: "delta", state, header: { first: 2, count: 1 } }, []);
  expect(store.errors[0]?.message).toMatch(/18 buffers/);
  expect(store.table.length).toBe(2);
});

test("silence is told of once, and an answer ends it", async () => {
  const kernel = kernelOf();
  const { connection, store } = connect(kernel);
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

test("nothing listens when the model is gone", () => {
  const kernel = kernelOf();
  const { life } = connect(kernel);
  expect(kernel.model.listeners.size).toBe(1);
  life.abort();
  expect(kernel.model.listeners.size).toBe(0);
});
