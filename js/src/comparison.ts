// Branches side by side, as a `compare-response` and a `divergences-response` carry them.

import type { Reply } from "./connection";
import { elements } from "./protocol";

/** A row of each branch in one line; null where a branch has no token there. */
export type Line = readonly (number | null)[];

export interface Alignment {
  /** Rows at which the branches end; the others are measured against the first. */
  tips: readonly number[];
  /** With how many tokens all of them begin. */
  shared: number;
  /** Where, in tokens of the first branch, each has its tokens again; null if nowhere. */
  meetsAt: readonly (number | null)[];
  /** From where they part. */
  lines: readonly Line[];
}

export function decodeAlignment(tips: readonly number[], { message, buffers }: Reply): Alignment {
  const rows = elements("<i4", buffers[0] as DataView);
  const lines: Line[] = [];
  for (let start = 0; start < rows.length; start += tips.length) {
    const line = rows.subarray(start, start + tips.length);
    lines.push(Array.from(line, (row) => (row < 0 ? null : row)));
  }
  return { tips, shared: message.shared ?? 0, meetsAt: message.meets_at ?? [], lines };
}

/** Bits by line and branch, one line after another; NaN where there are none. */
export function decodeDivergences({ buffers }: Reply): Float32Array {
  return elements("<f4", buffers[0] as DataView);
}
