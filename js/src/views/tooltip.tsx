import { useLayoutEffect, useRef } from "preact/hooks";
import * as format from "../format";
import { useStore } from "../hooks";
import { joined, measuresOf, SURPRISAL } from "../measures";
import type { Store } from "../store";
import { joinedBytes, nameOf } from "../text";
import type { Range } from "../totals";
import { TokenLabel } from "./token_label";
import { originOf } from "./token_names";

/** Pixels between a tooltip and what it is about, and the edge of the window. */
const GAP = 6;
/** So many tokens of a word are listed. */
const MOST_TOKENS = 8;

/** Everything that is known of a token, or of the tokens of a word, beside it. */
export function Tooltip(props: {
  unit: Range;
  anchor: HTMLElement;
  onEnter: () => void;
  onLeave: () => void;
}) {
  const { unit, anchor, onEnter, onLeave } = props;
  const box = useRef<HTMLDivElement>(null);
  const facts = useStore(
    (store) => factsOf(store, unit),
    (a, b) => String(a) === String(b),
  );
  const bytes = useStore(bytesIn(unit), (a, b) => String(a) === String(b));

  useLayoutEffect(() => {
    const tip = box.current as HTMLDivElement;
    // In the top layer nothing clips it, and the window is what it is laid out by.
    tip.showPopover();
    const { left, top, bottom } = anchor.getBoundingClientRect();
    const above = top - GAP - tip.offsetHeight;
    const farthest = document.documentElement.clientWidth - tip.offsetWidth - GAP;
    tip.style.left = `${Math.max(GAP, Math.min(left, farthest))}px`;
    tip.style.top = `${above >= GAP ? above : bottom + GAP}px`;
  }, [anchor, facts]);

  return (
    <div
      ref={box}
      class="itw-tooltip"
      role="tooltip"
      popover="manual"
      onPointerEnter={onEnter}
      onPointerLeave={onLeave}
    >
      <b>
        <TokenLabel bytes={bytes} />
      </b>
      {facts.map(([name, value]) => (
        <>
          <span>{name}</span>
          <span>{value}</span>
        </>
      ))}
    </div>
  );
}

function rowsIn({ path }: Store, { first, last }: Range): number[] {
  return path.slice(first, last + 1);
}

function bytesIn(unit: Range) {
  return (store: Store) => joinedBytes(rowsIn(store, unit).map((row) => store.table.bytes(row)));
}

type Fact = [name: string, value: string];

function factsOf(store: Store, unit: Range): Fact[] {
  const { table, state } = store;
  const rows = rowsIn(store, unit);
  const facts: Fact[] = [];
  for (const measure of measuresOf(table.measures)) {
    const { name, title, hue } = measure;
    const value = joined(measure, table, rows);
    // A rank is that of one token.
    if (hue === "origin" || Number.isNaN(value) || (name === "rank" && rows.length > 1)) continue;
    let words = `${format.bits(value)} ${measure.unit}`;
    if (name === "probability") words = format.probability(value);
    if (name === "rank")
      words = `${format.count(value)} of ${format.count(state.model.vocabulary_size)}`;
    facts.push([title, words]);
  }
  if (Number.isNaN(joined(SURPRISAL, table, rows))) facts.push(["context", "none: not scored"]);
  if (rows.some((row) => table.isDelimiter(row))) facts.push(["kind", "special token"]);
  facts.push(["origin", [...new Set(rows.map((row) => originOf(table, row)))].join(", ")]);
  if (rows.length > 1) {
    facts.push(["tokens", format.count(rows.length)]);
    for (const row of rows.slice(0, MOST_TOKENS)) {
      const bits = format.bits(table.value("surprisal", row));
      facts.push([`“${nameOf(table.bytes(row))}”`, `${bits} bits`]);
    }
  }
  return facts;
}
