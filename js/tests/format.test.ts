import { expect, test } from "vitest";
import { probability, signed } from "../src/format";

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

test.each([
  [0.004, "0.00"],
  [-0.004, "0.00"],
  [-0.006, "−0.01"],
  [1.5, "+1.50"],
  [Number.NEGATIVE_INFINITY, "−∞"],
  [Number.NaN, "–"],
])("%d is written as %s where it may lie on either side of 0", (value, written) => {
  expect(signed(value)).toBe(written);
});
