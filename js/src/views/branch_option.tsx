import { useMemo } from "preact/hooks";
import * as format from "../format";
import { useViewer } from "../hooks";
import { EXCERPT_TOKENS, excerptOf } from "../lines";
import { ORIGINS } from "../protocol";
import type { Branch } from "../tree";
import { ROW_HEIGHT } from "./map_paths";

interface BranchProps {
  id: string;
  branch: Branch;
  /** Its place in the list, and how many there are: most of them are not in the page. */
  place: number;
  count: number;
  current: boolean;
  active: boolean;
  /** Why it cannot be shown now; null when it can. */
  refused: string | null;
  onClick: (branch: Branch, event: MouseEvent) => void;
}

/** One branch in the list: what it is called, why it parted, what it adds. */
export function BranchOption(props: BranchProps) {
  const { id, branch, place, count, current, active, refused, onClick } = props;
  const { store } = useViewer();
  const { labels, table, tree } = store;
  const { tokens, bits, cost } = tree.ownSums(branch);
  // A thousand branches are listed while one of them grows: the others need not be read again.
  const length = 1 + table.value("position", branch.tip) - table.value("position", branch.start);
  const given = tree.given(branch.tip);
  const quoted = Math.min(given ? length : tokens, EXCERPT_TOKENS);
  const excerpt = useMemo(() => excerptOf(store, branch), [branch, given, quoted]);
  const origin = ORIGINS[table.value("origin", branch.start)];
  const parted = branch.parent === null ? undefined : origin;
  const name = labels.nameOf(branch);
  const colour = labels.colourOf(branch);
  const hidden = labels.isHidden(branch);
  const words = [
    name,
    labels.isNamed(branch) && `branch ${branch.number}`,
    colour,
    hidden && "hidden",
    parted,
    `“${excerpt}”`,
    format.plural(tokens, "new token"),
    `${format.bits(bits)} bits`,
    `cost ${format.bits(cost)} bits`,
  ];
  const classes = ["itw-branch", `itw-${origin}`];
  if (current) classes.push("itw-current");
  if (active) classes.push("itw-active");
  if (hidden) classes.push("itw-hidden");
  return (
    // The listbox hears the keys; its options never hold the focus.
    // biome-ignore lint/a11y/useKeyWithClickEvents: see above
    // biome-ignore lint/a11y/useFocusableInteractive: see above
    <div
      id={id}
      class={classes.join(" ")}
      style={{ insetBlockStart: `${place * ROW_HEIGHT}px` }}
      role="option"
      aria-selected={current}
      aria-posinset={place + 1}
      aria-setsize={count}
      aria-disabled={refused !== null}
      title={refused ?? undefined}
      onClick={(event) => onClick(branch, event)}
    >
      <span class="itw-aloud">{words.filter(Boolean).join(", ")}</span>
      <span class="itw-cells" aria-hidden="true">
        <span />
        <span class="itw-branch-name">
          {colour !== null && <span class={`itw-swatch itw-colour-${colour}`} />}
          <bdi class="itw-called">{name}</bdi>
          {parted !== undefined && <span class="itw-origin">{parted}</span>}
          <bdi class="itw-excerpt">{excerpt}</bdi>
        </span>
        <span class="itw-number">{format.count(tokens)}</span>
        <span class="itw-number">{format.bits(bits)}</span>
        <span class="itw-number">{format.bits(cost)}</span>
      </span>
    </div>
  );
}
