import type { TargetedKeyboardEvent } from "preact";
import { useLayoutEffect, useMemo, useState } from "preact/hooks";
import * as format from "../format";
import { useStore, useViewer } from "../hooks";
import { ORIGINS } from "../protocol";
import type { Store } from "../store";
import { textOf } from "../text";
import type { Branch } from "../tree";
import { busyRefusal } from "./refusals";

const EXCERPT_TOKENS = 16;
const DEEPEST = 10;

/** All branches, each below the one it parted from. */
export function Branches({ prefix }: { prefix: string }) {
  const viewer = useViewer();
  const { store } = viewer;
  // Whatever the list shows of a branch changes only with the rows, the head and the labels.
  useStore(({ generation, table, head }) => `${generation}/${table.length}/${head}`);
  const labels = useStore((store) => store.labels);
  const refused = useStore(busyRefusal);
  // Whether the person wanted another branch meanwhile, and so should read why it is not shown.
  const [wanted, setWanted] = useState(false);
  const [active, setActive] = useState<number | null>(null);
  const current = store.tree.branchOf(store.head)?.number ?? null;
  // One that is shown is listed even if it is hidden.
  const branches = store.tree
    .ordered()
    .filter((branch) => branch.number === current || !labels.isHidden(branch));
  const lines = linesOf(branches);
  const at = branches.findIndex(({ number }) => number === (active ?? current));
  const id = (number: number) => `${prefix}-branch-${number}`;

  useLayoutEffect(() => {
    if (refused === null) setWanted(false);
  }, [refused]);

  function show(branch: Branch): void {
    if (refused === null) viewer.switchTo(branch.tip);
    else setWanted(branch.number !== current);
  }

  function onKeyDown(event: TargetedKeyboardEvent<HTMLElement>): void {
    const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: branches.length - 1 }[
      event.key
    ];
    const branch = branches[Math.min(branches.length - 1, Math.max(0, next ?? at))];
    if (branch === undefined) return;
    if (next === undefined) {
      if (event.key !== "Enter" && event.key !== " ") return;
      show(branch);
    } else {
      setActive(branch.number);
      document.getElementById(id(branch.number))?.scrollIntoView({ block: "nearest" });
    }
    event.preventDefault();
  }

  return (
    <section class="itw-branches" aria-label="All branches">
      <div class="itw-branch itw-branch-head" aria-hidden="true">
        <span>Branches</span>
        <span title="Tokens that the branch does not share">tokens</span>
        <span>bits</span>
        <span>cost</span>
      </div>
      <div
        class="itw-branch-list"
        role="listbox"
        aria-label="Branches"
        aria-activedescendant={at < 0 ? undefined : id(branches[at]?.number ?? 0)}
        tabIndex={0}
        onKeyDown={onKeyDown}
        onBlur={() => setActive(null)}
      >
        {branches.map((branch, index) => (
          <BranchOption
            key={branch.number}
            id={id(branch.number)}
            branch={branch}
            lines={lines[index] ?? []}
            current={branch.number === current}
            active={index === at}
            refused={branch.number === current ? null : refused}
            onShow={show}
          />
        ))}
      </div>
      <div role="status">{wanted && refused !== null && <p class="itw-hint">{refused}</p>}</div>
    </section>
  );
}

interface BranchProps {
  id: string;
  branch: Branch;
  lines: string[];
  current: boolean;
  active: boolean;
  /** Why it cannot be shown now; null when it can. */
  refused: string | null;
  onShow: (branch: Branch) => void;
}

function BranchOption(props: BranchProps) {
  const { id, branch, lines, current, active, refused, onShow } = props;
  const { store } = useViewer();
  const { tokens, bits, cost } = store.tree.ownSums(branch);
  // A thousand branches are listed while one of them grows: the others need not be read again.
  const length =
    store.table.value("position", branch.tip) - store.table.value("position", branch.start);
  const given = store.tree.given(branch.tip);
  const excerpt = useMemo(
    () => excerptOf(store, branch),
    [branch, given, Math.min(length, 2 * EXCERPT_TOKENS)],
  );
  const origin = ORIGINS[store.table.value("origin", branch.start)];
  const name = store.labels.nameOf(branch);
  const words = [name, `“${excerpt}”`, format.plural(tokens, "new token")];
  if (branch.parent !== null) words.splice(1, 0, origin ?? "");
  words.push(`${format.bits(bits)} bits`, `cost ${format.bits(cost)} bits`);
  const classes = ["itw-branch", `itw-${origin}`];
  if (current) classes.push("itw-current");
  if (active) classes.push("itw-active");
  return (
    // The listbox hears the keys; its options never hold the focus.
    // biome-ignore lint/a11y/useKeyWithClickEvents: see above
    // biome-ignore lint/a11y/useFocusableInteractive: see above
    <div
      id={id}
      class={classes.join(" ")}
      role="option"
      aria-selected={current}
      aria-disabled={refused !== null}
      title={refused ?? undefined}
      onClick={() => onShow(branch)}
    >
      <span class="itw-aloud">{words.join(", ")}</span>
      <span class="itw-cells" aria-hidden="true">
        <span class="itw-branch-name">
          {lines.map((line, index) => (
            <span key={index} class={`itw-line itw-line-${line}`} />
          ))}
          <span class="itw-dot" />
          <b>
            <bdi>{name}</bdi>
          </b>
          {branch.parent !== null && <span class="itw-origin">{origin}</span>}
          <bdi class="itw-excerpt">{excerpt}</bdi>
        </span>
        <span class="itw-number">{format.count(tokens)}</span>
        <span class="itw-number">{format.bits(bits)}</span>
        <span class="itw-number">{format.bits(cost)}</span>
      </span>
    </div>
  );
}

/** The beginning of what a branch does not share with the one it parted from; never the prompt alone. */
function excerptOf({ table, tree }: Store, branch: Branch): string {
  const rows: number[] = [];
  for (let row: number | undefined = branch.start; row !== undefined; row = tree.children(row)[0]) {
    if (tree.given(row) && !tree.given(branch.tip)) continue;
    rows.push(row);
    if (rows.length === EXCERPT_TOKENS) break;
  }
  return textOf(rows.map((row) => table.bytes(row)))
    .replaceAll(/\s+/g, " ")
    .trim();
}

/** The lines before each branch: how far its parents and their later children reach. */
function linesOf(branches: readonly Branch[]): string[][] {
  const lines: string[][] = [];
  const listed = new Set(branches);
  let open: boolean[] = [];
  for (const branch of [...branches].reverse()) {
    let depth = 0;
    for (let above = branch.parent; above !== null && depth < DEEPEST; above = above.parent) {
      if (listed.has(above)) depth += 1;
    }
    const own: string[] = [];
    for (let level = 1; level < depth; level++) own.push(open[level] ? "through" : "none");
    if (depth > 0) own.push(open[depth] ? "fork" : "end");
    open = open.slice(0, depth);
    open[depth] = true;
    lines.push(own);
  }
  return lines.reverse();
}
