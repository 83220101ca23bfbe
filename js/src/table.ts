import {
  ARRAYS,
  COLUMNS,
  type ColumnName,
  type Columns,
  type MeasureInfo,
  type Rows,
  type Slice,
  type Tokens,
} from "./protocol";

const FIRST_CAPACITY = 256;

/** The token table: columns that only grow, and the bytes of every token that is mentioned in them. */
export class Table {
  readonly tokens: Tokens;
  /** The special tokens, with which a text begins or ends, as far as they are known. */
  readonly delimiters: Set<number>;
  /** Measures that the user has registered, for which there are columns too. */
  measures: readonly MeasureInfo[] = [];
  #length = 0;
  #capacity = 0;
  #columns = Object.fromEntries(
    COLUMNS.map(({ name, dtype }) => [name, new ARRAYS[dtype](0)]),
  ) as unknown as Columns;
  #measured: Float32Array[] = [];

  /** The kernel sends each token once in the life of the model: the next table takes over what is known. */
  constructor(known?: Table) {
    this.tokens = known?.tokens ?? new Map();
    this.delimiters = known?.delimiters ?? new Set();
  }

  get length(): number {
    return this.#length;
  }

  append(
    { columns, measures }: Omit<Rows, "tokens">,
    { count, measures: infos, delimiters }: Slice,
  ): void {
    for (const id of delimiters) this.delimiters.add(id);
    if (this.#length === 0) this.#measure(infos);
    this.#reserve(this.#length + count);
    for (const { name, width } of COLUMNS) {
      this.#columns[name].set(columns[name], this.#length * width);
    }
    for (const [index, values] of measures.entries()) {
      this.#measured[index]?.set(values, this.#length);
    }
    this.#length += count;
  }

  // A table has the same measures from its first row to its last.
  #measure(infos: readonly MeasureInfo[]): void {
    this.measures = infos;
    this.#measured = infos.map(() => new Float32Array(this.#capacity));
  }

  addTokens(tokens: Tokens): void {
    for (const [id, bytes] of tokens) this.tokens.set(id, bytes);
  }

  /** The value of one column in one row. */
  value(name: Exclude<ColumnName, "top_ids" | "top_log_probs">, row: number): number {
    return row < this.#length ? (this.#columns[name][row] ?? Number.NaN) : Number.NaN;
  }

  /** The value of a registered measure in one row. */
  measured(name: string, row: number): number {
    const index = this.measures.findIndex((measure) => measure.name === name);
    return row < this.#length ? (this.#measured[index]?.[row] ?? Number.NaN) : Number.NaN;
  }

  /** The values of one column in one row, for the columns that are wider than one number. */
  values<Name extends ColumnName>(name: Name, row: number): Columns[Name] {
    const width = COLUMNS.find((column) => column.name === name)?.width ?? 1;
    return this.#columns[name].subarray(row * width, (row + 1) * width) as Columns[Name];
  }

  /** Whether a row's token is special. */
  isDelimiter(row: number): boolean {
    return this.delimiters.has(this.value("token_id", row));
  }

  /** The bytes of the token in a row. */
  bytes(row: number): Uint8Array {
    return this.tokens.get(this.value("token_id", row)) ?? new Uint8Array();
  }

  // Doubling keeps an append cheap however long the text has become.
  #reserve(length: number): void {
    if (length <= this.#capacity) return;
    this.#capacity = Math.max(FIRST_CAPACITY, 2 * this.#capacity, length);
    this.#columns = Object.fromEntries(
      COLUMNS.map(({ name, dtype, width }) => {
        const column = new ARRAYS[dtype](this.#capacity * width);
        column.set(this.#columns[name]);
        return [name, column];
      }),
    ) as unknown as Columns;
    this.#measured = this.#measured.map((values) => {
      const column = new Float32Array(this.#capacity);
      column.set(values);
      return column;
    });
  }
}
