// Where branches stand in the list and on the map: one line each, parting from one above it.

import type { Store } from "./store";
import { textOf } from "./text";
import type { Branch, Tree } from "./tree";

export interface Line {
  branch: Branch;
  /** The line that it parts from, by its place in the list; null for a text of its own. */
  parent: number | null;
  /** Number of tokens before the place where it parts. */
  from: number;
}

/** The lines of the branches that are wanted. One whose parent is not parts from the nearest that is. */
export function linesOf({ tree, table }: Store, isWanted: (branch: Branch) => boolean): Line[] {
  const places = new Map<Branch, number>();
  return tree.ordered().flatMap((branch) => {
    if (!isWanted(branch)) return [];
    let start = branch;
    while (start.parent !== null && !places.has(start.parent)) start = start.parent;
    const parent = start.parent === null ? null : (places.get(start.parent) ?? null);
    const line = { branch, parent, from: table.value("position", start.start) };
    places.set(branch, places.size);
    return [line];
  });
}

/** Where the axis ends that all of these lines fit on. It grows in steps, and so the map stands still. */
export function axisOf({ table }: Store, lines: readonly Line[]): number {
  const ends = lines.map(({ branch }) => table.value("position", branch.tip) + 1);
  const longest = ends.reduce((most, end) => Math.max(most, end), 8);
  const step = 2 ** Math.ceil(Math.log2(longest)) / 8;
  return Math.ceil(longest / step) * step;
}

/** The rows that a branch does not share with the one it parted from; never the prompt alone. */
function* ownRows(tree: Tree, branch: Branch): Generator<number> {
  for (let row: number | undefined = branch.start; row !== undefined; row = tree.children(row)[0]) {
    if (!tree.given(row) || tree.given(branch.tip)) yield row;
  }
}

/** Longer branches show no more of themselves. */
export const EXCERPT_TOKENS = 16;

/** The beginning of what a branch adds, in one line. */
export function excerptOf({ table, tree }: Store, branch: Branch): string {
  const bytes: Uint8Array[] = [];
  for (const row of ownRows(tree, branch)) {
    if (bytes.push(table.bytes(row)) === EXCERPT_TOKENS) break;
  }
  return textOf(bytes).replaceAll(/\s+/g, " ").trim();
}

/** Finds branches by their names and by what they add. */
export function branchSearch() {
  // What a branch says changes only with its tip, and a thousand may be looked through with each token.
  const texts = new Map<number, { tip: number; text: string }>();

  return ({ labels, table, tree }: Store, branch: Branch, query: string): boolean => {
    let known = texts.get(branch.start);
    if (known?.tip !== branch.tip) {
      const bytes = [...ownRows(tree, branch)].map((row) => table.bytes(row));
      known = { tip: branch.tip, text: folded(textOf(bytes)) };
      texts.set(branch.start, known);
    }
    return [folded(labels.nameOf(branch)), known.text].some((text) => text.includes(folded(query)));
  };
}

/** A text as it is compared: whatever the case and the kind of space. */
function folded(text: string): string {
  return text.toLowerCase().replaceAll(/\s+/g, " ");
}
