import type { Table } from "./table";

/** A number of each token that its colour can show. */
export interface Measure {
  name: "surprisal" | "entropy";
  unit: string;
  /** Where the scale ends. It is fixed, so that a colour means the same in every text. */
  limit: number;
}

export const MEASURES: readonly Measure[] = [
  { name: "surprisal", unit: "bits", limit: 12 },
  { name: "entropy", unit: "bits", limit: 12 },
];

/** Where a row stands on the scale of a measure, 0 .. 1; null when it has no value. */
export function level(measure: Measure, table: Table, row: number): number | null {
  const value = table.value(measure.name, row);
  if (Number.isNaN(value)) return null;
  return Math.min(1, Math.max(0, value / measure.limit));
}
