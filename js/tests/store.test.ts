import { expect, test } from "vitest";
import { decodeSlice, type State } from "../src/protocol";
import { Store } from "../src/store";
import { bytesOf, encodeSlice, type Row } from "./encode";
import { FakeKernel } from "./fake_kernel";

const BASE = new FakeKernel(["a"]).state;

function row(parent: number, position: number, more: Partial<Row> = {}): Row {
  const numbers = { rank: 1, surprisal: 2, entropy: 1, varentropy: 1, cost: 0 };
  const others = {
    surprisal_q: 2,
    surprisal_s: 2,
    expected_cost: 0,
    fired: 0,
    origin: 1,
    token_id: position,
  };
  return { parent, position, ...numbers, ...others, top_ids: [], top_log_probs: [], ...more };
}

function grow(store: Store, rows: Row[], change: Partial<State> = {}): void {
  const { header, buffers } = encodeSlice(rows, store.table.length, [[0, bytesOf("a")]]);
  store.grow({ ...BASE, session: "s", ...change }, header, decodeSlice(header, buffers));
}

/** 0 1 2 3 4 in a line; 5 6 part after 1; 7 parts after 5; 8 is a text of its own. */
function branched(): Store {
  const store = new Store();
  const line = [0, 1, 2, 3, 4].map((i) => row(i - 1, i, { origin: i < 2 ? 0 : 1 }));
  grow(store, [...line, row(1, 2, { origin: 2, cost: 3 }), row(5, 3), row(5, 3), row(-1, 0)]);
  return store;
}

test("a path runs from the root to its head", () => {
  const { tree } = branched();
  expect(tree.path(4)).toEqual([0, 1, 2, 3, 4]);
  expect(tree.path(6)).toEqual([0, 1, 5, 6]);
  expect(tree.path(1)).toEqual([0, 1]);
  expect(tree.path(8)).toEqual([8]);
  expect(tree.path(-1)).toEqual([]);
});

test("a branch begins where a row is not the first child, and runs along first children", () => {
  const { tree } = branched();
  const seen = tree.branches.map(({ number, start, tip, parent }) => {
    return { number, start, tip, parent: parent?.number };
  });
  expect(seen).toEqual([
    { number: 1, start: 0, tip: 4, parent: undefined },
    { number: 2, start: 5, tip: 6, parent: 1 },
    { number: 3, start: 7, tip: 7, parent: 2 },
    { number: 4, start: 8, tip: 8, parent: undefined },
  ]);
  expect(tree.ordered().map(({ number }) => number)).toEqual([1, 2, 3, 4]);
});

test("branches are listed below the one they parted from, the last to part first", () => {
  const store = branched();
  grow(store, [row(2, 3), row(6, 4), row(6, 4)]);
  expect(store.tree.ordered().map(({ number }) => number)).toEqual([1, 5, 2, 6, 3, 4]);
});

test("sums count new tokens only, and a branch's own from where it parts", () => {
  const { tree } = branched();
  expect(tree.sums(4)).toEqual({ tokens: 3, scored: 3, bits: 6, cost: 0 });
  expect(tree.sums(6)).toEqual({ tokens: 2, scored: 2, bits: 4, cost: 3 });
  const branch = tree.branches[1];
  expect(branch && tree.ownSums(branch)).toEqual({ tokens: 2, scored: 2, bits: 4, cost: 3 });
});

test("a token without a surprisal counts as a token and not in the bits", () => {
  const store = new Store();
  grow(store, [row(-1, 0, { surprisal: Number.NaN, cost: Number.NaN }), row(0, 1)]);
  expect(store.tree.sums(1)).toEqual({ tokens: 2, scored: 1, bits: 2, cost: 0 });
});

test("columns keep their values while they outgrow their place many times", () => {
  const store = new Store();
  for (let i = 0; i < 40; i++) {
    const rows = Array.from({ length: 50 }, (_, j) => {
      const at = 50 * i + j;
      return row(at - 1, at, { surprisal: at / 8, top_ids: [at] });
    });
    grow(store, rows);
  }
  expect(store.table.length).toBe(2000);
  expect(store.table.value("surprisal", 1234)).toBe(1234 / 8);
  expect(store.table.values("top_ids", 1999)[0]).toBe(1999);
  expect(store.table.value("surprisal", 2000)).toBeNaN();
  expect(store.tree.path(1999)).toHaveLength(2000);
});

test("a job that follows another at once is not shown as stopping", () => {
  const store = branched();
  const job = { kind: "generate", made: 0, total: 9, stopping: false } as const;
  grow(store, [], { job: { id: 1, ...job } });
  store.setStopping("yes");
  grow(store, [], { job: { id: 1, ...job, made: 3 } });
  expect(store.stopping).toBe("yes");
  grow(store, [], { job: { id: 2, ...job } });
  expect(store.stopping).toBe("no");
});

test("another session takes the place of the rows and keeps the tokens", () => {
  const store = branched();
  const { generation } = store;
  const { header, buffers } = encodeSlice([row(-1, 0)], 0, []);
  store.grow({ ...BASE, session: "t", head: 0 }, header, decodeSlice(header, buffers));
  expect(store.table.length).toBe(1);
  expect(store.generation).toBe(generation + 1);
  expect(store.path).toEqual([0]);
  expect(store.table.tokens.get(0)).toEqual(bytesOf("a"));
});

test("a selection stays in its position when another branch takes the place of this one", () => {
  const store = branched();
  grow(store, [], { head: 4, selected: 2 });
  expect(store.selected).toBe(2);
  grow(store, [], { head: 6, selected: 2 });
  expect(store.selected).toBe(5);
});

test("the echo of a selection made here does not undo the one made after it", () => {
  const store = branched();
  grow(store, [], { head: 4 });
  store.look(1);
  store.sentSelection(1);
  store.look(3);
  store.sentSelection(3);
  grow(store, [], { head: 4, selected: 1 });
  expect(store.place).toBe(3);
  grow(store, [], { head: 4, selected: 3 });
  expect(store.place).toBe(3);
  grow(store, [], { head: 4, selected: 2 });
  expect(store.place).toBe(2);
});
