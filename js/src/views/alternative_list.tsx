import type { ComponentChildren, TargetedKeyboardEvent } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import * as format from "../format";
import { useViewer } from "../hooks";
import { nameOf } from "../text";
import { TokenLabel } from "./token_label";
import type { Alternative } from "./use_alternatives";

interface ListProps {
  prefix: string;
  items: readonly Alternative[];
  /** The token that stands in this place. */
  chosen: Alternative | null;
  /** Whether the items are the first by rank, not the finds of a search. */
  ranked: boolean;
  picked: Alternative | null;
  onPick: (item: Alternative) => void;
  onForce: (item: Alternative) => void;
  after: ComponentChildren;
}

/** Tokens by rank. A click or the arrow keys pick one; Enter or a double click forces it. */
export function AlternativeList(props: ListProps) {
  const { prefix, items, chosen, ranked, picked, onPick, onForce, after } = props;
  const list = useRef<HTMLDivElement>(null);
  const most = Math.max(...items.map(({ p }) => p), chosen?.p ?? 0);
  const beyond = ranked && chosen !== null && !items.some(({ id }) => id === chosen.id);
  const all = beyond && items.length > 0 ? [...items, chosen] : items;
  const at = all.findIndex(({ id }) => id === picked?.id);

  useLayoutEffect(() => {
    const option = at < 0 ? null : document.getElementById(`${prefix}-alternative-${at}`);
    if (option !== null && list.current !== null) reveal(option, list.current);
  }, [at]);

  function onKeyDown(event: TargetedKeyboardEvent<HTMLElement>): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const next = step(event.key, at, all.length);
    const item = all[next ?? at];
    if (item === undefined || (next === null && event.key !== "Enter")) return;
    event.preventDefault();
    if (next === null) onForce(item);
    else onPick(item);
  }

  return (
    <div class="itw-table">
      <div class="itw-columns" aria-hidden="true">
        <span>rank</span>
        <span>token</span>
        <span />
        <span>p</span>
        <span>bits</span>
      </div>
      <div
        ref={list}
        class="itw-alternatives"
        role="listbox"
        aria-label="Alternatives"
        aria-activedescendant={at < 0 ? undefined : `${prefix}-alternative-${at}`}
        tabIndex={0}
        onKeyDown={onKeyDown}
      >
        {all.map((item, index) => (
          <Option
            key={item.id}
            id={`${prefix}-alternative-${index}`}
            item={item}
            share={item.p / most}
            chosen={item.id === chosen?.id}
            beyond={beyond && index === items.length}
            picked={index === at}
            onPick={onPick}
            onForce={onForce}
          />
        ))}
      </div>
      {after}
    </div>
  );
}

interface OptionProps {
  id: string;
  item: Alternative;
  share: number;
  chosen: boolean;
  beyond: boolean;
  picked: boolean;
  onPick: (item: Alternative) => void;
  onForce: (item: Alternative) => void;
}

function Option({ id, item, share, chosen, beyond, picked, onPick, onForce }: OptionProps) {
  const { tokens } = useViewer().store.table;
  const bytes = tokens.get(item.id);
  const p = format.probability(item.p);
  const bits = format.bits(item.bits);
  const words = [`rank ${format.count(item.rank)}`, `"${nameOf(bytes ?? new Uint8Array())}"`];
  words.push(`probability ${p}`, `${bits} bits`);
  if (chosen) words.push("chosen");
  const classes = ["itw-alternative"];
  if (chosen) classes.push("itw-chosen");
  if (beyond) classes.push("itw-beyond");
  return (
    // The listbox hears the keys; its options never hold the focus.
    // biome-ignore lint/a11y/useKeyWithClickEvents: see above
    // biome-ignore lint/a11y/useFocusableInteractive: see above
    <div
      id={id}
      class={classes.join(" ")}
      role="option"
      aria-selected={picked}
      onClick={() => onPick(item)}
      onDblClick={() => onForce(item)}
    >
      <span class="itw-aloud">{words.join(", ")}</span>
      <span class="itw-cells" aria-hidden="true">
        <span class="itw-rank">{format.count(item.rank)}</span>
        <TokenLabel bytes={bytes} />
        <span class="itw-bar">
          <b style={{ inlineSize: `${100 * share}%` }} />
        </span>
        <span class="itw-number">{p}</span>
        <span class="itw-number">{bits}</span>
      </span>
    </div>
  );
}

function step(key: string, at: number, length: number): number | null {
  const last = length - 1;
  const steps: Record<string, number> = {
    ArrowDown: at + 1,
    ArrowUp: at < 0 ? last : at - 1,
    Home: 0,
    End: last,
    PageDown: at + 10,
    PageUp: at - 10,
  };
  const next = steps[key];
  return next === undefined || length === 0 ? null : Math.min(last, Math.max(0, next));
}

/** Scroll the list, and nothing around it. */
function reveal(option: HTMLElement, list: HTMLElement): void {
  const box = option.getBoundingClientRect();
  const frame = list.getBoundingClientRect();
  if (box.top < frame.top) list.scrollTop -= frame.top - box.top;
  else if (box.bottom > frame.bottom) list.scrollTop += box.bottom - frame.bottom;
}
