// The wire between kernel and page, page half. `itwidgets/widgets/protocol.py` is the other half and
// uses the same names; the files in tests/fixtures/protocol hold both together.

export const VERSION = 1;

/** How many alternatives a row keeps of the distribution that its token was drawn from. */
export const TOP_K = 50;

/** The columns of the token table that travel, in the order of their buffers. */
export const COLUMNS = [
  { name: "parent", dtype: "<i4", width: 1 },
  { name: "token_id", dtype: "<i4", width: 1 },
  { name: "position", dtype: "<i4", width: 1 },
  { name: "origin", dtype: "|u1", width: 1 },
  { name: "rank", dtype: "<i4", width: 1 },
  { name: "surprisal", dtype: "<f4", width: 1 },
  { name: "entropy", dtype: "<f4", width: 1 },
  { name: "varentropy", dtype: "<f4", width: 1 },
  { name: "surprisal_q", dtype: "<f4", width: 1 },
  { name: "surprisal_s", dtype: "<f4", width: 1 },
  { name: "cost", dtype: "<f4", width: 1 },
  { name: "expected_cost", dtype: "<f4", width: 1 },
  { name: "fired", dtype: "<u4", width: 1 },
  { name: "top_ids", dtype: "<i4", width: TOP_K },
  { name: "top_log_probs", dtype: "<f4", width: TOP_K },
] as const;

type ColumnSpec = (typeof COLUMNS)[number];
export type ColumnName = ColumnSpec["name"];
export type Columns = { [Spec in ColumnSpec as Spec["name"]]: Arrays[Spec["dtype"]] };

interface Arrays {
  "|u1": Uint8Array;
  "<u4": Uint32Array;
  "<i4": Int32Array;
  "<f4": Float32Array;
}
export type Dtype = keyof Arrays;

interface MakesArrays {
  new (length: number): Arrays[Dtype];
  new (values: number[]): Arrays[Dtype];
  new (buffer: ArrayBuffer): Arrays[Dtype];
}

/** The arrays that the numbers of a column stand in. */
export const ARRAYS: Record<Dtype, MakesArrays> = {
  "|u1": Uint8Array,
  "<u4": Uint32Array,
  "<i4": Int32Array,
  "<f4": Float32Array,
};

/** Why a token stands where it stands: the words of the numbers in the column `origin`. */
export const ORIGINS = ["prompt", "sampled", "forced", "edited"] as const;
export type Origin = (typeof ORIGINS)[number];

export interface Settings {
  max_new_tokens: number;
  temperature: number;
  top_k: number | null;
  top_p: number | null;
  min_p: number | null;
  seed: number;
}

export interface Job {
  id: number;
  kind: "prompt" | "generate" | "force" | "siblings" | "adopt";
  made: number;
  total: number;
  stopping: boolean;
}

export interface Notice {
  id: number;
  type: string;
  message: string;
}

export interface ModelInfo {
  name: string;
  vocabulary_size: number;
  context_length: number | null;
}

/** The colours that a branch can be given. */
export const COLOURS = ["blue", "orange", "green", "pink", "gold"] as const;
export type Colour = (typeof COLOURS)[number];

/** What people call the branch that starts at a row. */
export interface Label {
  start: number;
  name: string | null;
  colour: Colour | null;
  hidden: boolean;
}

export interface State {
  version: number;
  seq: number;
  session: string;
  rows: number;
  head: number;
  selected: number | null;
  prompt: string;
  settings: Settings;
  job: Job | null;
  notice: Notice | null;
  can_undo: boolean;
  can_redo: boolean;
  read_only: string | null;
  labels: Label[];
  model: ModelInfo;
}

/** A measure that the user has registered; `limit` is where the scale of its colours ends. */
export interface MeasureInfo {
  name: string;
  unit: string;
  title: string;
  limit: number;
}

/** Header of rows `first .. first + count`; their columns, measures and new tokens are the buffers. */
export interface Slice {
  first: number;
  count: number;
  measures: MeasureInfo[];
  /** Those among the new tokens with which a text begins or ends. */
  delimiters: number[];
}

/** What a slice of rows holds. */
export interface Rows {
  columns: Columns;
  /** One array for each of the header's measures. */
  measures: Float32Array[];
  /** The tokens that travelled with the rows. */
  tokens: Tokens;
}

/** The trait `table`: all rows, for a page that comes later than they were made. */
export interface TableTrait {
  seq: number;
  header: Slice;
  buffers: DataView[];
}

export interface Traits {
  state: State;
  table: TableTrait;
}

/** `p` of the model, `q` after the interventions, `s` that a token is drawn from. */
export type DistributionName = "p" | "q" | "s";

/** Rows of the distributions after `parent`; `row` is a token there, for what its program made of `p`. */
export interface DistributionQuery {
  parent: number;
  row?: number;
  offset: number;
  count: number;
  search?: string;
  order?: DistributionName;
}

/** What one operator of a program did. */
export interface Stage {
  operator: string;
  makes: "q" | "s";
  /** Null is infinite: it brought back a token that could not come any more. */
  kl_bits: number | null;
  entropy_change_bits: number;
  mass_moved: number;
  support_size: number;
  /** Id, probability before and after of the tokens whose probability changed most. */
  moved: [number, number, number][];
}

/** Files that the kernel writes of a session. */
export type SessionFile = "html" | "session" | "csv";

/** What each request carries besides `kind` and `id`. */
export interface Requests {
  generate: { prompt: string; settings: Settings; parent?: number };
  force: { parent: number; settings: Settings } & ({ token_id: number } | { text: string });
  stop: object;
  switch: { row: number };
  undo: object;
  redo: object;
  select: { row: number | null };
  settings: { settings: Settings };
  distribution: DistributionQuery;
  stages: { row: number };
  tokenize: { parent: number; text: string };
  siblings: { parent: number; n: number; settings: Settings };
  rollout: { parent: number; k: number; settings: Settings };
  adopt: { rollout: number; index: number };
  compare: { tips: readonly number[] };
  divergences: { tips: readonly number[] };
  snapshot: object;
  /** The pictures are the part of the front end that draws them. */
  export: { format: SessionFile | "pictures" };
  dismiss: { notice: number };
  label: { row: number; label: Partial<Omit<Label, "start">> };
}
export type RequestKind = keyof Requests;

export interface ErrorBody {
  type: string;
  message: string;
}

/** A custom message from the kernel. `kind` decides which of the other fields stand. */
export interface Message {
  kind: string;
  id?: number;
  error?: ErrorBody;
  state?: State;
  header?: Slice;
  parent?: number;
  offset?: number;
  total?: number;
  distributions?: DistributionName[];
  chosen?: number | null;
  entropy?: number;
  varentropy?: number;
  stages?: Stage[];
  token_ids?: number[];
  surprisals?: (number | null)[];
  joined?: number[];
  rollout?: number;
  lengths?: number[];
  ended?: boolean[];
  shared?: number;
  meets_at?: (number | null)[];
}

/** The bytes of tokens by their ids. */
export type Tokens = Map<number, Uint8Array>;

export interface Alternatives {
  ranks: Int32Array;
  ids: Int32Array;
  /** Probability of the tokens up to and with each, in the order that was asked for. */
  masses: Float32Array;
  log_probs: Partial<Record<DistributionName, Float32Array>>;
  tokens: Tokens;
}

// A view may start anywhere in its message, and typed arrays need alignment: always copy.
function bytesOf(view: DataView): Uint8Array<ArrayBuffer> {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice();
}

/** The numbers of a buffer. */
export function elements<Name extends Dtype>(dtype: Name, view: DataView): Arrays[Name];
export function elements(dtype: Dtype, view: DataView): Arrays[Dtype] {
  return new ARRAYS[dtype](bytesOf(view).buffer);
}

/** Return what an encoded slice holds. */
export function decodeSlice(header: Slice, buffers: readonly DataView[]): Rows {
  const measured = COLUMNS.length + header.measures.length;
  if (buffers.length !== measured + 3) {
    throw new Error(`A slice of rows has ${measured + 3} buffers, not ${buffers.length}.`);
  }
  function read(name: string, dtype: Dtype, width: number, index: number): Arrays[Dtype] {
    const values = elements(dtype, buffers[index] as DataView);
    if (values.length !== header.count * width) {
      throw new Error(
        `The column ${name} holds ${values.length} numbers for ${header.count} rows.`,
      );
    }
    return values;
  }
  const columns = Object.fromEntries(
    COLUMNS.map(({ name, dtype, width }, index) => [name, read(name, dtype, width, index)]),
  ) as unknown as Columns;
  const measures = header.measures.map(
    ({ name }, index) => read(name, "<f4", 1, COLUMNS.length + index) as Float32Array,
  );
  return { columns, measures, tokens: decodeTokens(buffers.slice(measured)) };
}

/** Return the bytes of each token of an encoded dictionary by id. */
export function decodeTokens(buffers: readonly DataView[]): Tokens {
  const [ids, ends, text] = buffers;
  const tokens: Tokens = new Map();
  if (ids === undefined || ends === undefined || text === undefined) return tokens;
  const stops = new Uint32Array(bytesOf(ends).buffer);
  const bytes = bytesOf(text);
  let start = 0;
  for (const [index, id] of new Int32Array(bytesOf(ids).buffer).entries()) {
    const stop = stops[index] ?? start;
    tokens.set(id, bytes.slice(start, stop));
    start = stop;
  }
  return tokens;
}

/** Return the rows of distributions that a `distribution-response` carries. */
export function decodeAlternatives(
  names: readonly DistributionName[],
  buffers: readonly DataView[],
): Alternatives {
  if (buffers.length !== names.length + 6) {
    throw new Error(
      `Rows of ${names.join(", ")} have ${names.length + 6} buffers, not ${buffers.length}.`,
    );
  }
  const [ranks, ids, masses, ...others] = buffers as [DataView, DataView, DataView, ...DataView[]];
  const numbers = (index: number) => elements("<f4", others[index] as DataView) as Float32Array;
  return {
    ranks: elements("<i4", ranks) as Int32Array,
    ids: elements("<i4", ids) as Int32Array,
    masses: elements("<f4", masses) as Float32Array,
    log_probs: Object.fromEntries(names.map((name, index) => [name, numbers(index)])),
    tokens: decodeTokens(others.slice(names.length)),
  };
}
