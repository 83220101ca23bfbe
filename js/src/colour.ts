import type { MeasureInfo } from "./protocol";
import type { Table } from "./table";

/** A number of each token that its colour can show. */
export interface Measure {
  name: string;
  title: string;
  unit: string;
  /** Where the scale ends. It is fixed, so that a colour means the same in every text. */
  limit: number;
  /** Which of the style sheet's ramps shows it. */
  ramp: "surprisal" | "entropy" | "added";
  value: (table: Table, row: number) => number;
}

export const SURPRISAL: Measure = {
  name: "surprisal",
  title: "surprisal",
  unit: "bits",
  limit: 12,
  ramp: "surprisal",
  value: (table, row) => table.value("surprisal", row),
};

const ENTROPY: Measure = {
  name: "entropy",
  title: "entropy",
  unit: "bits",
  limit: 12,
  ramp: "entropy",
  value: (table, row) => table.value("entropy", row),
};

/** Every measure by which a table can be coloured: those of every table and those that the user registered. */
export function measuresOf(infos: readonly MeasureInfo[]): readonly Measure[] {
  return [SURPRISAL, ENTROPY, ...infos.map(added)];
}

function added({ name, title, unit, limit }: MeasureInfo): Measure {
  const value = (table: Table, row: number) => table.measured(name, row);
  return { name, title, unit, limit, ramp: "added", value };
}

/** Where a row stands on the scale of a measure, 0 .. 1; null when it has no value. */
export function level(measure: Measure, table: Table, row: number): number | null {
  const value = measure.value(table, row);
  if (Number.isNaN(value)) return null;
  return Math.min(1, Math.max(0, value / measure.limit));
}
