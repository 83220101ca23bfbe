// From a number to the strength of a colour.

import type { Measure } from "./measures";
import type { Table } from "./table";

/** What the strength of a colour means: the numbers at the two ends. */
export interface Scale {
  low: number;
  high: number;
}

/** Whether a colour means the same in every text, or the ends are those of the text's own values. */
export type ScaleKind = "fixed" | "fitted";

// Infinite bits are off every scale, and a style sheet cannot divide by them.
const FARTHEST = 1e6;
/** The share of values beyond each end of a fitted scale: one outlier does not make all others pale. */
const BEYOND = 0.02;
/** How much a text grows before its scale is fitted anew while it is being made. */
const GROWTH = 1.125;

/** Where a value stands along a scale's axis; linear or logarithmic as its measure says. */
export function along(measure: Measure, value: number): number {
  const place = measure.logarithmic ? Math.log2(value) : value;
  return Math.max(-FARTHEST, Math.min(FARTHEST, place));
}

/** The number at a share, 0 .. 1, of the way from one end of a scale to the other. */
export function valueAt(measure: Measure, { low, high }: Scale, share: number): number {
  if (measure.logarithmic) return low * (high / low) ** share;
  return low + share * (high - low);
}

/** How far along a scale a value stands, 0 .. 1. */
export function shareOf(measure: Measure, { low, high }: Scale, value: number): number {
  const [from, to] = [along(measure, low), along(measure, high)];
  return Math.min(1, Math.max(0, (along(measure, value) - from) / (to - from)));
}

/** Fits the scale of a text that may be growing. */
export class Fitting {
  #measure: Measure | null = null;
  #last = -1;
  #length = 0;
  #scale: Scale = { low: 0, high: 1 };

  /** The scale of the values along a path; while it grows it stays as it is for a while. */
  scale(measure: Measure, table: Table, path: readonly number[], growing: boolean): Scale {
    const longer = this.#length > 0 && path[this.#length - 1] === this.#last;
    const settled = growing ? path.length < this.#length * GROWTH : path.length === this.#length;
    if (measure !== this.#measure || !longer || !settled) {
      this.#measure = measure;
      this.#length = path.length;
      this.#last = path.at(-1) ?? -1;
      this.#scale = fitted(measure, table, path);
    }
    return this.#scale;
  }
}

function fitted(measure: Measure, table: Table, path: readonly number[]): Scale {
  const values = Float64Array.from(path, (row) => measure.value(table, row))
    .filter(Number.isFinite)
    .sort();
  const last = values.length - 1;
  const at = (share: number) => values[Math.round(share * last)] ?? Number.NaN;
  for (const beyond of [BEYOND, 0]) {
    const scale = {
      low: rounded(at(beyond), Math.floor),
      high: rounded(at(1 - beyond), Math.ceil),
    };
    if (scale.low < scale.high) return scale;
  }
  return measure;
}

/** A number of two digits at most: it can be read, and seldom changes while a text grows. */
function rounded(value: number, round: (value: number) => number): number {
  if (value === 0 || !Number.isFinite(value)) return value;
  const unit = 10 ** (Math.floor(Math.log10(Math.abs(value))) - 1);
  return Number((round(value / unit) * unit).toPrecision(2));
}
