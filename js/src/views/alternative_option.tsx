import * as format from "../format";
import { useViewer } from "../hooks";
import type { DistributionName } from "../protocol";
import { nameOf } from "../text";
import type { Alternative } from "../windows";
import { TokenLabel } from "./token_label";
import { isId } from "./use_alternatives";

interface OptionProps {
  id: string;
  index: number;
  total: number;
  /** Undefined while it is not known. */
  item: Alternative | undefined;
  /** The probability that fills the bar. */
  most: number;
  names: readonly DistributionName[];
  search: string;
  chosen: boolean;
  picked: boolean;
  onPick: (index: number) => void;
  onForce: (item: Alternative) => void;
}

/** One token of the list of alternatives, or its place while it is read. */
export function Option(props: OptionProps) {
  const { id, index, total, item, chosen, picked, onPick, onForce } = props;
  const classes = ["itw-alternative"];
  if (chosen) classes.push("itw-chosen");
  return (
    // The listbox hears the keys; its options never hold the focus.
    // biome-ignore lint/a11y/useKeyWithClickEvents: see above
    // biome-ignore lint/a11y/useFocusableInteractive: see above
    <div
      id={id}
      class={classes.join(" ")}
      role="option"
      aria-selected={picked}
      aria-setsize={total}
      aria-posinset={index + 1}
      onClick={() => onPick(index)}
      onDblClick={() => item !== undefined && onForce(item)}
    >
      {item === undefined ? <Waiting index={index} /> : <Cells {...props} item={item} />}
    </div>
  );
}

function Waiting({ index }: { index: number }) {
  return (
    <>
      <span class="itw-aloud">number {format.count(index + 1)} is being read</span>
      <span class="itw-cells" aria-hidden="true">
        <span class="itw-rank">…</span>
      </span>
    </>
  );
}

function Cells({ item, most, names, search, chosen }: OptionProps & { item: Alternative }) {
  const { tokens } = useViewer().store.table;
  const bytes = tokens.get(item.id) ?? new Uint8Array();
  const byId = isId(search, item.id);
  return (
    <>
      <span class="itw-aloud">{wordsOf(item, nameOf(bytes), names, byId, chosen)}</span>
      <span class="itw-cells" aria-hidden="true">
        <span class="itw-rank">{format.count(item.rank)}</span>
        <span class="itw-token-cell">
          <TokenLabel bytes={bytes} />
          {byId && <small>#{item.id}</small>}
          <span class="itw-bar">
            {names.map((name) => (
              <b
                key={name}
                class={`itw-share itw-${name}`}
                style={{ inlineSize: share(item[name], most) }}
              />
            ))}
          </span>
        </span>
        {names.map((name) => (
          <span key={name} class="itw-number">
            {written(item[name])}
          </span>
        ))}
        <span class="itw-number itw-bits">{format.bits(item.bits)}</span>
        <span class="itw-number itw-mass">{format.probability(item.mass)}</span>
      </span>
    </>
  );
}

function share(probability = 0, most: number): string {
  return `${100 * Math.min(1, probability / most)}%`;
}

function written(probability: number | undefined): string {
  return probability === undefined ? "…" : format.probability(probability);
}

/** What a screen reader says: what the columns show, each with its name. */
function wordsOf(
  item: Alternative,
  token: string,
  names: readonly DistributionName[],
  byId: boolean,
  chosen: boolean,
): string {
  const words = [`rank ${format.count(item.rank)}`, `"${token}"`];
  if (byId) words.push(`id ${item.id}`);
  words.push(`probability ${format.probability(item.p)}`, `${format.bits(item.bits)} bits`);
  for (const name of names) {
    if (name !== "p" && item[name] !== undefined) words.push(`${name} ${written(item[name])}`);
  }
  if (!Number.isNaN(item.mass)) words.push(`cumulative mass ${format.probability(item.mass)}`);
  if (chosen) words.push("chosen");
  return words.join(", ");
}
