// A short text of several words and a line break, for tests of reading.

import { FakeKernel, type Piece } from "./fake_kernel";

const TEXT = [" exper", "ts", " say", ",", " so", "\n", "be", " it"];

export function kernelWith(pieces: Piece[] = TEXT): FakeKernel {
  const kernel = new FakeKernel(["The", " few"], pieces);
  kernel.write(pieces);
  kernel.save();
  return kernel;
}

export function bitsOf(kernel: FakeKernel, first: number, last: number): number {
  const rows = kernel.rows.slice(first, last + 1);
  return rows.reduce((sum, row) => sum + (row.surprisal || 0), 0);
}
