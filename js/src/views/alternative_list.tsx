import type { TargetedKeyboardEvent } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { DistributionName } from "../protocol";
import type { Alternative } from "../windows";
import { Option } from "./alternative_option";
import type { Listing } from "./use_alternatives";

/** Height of a row, in CSS pixels, and how many are in sight. */
const ROW = 26;
const IN_SIGHT = 12;
/** Rows beyond those in sight on either side, which scrolling shows at once. */
const MARGIN = 6;

interface ListProps {
  prefix: string;
  alternatives: Listing;
  /** The row that the keys are at; null for none. */
  at: number | null;
  onPick: (index: number) => void;
  onForce: (item: Alternative) => void;
}

/**
 * All tokens of a distribution, of which the page holds those in sight.
 *
 * A click or the arrow keys pick one; Enter or a double click forces it.
 */
export function AlternativeList({ prefix, alternatives, at, onPick, onForce }: ListProps) {
  const { total, item, chosen, chosenAt, names, key, show } = alternatives;
  const list = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const first = Math.max(0, Math.min(top - MARGIN, total - 1));
  const last = Math.min(total, top + IN_SIGHT + MARGIN);
  const most = Math.max(item(0)?.p ?? 0, chosen?.p ?? 0);
  const idOf = (index: number) => `${prefix}-alternative-${index}`;

  useLayoutEffect(() => {
    if (list.current !== null) list.current.scrollTop = 0;
    setTop(0);
  }, [key]);
  useEffect(
    () => show(first, last),
    [key, alternatives.row, first, last, names.join(), alternatives.readOnly],
  );
  useLayoutEffect(() => {
    if (at !== null && list.current !== null) reveal(at, chosenAt, list.current);
  }, [at]);

  function onKeyDown(event: TargetedKeyboardEvent<HTMLElement>): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const next = step(event.key, at ?? -1, total);
    if (next !== null) onPick(next);
    else if (event.key === "Enter" && at !== null) {
      const picked = item(at);
      if (picked !== undefined) onForce(picked);
    } else return;
    event.preventDefault();
  }

  const rows = shownRows(first, last, total, [chosenAt, at]);
  return (
    <div class={`itw-table itw-of-${names.length}`}>
      <Columns alternatives={alternatives} />
      <div
        ref={list}
        class="itw-alternatives"
        role="listbox"
        aria-label="Alternatives"
        aria-activedescendant={at === null ? undefined : idOf(at)}
        aria-busy={alternatives.waiting}
        tabIndex={0}
        style={{ "--itw-row": `${ROW}px`, "--itw-in-sight": IN_SIGHT }}
        onKeyDown={onKeyDown}
        onScroll={({ currentTarget }) => setTop(Math.floor(currentTarget.scrollTop / ROW))}
      >
        {rows.map(({ index, gap }) => [
          gap > 0 && <Gap key={`before ${index}`} rows={gap} />,
          index < total && (
            <Option
              key={index}
              id={idOf(index)}
              index={index}
              total={total}
              item={item(index)}
              most={most}
              names={names}
              search={alternatives.search}
              chosen={index === chosenAt}
              picked={index === at}
              onPick={onPick}
              onForce={onForce}
            />
          ),
        ])}
      </div>
    </div>
  );
}

/** What the columns are; a click on a distribution orders the tokens by it. */
function Columns({ alternatives }: { alternatives: Listing }) {
  const { names, order, setOrder } = alternatives;
  return (
    <div class="itw-columns">
      <span aria-hidden="true">rank</span>
      <span aria-hidden="true">token</span>
      {names.map((name) => (
        <button
          key={name}
          type="button"
          class={`itw-order itw-${name}`}
          aria-label={`Order by ${name}`}
          aria-pressed={name === order}
          title={MEANINGS[name]}
          onClick={() => setOrder(name)}
        >
          {name}
        </button>
      ))}
      <span class="itw-bits" aria-hidden="true" title="Surprisal in bits: -log2 p">
        bits
      </span>
      <span
        class="itw-mass"
        aria-hidden="true"
        title={`Cumulative mass: ${order} of all tokens up to and with this one`}
      >
        Σ {order}
      </span>
    </div>
  );
}

const MEANINGS: Record<DistributionName, string> = {
  p: "p, the model's own probability",
  q: "q, the probability after the interventions",
  s: "s, the probability that the token was drawn with, after all stages",
};

/** The height of rows that are out of sight. */
function Gap({ rows }: { rows: number }) {
  return <div role="presentation" style={{ blockSize: `${rows * ROW}px` }} />;
}

/** Rows that the page holds, each with how many are left out before it; the last is the end. */
function shownRows(first: number, last: number, total: number, more: (number | null)[]) {
  const shown = new Set<number>();
  for (let index = first; index < last; index++) shown.add(index);
  for (const index of more) if (index !== null && index < total) shown.add(index);
  let end = 0;
  return [...shown, total]
    .sort((a, b) => a - b)
    .map((index) => {
      const gap = index - end;
      end = index + 1;
      return { index, gap };
    });
}

function step(key: string, at: number, length: number): number | null {
  const last = length - 1;
  const steps: Record<string, number> = {
    ArrowDown: at + 1,
    ArrowUp: at < 0 ? last : at - 1,
    Home: 0,
    End: last,
    PageDown: at + IN_SIGHT - 2,
    PageUp: at - IN_SIGHT + 2,
  };
  const next = steps[key];
  return next === undefined || length === 0 ? null : Math.min(last, Math.max(0, next));
}

/** Scroll the list, and nothing around it, so that a row is neither out of sight nor below the chosen one. */
function reveal(at: number, chosenAt: number | null, list: HTMLElement): void {
  const above = chosenAt !== null && chosenAt < at ? 1 : 0;
  const below = chosenAt !== null && chosenAt > at ? 1 : 0;
  const top = (at - above) * ROW;
  const bottom = (at + 1 + below) * ROW;
  if (top < list.scrollTop) list.scrollTop = top;
  else if (bottom > list.scrollTop + list.clientHeight) {
    list.scrollTop = bottom - list.clientHeight;
  }
}
