import { describe, expect, test } from "vitest";
import fixture from "../../tests/fixtures/reading/text.json";
import { decodeSlice, type State } from "../src/protocol";
import { Store } from "../src/store";
import { RunningSums } from "../src/totals";
import { Words } from "../src/words";
import { encodeSlice, type Row } from "./encode";

const { tokens, delimiters, figures, words, totals } = fixture;

/** A store that holds the first tokens of the fixture's text, up to all of them. */
function grown(store: Store, length: number): Store {
  const first = store.table.length;
  const rows = tokens.slice(first, length).map((_, index): Row => {
    const place = first + index;
    const figure = (name: keyof typeof figures) => figures[name][place] ?? Number.NaN;
    return {
      ...{ parent: place - 1, token_id: place, position: place, origin: place < 2 ? 0 : 1 },
      ...{ rank: 1, surprisal_q: 0, surprisal_s: 0, expected_cost: 0, fired: 0 },
      ...{ surprisal: figure("surprisal"), entropy: figure("entropy"), cost: figure("cost") },
      ...{ varentropy: figure("varentropy"), top_ids: [], top_log_probs: [] },
    };
  });
  const texts = tokens.map((bytes, id): [number, Uint8Array] => [id, new Uint8Array(bytes)]);
  const { header, buffers } = encodeSlice(rows, first, texts, [], delimiters);
  const state = { ...store.state, head: length - 1 } as State;
  store.grow(state, header, decodeSlice(header, buffers));
  return store;
}

describe("what the package says of a text", () => {
  test("its words", () => {
    const { table, path } = grown(new Store(), tokens.length);
    const found = new Words();
    for (const row of path) found.push(table, row);
    const units = path.map((place) => found.at(place));
    const firsts = units.filter(({ first }, place) => first === place);
    expect(firsts.map(({ first, last }) => [first, last])).toEqual(words);
    expect(units.every(({ first, last }, place) => first <= place && place <= last)).toBe(true);
  });

  test("its words, however it is cut and goes on", () => {
    const { table, path } = grown(new Store(), tokens.length);
    for (let cut = 0; cut <= path.length; cut++) {
      const found = new Words();
      for (const row of path) found.push(table, row);
      found.cut(table, path.slice(0, cut));
      for (const row of path.slice(cut)) found.push(table, row);
      expect(path.filter((place) => found.at(place).first === place)).toEqual(
        words.map(([first]) => first),
      );
    }
  });

  test.each(totals)("the totals of the stretch from $first to $last", (expected) => {
    const { first, last, ...written } = expected;
    const sums = new RunningSums().between(grown(new Store(), tokens.length), { first, last });
    for (const [name, value] of Object.entries(written)) {
      const mine = sums[name as keyof typeof written];
      if (value === null) expect(mine, name).toBeNaN();
      else expect(mine / (value || 1), name).toBeCloseTo(value === 0 ? 0 : 1, 6);
    }
  });
});

test("sums that grow with the text are those of the whole of it", () => {
  const store = new Store();
  const running = new RunningSums();
  for (const length of [1, 2, 3, 9, 10, tokens.length]) {
    grown(store, length);
    const whole = { first: 0, last: length - 1 };
    const fresh = new RunningSums().between(store, whole);
    const { bits, bytes, typicality, cost } = running.between(store, whole);
    expect([bits, bytes, cost]).toEqual([fresh.bits, fresh.bytes, fresh.cost]);
    expect(typicality).toBe(fresh.typicality);
  }
  store.state = { ...store.state, head: 6 };
  const { bits } = running.between(store, { first: 0, last: 6 });
  expect(bits).toBe(new RunningSums().between(store, { first: 0, last: 6 }).bits);
  expect(running.between(store, { first: 2, last: 1 }).tokens).toBe(0);
});
