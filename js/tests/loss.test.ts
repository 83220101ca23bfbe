// Any one message of the kernel may be lost: the page ends where it would have ended with it.

import { expect, onTestFinished, test } from "vitest";
import type { Model } from "../src/connection";
import { Viewer } from "../src/viewer";
import { FakeKernel } from "./fake_kernel";
import type { FakeModel } from "./fake_model";

function viewerOf(kernel: FakeKernel): Viewer {
  const life = new AbortController();
  onTestFinished(() => life.abort());
  return new Viewer(kernel.model as unknown as Model, life.signal);
}

function kernelOf(): FakeKernel {
  return new FakeKernel(["The", " cat"], [" sat", " down"]);
}

/** Everything that a person can do, one thing after the other. */
function story(kernel: FakeKernel, viewer: Viewer): void {
  const { store } = viewer;
  viewer.generate("The cat");
  kernel.tick(3);
  kernel.tick(3);
  viewer.stop();
  kernel.tick();
  const first = kernel.state.head;
  void viewer.force(3, { token_id: 5 });
  kernel.tick(2);
  viewer.stop();
  kernel.tick();
  viewer.select(4);
  viewer.switchTo(first);
  viewer.undo();
  viewer.redo();
  kernel.delta({ notice: { id: 1, type: "ValueError", message: "No." } });
  viewer.dismissNotice(1);
  viewer.changeSettings({ ...store.state.settings, temperature: 0.3 });
  const { signal } = new AbortController();
  void viewer.distribution({ parent: 1, offset: 0, count: 5 }, signal, true);
  void viewer.stages(3, signal);
  void viewer.tokenize(1, " sat", signal);
  viewer.regenerate(2);
  kernel.tick(2);
  viewer.stop();
  kernel.tick();
}

/** The kernel is idle, writes its traits, and the page is as the kernel has it. */
function expectSame(kernel: FakeKernel, viewer: Viewer): void {
  kernel.save();
  const { store } = viewer;
  expect(store.state).toEqual(kernel.state);
  expect(store.head).toBe(kernel.state.head);
  expect(store.path.map((row) => store.table.value("token_id", row))).toEqual(pathOf(kernel));
  expect(store.table.length).toBe(kernel.rows.length);
  expect(store.errors).toEqual([]);
  expect(store.stopping).toBe("no");
}

function pathOf({ rows, state }: FakeKernel): number[] {
  const ids: number[] = [];
  for (let row = rows[state.head]; row !== undefined; row = rows[row.parent])
    ids.push(row.token_id);
  return ids.reverse();
}

/** Which message is lost: how many of its kind came before it. */
function loseOne(model: FakeModel, kind: string, before: number): void {
  let seen = 0;
  model.loses = (content) => content.kind === kind && seen++ === before;
}

/** How many messages of each kind the story has. */
function kindsOf(): Map<string, number> {
  const kernel = kernelOf();
  const kinds = new Map<string, number>();
  kernel.model.loses = ({ kind }) => {
    kinds.set(kind, 1 + (kinds.get(kind) ?? 0));
    return false;
  };
  const viewer = viewerOf(kernel);
  story(kernel, viewer);
  expectSame(kernel, viewer);
  return kinds;
}

test.each([
  "delta",
  ..."dismiss distribution force generate redo select settings snapshot stages stop switch tokenize undo"
    .split(" ")
    .map((kind) => `${kind}-response`),
])("whichever %s is lost, the page is like the kernel in the end", (kind) => {
  const count = kindsOf().get(kind) ?? 0;
  expect(count).toBeGreaterThan(0);
  for (let before = 0; before < count; before++) {
    const kernel = kernelOf();
    const viewer = viewerOf(kernel);
    loseOne(kernel.model, kind, before);
    story(kernel, viewer);
    expectSame(kernel, viewer);
  }
});

test("the last delta of a job is missed as soon as the traits are written", () => {
  const kernel = kernelOf();
  const viewer = viewerOf(kernel);
  viewer.generate("The cat");
  kernel.tick(5);
  kernel.model.loses = ({ kind }) => kind === "delta";
  viewer.stop();
  kernel.tick();
  expect(viewer.store.busy).toBe(true);
  kernel.model.loses = () => false;
  kernel.save();
  expect(viewer.store.busy).toBe(false);
  expect(viewer.store.table.length).toBe(8);
});

test("a branch that was chosen here does not stay when its answer is lost", () => {
  const kernel = kernelOf();
  const viewer = viewerOf(kernel);
  viewer.generate("The cat");
  kernel.tick(2);
  viewer.stop();
  kernel.tick();
  const first = kernel.state.head;
  void viewer.force(2, { token_id: 5 });
  viewer.stop();
  kernel.tick();
  kernel.model.loses = ({ kind }) => kind === "switch-response";
  viewer.switchTo(first);
  expect(viewer.store.head).toBe(first);
  viewer.undo();
  expect(kernel.state.head).not.toBe(first);
  expect(viewer.store.head).toBe(kernel.state.head);
});
