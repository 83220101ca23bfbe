import { useEffect, useMemo, useReducer, useState } from "preact/hooks";
import { bitsOf } from "../format";
import { useStore, useViewer } from "../hooks";
import { type DistributionName, ORIGINS } from "../protocol";
import type { Store } from "../store";
import { nameOf } from "../text";
import { type Alternative, Windows } from "../windows";

const TYPING_PAUSE_MS = 150;
/** So long something stays in sight before it is asked for, unless there is nothing to show instead. */
const PASSING_PAUSE_MS = 60;

/** The tokens that might stand in a place, as many as the vocabulary has. */
export interface Listing {
  /** Changes when the list is another one, and begins at its top. */
  key: string;
  /** The token that stands in the place. */
  row: number | null;
  search: string;
  setSearch: (search: string) => void;
  /** The distributions of the place, and the one that the tokens are ordered by. */
  names: readonly DistributionName[];
  order: DistributionName;
  setOrder: (order: DistributionName) => void;
  total: number;
  /** Undefined while it is not known. */
  item: (index: number) => Alternative | undefined;
  /** The token that stands in the place, and where in the list; null where it is in none. */
  chosen: Alternative | null;
  chosenAt: number | null;
  /** Have rows read that are in sight; a function that gives that up again before it has begun. */
  show: (first: number, last: number) => () => void;
  waiting: boolean;
  /** Whether the kernel is asked for something in sight that the table does not hold. */
  lacking: boolean;
  failed: boolean;
  retry: () => void;
  /** Whether the kernel has said how many there are. */
  answered: boolean;
  readOnly: boolean;
  /** How many the table holds. */
  held: number;
  /** Of `p`, in bits and bits². */
  entropy: number;
  varentropy: number;
}

/** What the table holds of a place at once, and the rest when it is asked for and comes. */
export function useAlternatives(place: number, row: number | null, parent: number | null): Listing {
  const viewer = useViewer();
  const { store } = viewer;
  const { table } = store;
  const holder = useStore((store) => rowWithTop(store, place, parent));
  const readOnly = useStore((store) => store.readOnly !== null);
  const [search, setSearch] = useState("");
  const [wish, setOrder] = useState<DistributionName>("p");
  const [, redraw] = useReducer((drawn: number) => drawn + 1, 0);

  const guessed = readOnly ? [] : namesOf(store, row);
  const order = guessed.includes(wish) ? wish : "p";
  const windows = useMemo(() => {
    const subject = { parent: parent ?? -1, search, order };
    return new Windows(viewer, subject, () => redraw(undefined));
  }, [viewer, parent, search, order]);
  useEffect(() => () => windows.cancel(), [windows, readOnly]);
  windows.row = row;

  const stored = useMemo(() => (holder === null ? [] : storedTop(store, holder)), [holder]);
  const found = search === "" ? stored : stored.filter(({ id }) => matches(store, id, search));
  // Where nothing more can be read, the list is what the table holds.
  const live = readOnly ? null : windows;
  const facts = live?.facts ?? null;
  const told = live?.total ?? null;
  const byTable = order === "p" && (search === "" || told === null);
  const chosen = row === null ? null : chosenIn(store, row, stored);
  const chosenAt = chosen === null ? null : placeOf(chosen);
  const vocabulary = store.state.model.vocabulary_size;

  function placeOf(chosen: Alternative): number | null {
    if (facts !== null) return facts.chosen;
    const at = byTable ? found.findIndex(({ id }) => id === chosen.id) : -1;
    if (at >= 0) return at;
    if (search !== "" || order !== "p") return null;
    // Tokens that tie share a rank: it is at least so far down.
    return readOnly ? found.length : Math.max(found.length, chosen.rank - 1);
  }

  function item(index: number): Alternative | undefined {
    const there = live?.at(index) ?? (byTable ? found[index] : undefined);
    return chosen !== null && index === chosenAt && there?.id !== chosen.id ? chosen : there;
  }

  function show(first: number, last: number): () => void {
    if (parent === null || readOnly) return () => {};
    const covered = search === "" && order === "p" ? stored.length : 0;
    const needed = last > covered || search !== "";
    // What stands in the table is complete unless a program drew the token.
    const from = guessed.length > 1 ? first : Math.max(first, covered);
    // How many a search finds is not known before it is answered.
    if (from >= last && search === "") return () => {};
    const fresh = told === null;
    const pause = fresh && search !== "" ? TYPING_PAUSE_MS : fresh && needed ? 0 : PASSING_PAUSE_MS;
    const timer = setTimeout(() => windows.want(from, last, needed), pause);
    return () => clearTimeout(timer);
  }

  const listed = found.length + (chosenAt === found.length ? 1 : 0);
  return {
    key: `${search}/${order}`,
    row,
    search,
    setSearch,
    names: facts?.distributions ?? (guessed.length > 0 ? guessed : ["p"]),
    order,
    setOrder,
    total: readOnly ? listed : (told ?? (search === "" ? vocabulary : found.length)),
    item,
    chosen,
    chosenAt,
    show,
    waiting: windows.waiting,
    lacking: windows.lacking,
    failed: !readOnly && windows.failed,
    retry: () => windows.retry(),
    answered: told !== null,
    readOnly,
    held: stored.length,
    entropy: holder === null ? (facts?.entropy ?? Number.NaN) : table.value("entropy", holder),
    varentropy:
      holder === null ? (facts?.varentropy ?? Number.NaN) : table.value("varentropy", holder),
  };
}

/** A row whose token was drawn in this place, and which keeps the top of the distribution there. */
function rowWithTop(store: Store, place: number, parent: number | null): number | null {
  const row = store.path[place];
  const rows = parent === null ? [] : store.tree.children(parent);
  for (const candidate of row === undefined ? rows : [row, ...rows]) {
    if ((store.table.values("top_ids", candidate)[0] ?? -1) >= 0) return candidate;
  }
  return null;
}

/** The distributions of a token's place, as its own probabilities tell them apart. */
function namesOf({ table }: Store, row: number | null): DistributionName[] {
  if (row === null || ORIGINS[table.value("origin", row)] !== "sampled") return ["p"];
  const [p, q, s] = (["surprisal", "surprisal_q", "surprisal_s"] as const).map((name) =>
    table.value(name, row),
  );
  return ["p", ...(q === p ? [] : (["q"] as const)), ...(s === q ? [] : (["s"] as const))];
}

function storedTop({ table }: Store, row: number): Alternative[] {
  const logProbs = table.values("top_log_probs", row);
  const items: Alternative[] = [];
  let [rank, mass] = [1, 0];
  for (const [index, id] of table.values("top_ids", row).entries()) {
    if (id < 0) break;
    const logProb = logProbs[index] ?? Number.NaN;
    // Tokens that tie share the better rank.
    if (logProb !== logProbs[index - 1]) rank = index + 1;
    const p = Math.exp(logProb);
    mass += p;
    items.push({ rank, id, p, bits: bitsOf(logProb), mass });
  }
  return items;
}

/** What the table says of the token that stands in a place; null where it has no probability. */
function chosenIn(
  { table }: Store,
  row: number,
  stored: readonly Alternative[],
): Alternative | null {
  const bits = table.value("surprisal", row);
  if (Number.isNaN(bits)) return null;
  const id = table.value("token_id", row);
  const rank = table.value("rank", row);
  const { mass } = stored.find((other) => other.id === id) ?? { mass: Number.NaN };
  const q = 2 ** -table.value("surprisal_q", row);
  const s = 2 ** -table.value("surprisal_s", row);
  return { rank, id, p: 2 ** -bits, bits, mass, q, s };
}

function matches({ table }: Store, id: number, search: string): boolean {
  if (isId(search, id)) return true;
  const bytes = table.tokens.get(id);
  return bytes !== undefined && nameOf(bytes).toLowerCase().includes(search.toLowerCase());
}

/** Whether a search names a token by its id. */
export function isId(search: string, id: number): boolean {
  return /^#?\d+$/.test(search.trim()) && Number(search.trim().replace("#", "")) === id;
}
