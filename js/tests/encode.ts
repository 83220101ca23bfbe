import {
  ARRAYS,
  COLUMNS,
  type ColumnName,
  type Dtype,
  type MeasureInfo,
  type Slice,
} from "../src/protocol";

export type Row = Record<Exclude<ColumnName, "top_ids" | "top_log_probs">, number> & {
  top_ids: number[];
  top_log_probs: number[];
};

const encoder = new TextEncoder();

export function bytesOf(text: string | number[]): Uint8Array {
  return typeof text === "string" ? encoder.encode(text) : new Uint8Array(text);
}

// Views into the middle of a longer buffer, at odd offsets: as they come off a websocket.
function view(bytes: Uint8Array): DataView {
  const shifted = new Uint8Array(bytes.length + 3);
  shifted.set(bytes, 3);
  return new DataView(shifted.buffer, 3, bytes.length);
}

/** A buffer that holds a text. */
export function encodeText(text: string): DataView {
  return view(encoder.encode(text));
}

function pack(dtype: Dtype, values: number[]): DataView {
  return view(new Uint8Array(new ARRAYS[dtype](values).buffer));
}

/** A buffer of numbers. */
export const encodeNumbers = pack;

function padded(values: number[], width: number, missing: number): number[] {
  return Array.from({ length: width }, (_, index) => values[index] ?? missing);
}

export function encodeTokens(tokens: Iterable<[number, Uint8Array]>): DataView[] {
  const entries = [...tokens];
  const ends: number[] = [];
  const bytes: number[] = [];
  for (const [, text] of entries) {
    bytes.push(...text);
    ends.push(bytes.length);
  }
  const ids = entries.map(([id]) => id);
  return [pack("<i4", ids), pack("<u4", ends), view(new Uint8Array(bytes))];
}

/** The buffers of rows, as `encode_slice` writes them. */
export function encodeSlice(
  rows: readonly Row[],
  first: number,
  tokens: Iterable<[number, Uint8Array]>,
  measures: readonly MeasureInfo[] = [],
  delimiters: readonly number[] = [],
): { header: Slice; buffers: DataView[] } {
  const buffers = COLUMNS.map(({ name, dtype, width }) => {
    const missing = dtype === "<f4" ? Number.NaN : -1;
    const values = rows.flatMap((row) => {
      const value = row[name];
      return typeof value === "number" ? [value] : padded(value, width, missing);
    });
    return pack(dtype, values);
  });
  // What a measure gives plays no part here, so it is the number of the row.
  const measured = measures.map(() =>
    pack(
      "<f4",
      [...rows.keys()].map((row) => first + row),
    ),
  );
  return {
    header: { first, count: rows.length, measures: [...measures], delimiters: [...delimiters] },
    buffers: [...buffers, ...measured, ...encodeTokens(tokens)],
  };
}

export function encodeAlternatives(
  ranks: number[],
  ids: number[],
  masses: number[],
  logProbs: number[][],
  tokens: Iterable<[number, Uint8Array]>,
): DataView[] {
  return [
    pack("<i4", ranks),
    pack("<i4", ids),
    pack("<f4", masses),
    ...logProbs.map((values) => pack("<f4", values)),
    ...encodeTokens(tokens),
  ];
}
