import { expect, test } from "vitest";
import { probability } from "../src/format";

test.each([
  [0.9995, "1.000"],
  [0.25, "0.250"],
  [0.00052, "0.0005"],
  [0.000023, "2.3e-5"],
  [1e-9, "1.0e-9"],
  [4.4e-12, "4e-12"],
  [0, "0"],
  [Number.NaN, "–"],
])("the probability %d is written as %s, in six signs at most", (value, written) => {
  expect(probability(value)).toBe(written);
  expect(written.length).toBeLessThanOrEqual(6);
});
