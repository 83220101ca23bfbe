// The numbers of a token that its colour can show.

import type { MeasureInfo } from "./protocol";
import type { Table } from "./table";

/** What one word has of the numbers of its tokens. */
type Join = "sum" | "product" | "largest" | "mean";

export interface Measure {
  name: string;
  title: string;
  unit: string;
  /** What it is, in one sentence. */
  about: string;
  /** The ends of its fixed scale, which are the same in every text. */
  low: number;
  high: number;
  /** Whether equal steps of the scale are equal ratios. */
  logarithmic: boolean;
  /** Which of the style sheet's colours shows it: one hue that grows stronger, or one for each origin. */
  hue: "warm" | "cool" | "violet" | "green" | "origin";
  join: Join;
  value: (table: Table, row: number) => number;
}

type Column = Parameters<Table["value"]>[0];

function column(name: Column, rest: Partial<Measure> & Pick<Measure, "about">): Measure {
  return {
    name,
    title: name,
    unit: "bits",
    low: 0,
    high: 12,
    logarithmic: false,
    hue: "warm",
    join: "sum",
    value: (table, row) => table.value(name, row),
    ...rest,
  };
}

export const SURPRISAL = column("surprisal", { about: "How surprising the token was: -log2 p" });

const OF_EVERY_TABLE: readonly Measure[] = [
  SURPRISAL,
  column("entropy", {
    about: "Mean surprisal of what might come",
    hue: "cool",
  }),
  column("varentropy", {
    about: "Variance of the surprisal of what might come",
    unit: "bits²",
    high: 16,
    hue: "cool",
  }),
  column("rank", {
    about: "1 + how many tokens were more probable; a logarithmic scale",
    unit: "",
    low: 1,
    high: 10_000,
    logarithmic: true,
    join: "largest",
    value: (table, row) => table.value("rank", row) || Number.NaN,
  }),
  column("surprisal", {
    name: "probability",
    title: "probability",
    about: "What the model gave the token: p",
    unit: "",
    high: 1,
    hue: "cool",
    join: "product",
    value: (table, row) => 2 ** -table.value("surprisal", row),
  }),
  column("surprisal", {
    name: "excess",
    title: "surprisal minus entropy",
    about: "Bits above what the model expected; a line marks 0",
    low: -8,
    high: 8,
    value: (table, row) => table.value("surprisal", row) - table.value("entropy", row),
  }),
  column("cost", {
    about: "Cost of steering to it: log2 q - log2 p; its surprisal where forced",
    hue: "violet",
  }),
  column("origin", {
    about: "Why the token stands there",
    unit: "",
    high: 1,
    hue: "origin",
    join: "largest",
  }),
];

/** Every measure by which a table can be coloured: those of every table and those that the user registered. */
export function measuresOf(infos: readonly MeasureInfo[]): readonly Measure[] {
  return [...OF_EVERY_TABLE, ...infos.map(registered)];
}

function registered({ name, title, unit, limit }: MeasureInfo): Measure {
  return {
    ...SURPRISAL,
    name,
    title,
    unit,
    about: `The registered measure ${name}`,
    high: limit,
    hue: "green",
    join: "mean",
    value: (table, row) => table.measured(name, row),
  };
}

/** What several tokens have of a measure together; those without a value are left out. */
export function joined(measure: Measure, table: Table, rows: readonly number[]): number {
  const [only] = rows;
  if (rows.length === 1 && only !== undefined) return measure.value(table, only);
  const values = rows.map((row) => measure.value(table, row)).filter((x) => !Number.isNaN(x));
  if (values.length === 0) return Number.NaN;
  switch (measure.join) {
    case "largest":
      return Math.max(...values);
    case "product":
      return values.reduce((product, value) => product * value, 1);
    default: {
      const sum = values.reduce((total, value) => total + value, 0);
      return measure.join === "sum" ? sum : sum / values.length;
    }
  }
}
