import { useMemo, useState } from "preact/hooks";
import * as format from "../format";
import { useStore, useViewer } from "../hooks";
import { branchSearch } from "../lines";
import { FindBranch } from "./find_branch";

const MOST_BRANCHES = 6;
/** So many are offered at once; of more there is a field to find others. */
const MOST_OFFERED = 20;

interface ChoiceProps {
  /** Rows at which the chosen branches start, in the order in which they were chosen. */
  chosen: readonly number[];
  onChoose: (chosen: readonly number[]) => void;
}

/** Which branches are compared. Hidden ones are offered while they are chosen. */
export function CompareChoice({ chosen, onChoose }: ChoiceProps) {
  const { store } = useViewer();
  const labels = useStore((store) => store.labels);
  const { branches } = store.tree;
  const [query, setQuery] = useState("");
  // What is given up stays to be chosen again, until others are looked for.
  const [dropped, setDropped] = useState<readonly number[]>([]);
  const matches = useMemo(branchSearch, []);

  const kept = (start: number) => chosen.includes(start) || dropped.includes(start);
  const visible = branches.filter((branch) => !labels.isHidden(branch));
  const found = query === "" ? visible : visible.filter((branch) => matches(store, branch, query));
  const near = new Set(found.slice(0, MOST_OFFERED));
  const offered = branches.filter((branch) => near.has(branch) || kept(branch.start));

  function toggle(start: number): void {
    if (!chosen.includes(start)) {
      onChoose([...chosen, start]);
      return;
    }
    setDropped([...dropped, start]);
    onChoose(chosen.filter((other) => other !== start));
  }

  return (
    <>
      {visible.length > MOST_OFFERED && (
        <div class="itw-row">
          <FindBranch
            label="Find a branch to compare"
            query={query}
            onFind={(typed) => {
              setQuery(typed);
              setDropped([]);
            }}
          />
          <span class="itw-hint" role="status">
            {format.count(near.size)} of {format.plural(visible.length, "branch", "branches")}
          </span>
        </div>
      )}
      <fieldset class="itw-row">
        <legend>Two to six branches, measured against the one that was chosen first</legend>
        {offered.map((branch) => {
          const on = chosen.includes(branch.start);
          return (
            <label key={branch.start}>
              <input
                type="checkbox"
                checked={on}
                disabled={!on && chosen.length >= MOST_BRANCHES}
                onChange={() => toggle(branch.start)}
              />{" "}
              {labels.nameOf(branch)}
            </label>
          );
        })}
      </fieldset>
    </>
  );
}
