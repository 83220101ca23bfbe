import { useMemo, useState } from "preact/hooks";
import { sameFields, useStore, useViewer } from "../hooks";
import { branchSearch, type Line, linesOf } from "../lines";
import type { Branch } from "../tree";

export interface Listed {
  lines: readonly Line[];
  /** The branch that is shown. */
  current: Branch | undefined;
  /** How many branches are hidden, and whether they are listed all the same. */
  hidden: number;
  showsHidden: boolean;
  showHidden: (show: boolean) => void;
  /** What the listed branches have in their names or in what they add. */
  query: string;
  find: (query: string) => void;
}

/** Which branches are listed, and in which order. */
export function useListed(): Listed {
  const { store } = useViewer();
  const { tree, labels, rows, head } = useStore(
    ({ tree, labels, table, head, place }) => ({ tree, labels, rows: table.length, head, place }),
    sameFields,
  );
  const [showsHidden, showHidden] = useState(false);
  const [query, find] = useState("");
  const { generation } = store;
  const matches = useMemo(branchSearch, [generation]);
  const current = tree.branchOf(head);
  // A branch that is shown cannot be out of sight.
  const keeps = current !== undefined && labels.isHidden(current) ? current : null;
  const lines = useMemo(() => {
    const isListed = (branch: Branch) =>
      showsHidden || branch === keeps || !labels.isHidden(branch);
    return linesOf(
      store,
      (branch) => isListed(branch) && (query === "" || matches(store, branch, query)),
    );
    // With a query, every row may bring a branch into the list; else only one that starts a branch.
  }, [tree, tree.branches.length, labels, showsHidden, keeps, query, query === "" ? 0 : rows]);
  const hidden = useMemo(
    () => tree.branches.filter((branch) => labels.isHidden(branch)).length,
    [tree, tree.branches.length, labels],
  );
  return { lines, current, hidden, showsHidden, showHidden, query, find };
}
