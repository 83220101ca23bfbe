import { useEffect, useRef, useState } from "preact/hooks";
import { bitsOf } from "../format";
import { useStore, useViewer } from "../hooks";
import type { Alternatives } from "../protocol";
import type { Store } from "../store";
import { nameOf } from "../text";

const PAGE = 50;
const TYPING_PAUSE_MS = 150;

/** A token that might have stood in a place. */
export interface Alternative {
  rank: number;
  id: number;
  p: number;
  bits: number;
}

interface Loaded {
  search: string;
  items: Alternative[];
  total: number;
  entropy: number;
}

const NOTHING: Loaded = { search: "", items: [], total: 0, entropy: Number.NaN };

/** The alternatives of one place: those that the table holds, and those that the kernel was asked for. */
export function useAlternatives(place: number, parent: number | null) {
  const viewer = useViewer();
  const row = useStore((store) => rowWithTop(store, place, parent));
  const [search, setSearch] = useState("");
  const [loaded, setLoaded] = useState(NOTHING);
  const [waiting, setWaiting] = useState(false);
  const current = useRef<AbortController | null>(null);

  const stored = row === null ? [] : storedTop(viewer.store, row);
  const found = loaded.search === search ? loaded.items : [];
  let items: Alternative[];
  if (search === "") items = [...stored, ...found];
  else if (loaded.search === search) items = found;
  else items = stored.filter(({ id }) => matches(viewer.store, id, search));

  function cancel(): void {
    current.current?.abort();
    current.current = null;
    setWaiting(false);
  }

  function load(offset: number): void {
    if (parent === null) return;
    cancel();
    const controller = new AbortController();
    current.current = controller;
    setWaiting(true);
    const query = { parent, offset, count: PAGE, ...(search === "" ? {} : { search }) };
    void viewer.distribution(query, controller.signal).then((page) => {
      if (controller.signal.aborted) return;
      setWaiting(false);
      if (page === null) return;
      setLoaded((before) => ({
        search,
        items: [...(before.search === search ? before.items : []), ...listed(page)],
        total: page.total,
        entropy: page.entropy,
      }));
    });
  }

  // What the table does not hold is asked for at once, what is searched for when typing pauses.
  const nothingStored = stored.length === 0;
  useEffect(() => {
    if (search === "" && !nothingStored) return cancel();
    const timer = setTimeout(() => load(0), search === "" ? 0 : TYPING_PAUSE_MS);
    return () => {
      clearTimeout(timer);
      current.current?.abort();
    };
  }, [search, nothingStored]);
  useEffect(() => () => current.current?.abort(), []);

  const vocabulary = viewer.store.state.model.vocabulary_size;
  const total = search !== "" && loaded.search === search ? loaded.total : vocabulary;
  return {
    items,
    search,
    setSearch,
    waiting,
    /** How many there are altogether; for a search that is known when the kernel has answered. */
    total,
    answered: search === "" ? items.length > 0 : loaded.search === search,
    entropy: row === null ? loaded.entropy : viewer.store.table.value("entropy", row),
    more: items.length < total ? () => load(items.length) : null,
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

function storedTop({ table }: Store, row: number): Alternative[] {
  const ids = table.values("top_ids", row);
  const logProbs = table.values("top_log_probs", row);
  const items: Alternative[] = [];
  for (const [index, id] of ids.entries()) {
    if (id >= 0) items.push(alternative(index + 1, id, logProbs[index] ?? Number.NaN));
  }
  return items;
}

function listed({ ranks, ids, log_probs }: Alternatives): Alternative[] {
  return Array.from(ids, (id, index) =>
    alternative(ranks[index] ?? 0, id, log_probs[index] ?? Number.NaN),
  );
}

function alternative(rank: number, id: number, logProb: number): Alternative {
  return { rank, id, p: Math.exp(logProb), bits: bitsOf(logProb) };
}

function matches({ table }: Store, id: number, search: string): boolean {
  const bytes = table.tokens.get(id);
  return bytes !== undefined && nameOf(bytes).toLowerCase().includes(search.toLowerCase());
}
