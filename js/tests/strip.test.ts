// The strip of a text that has more tokens than pixels.

import { expect, test, vi } from "vitest";
import { FakeKernel } from "./fake_kernel";
import { frame, show } from "./mount";

const HEIGHT = 64;
const LIMIT_BITS = 9;

function longText(): FakeKernel {
  const kernel = new FakeKernel(["The"], [" sat", " down"]);
  kernel.write(Array(1999).fill(" sat"));
  for (const row of kernel.rows) {
    row.entropy = 1;
    row.surprisal = 1;
  }
  return kernel;
}

/** How high the line of the entropies runs, in bits, point by point. */
async function lineOf(kernel: FakeKernel): Promise<number[]> {
  kernel.save();
  const drawn = vi.spyOn(CanvasRenderingContext2D.prototype, "lineTo");
  const { el } = show(kernel, 700);
  await frame();
  await frame();
  const points = drawn.mock.calls.map(([, y]) => LIMIT_BITS * (1 - y / HEIGHT));
  const bars = Math.ceil(2000 / Math.floor(2000 / (el.querySelector("canvas")?.clientWidth ?? 1)));
  return points.slice(-bars);
}

test("the line shows the highest entropy of the tokens that share a pixel", async () => {
  const kernel = longText();
  const peak = kernel.rows[1001];
  if (peak === undefined) throw new Error("the text is too short");
  peak.entropy = 6;
  expect(Math.max(...(await lineOf(kernel)))).toBeCloseTo(6);
});

test("tokens without an entropy leave the line whole", async () => {
  const kernel = longText();
  for (const row of kernel.rows.slice(1000, 1003)) row.entropy = Number.NaN;
  const begun = vi.spyOn(CanvasRenderingContext2D.prototype, "moveTo");
  const line = await lineOf(kernel);
  expect(line.every((bits) => Math.abs(bits - 1) < 1e-6)).toBe(true);
  expect(begun).not.toHaveBeenCalled();
});

test("a finger brushes along it and scrolls the page across it", async () => {
  const { el } = show(longText());
  await frame();
  const canvas = el.querySelector("canvas") as HTMLCanvasElement;
  expect(getComputedStyle(canvas).touchAction).toBe("pan-y");
});
