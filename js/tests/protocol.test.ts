import { describe, expect, test } from "vitest";
import distribution from "../../tests/fixtures/protocol/distribution.json";
import noRows from "../../tests/fixtures/protocol/no_rows.json";
import rolledOut from "../../tests/fixtures/protocol/rollout.json";
import rows from "../../tests/fixtures/protocol/rows.json";
import knownTokens from "../../tests/fixtures/protocol/rows_with_known_tokens.json";
import {
  COLUMNS,
  type ColumnName,
  type DistributionName,
  decodeAlternatives,
  decodeSlice,
  type State,
  type Tokens,
} from "../src/protocol";
import { decodeRollout } from "../src/rollout";
import { bytesOf, encodeSlice, type Row } from "./encode";

// Messages come off the wire as views into one long buffer, wherever that puts them.
function viewsOf(texts: readonly string[]): DataView[] {
  const parts = texts.map((text) => Uint8Array.from(atob(text), (byte) => byte.charCodeAt(0)));
  const whole = new Uint8Array(1 + parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 1;
  return parts.map((part) => {
    whole.set(part, offset);
    offset += part.length;
    return new DataView(whole.buffer, offset - part.length, part.length);
  });
}

function dictionaryOf(tokens: Tokens): Record<string, number[]> {
  return Object.fromEntries([...tokens].map(([id, bytes]) => [String(id), [...bytes]]));
}

function numbersOf(values: ArrayLike<number>): (number | null)[] {
  return Array.from(values, (value) => (Number.isNaN(value) ? null : value));
}

describe.each([rows, knownTokens, noRows])("the fixture $name", ({ message, buffers, decoded }) => {
  test("says what Python wrote", () => {
    const { columns, measures, tokens } = decodeSlice(message.header, viewsOf(buffers));
    for (const { name } of COLUMNS) {
      const written = decoded.columns[name].flat() as (number | null)[];
      expect(numbersOf(columns[name]), name).toEqual(written);
    }
    expect(dictionaryOf(tokens)).toEqual(decoded.tokens);
    const names = message.header.measures.map(({ name }) => name);
    expect(Object.fromEntries(measures.map((values, i) => [names[i], numbersOf(values)]))).toEqual(
      decoded.measures,
    );
  });

  test("has the columns in the order of this half", () => {
    expect(Object.keys(decoded.columns)).toEqual(COLUMNS.map(({ name }) => name));
  });

  test("carries a state of the type of this half", () => {
    const state = message.state as State;
    expect(state.job?.kind).toBe("generate");
    expect(state.settings.top_p).toBe(0.9);
  });
});

test("an answer to a search says what Python wrote", () => {
  const { message, buffers, decoded } = distribution;
  const names = message.distributions as DistributionName[];
  const { ranks, ids, masses, log_probs, tokens } = decodeAlternatives(names, viewsOf(buffers));
  expect([...ranks]).toEqual(decoded.ranks);
  expect([...ids]).toEqual(decoded.ids);
  expect([...masses]).toEqual(decoded.masses);
  expect(Object.keys(log_probs)).toEqual(["p", "s"]);
  expect([...(log_probs.p ?? [])]).toEqual(decoded.log_probs.p);
  expect([...(log_probs.s ?? [])]).toEqual(decoded.log_probs.s);
  expect(dictionaryOf(tokens)).toEqual(decoded.tokens);
  expect(Number.isSafeInteger(message.id)).toBe(true);
});

test("continuations say what Python wrote", () => {
  const { message, buffers, decoded } = rolledOut;
  const { id, continuations, tokens } = decodeRollout({ message, buffers: viewsOf(buffers) });
  expect(id).toBe(message.rollout);
  expect(continuations.map(({ ids }) => [...ids])).toEqual(decoded.ids);
  expect(continuations.map(({ ranks }) => [...ranks])).toEqual(decoded.ranks);
  expect(continuations.map(({ ended }) => ended)).toEqual(message.ended);
  const finite = continuations.map(({ surprisals }) => [...surprisals].filter(Number.isFinite));
  expect(finite).toEqual(decoded.finite_surprisals);
  expect(dictionaryOf(tokens)).toEqual(decoded.tokens);
});

test("rows that this half wrote are read back, missing numbers and all", () => {
  const row = Object.fromEntries(COLUMNS.map(({ name }) => [name, 1])) as Record<
    ColumnName,
    number
  >;
  const written: Row = { ...row, cost: Number.NaN, top_ids: [4, 3], top_log_probs: [-0.5, -1.5] };
  const { header, buffers } = encodeSlice([written], 5, [[4, bytesOf(" é")]]);
  const { columns, tokens } = decodeSlice(header, buffers);
  expect(columns.cost[0]).toBeNaN();
  expect([...columns.top_ids.slice(0, 3)]).toEqual([4, 3, -1]);
  expect(columns.top_log_probs[2]).toBeNaN();
  expect([...(tokens.get(4) ?? [])]).toEqual([0x20, 0xc3, 0xa9]);
});

test("a slice that is cut short is refused with a sentence", () => {
  const { message, buffers } = rows;
  const views = viewsOf(buffers);
  const oneShort = `${views.length} buffers, not ${views.length - 1}`;
  expect(() => decodeSlice(message.header, views.slice(1))).toThrow(oneShort);
  expect(() => decodeSlice({ ...message.header, count: 3 }, views)).toThrow(
    /column parent holds 7 numbers/,
  );
});
