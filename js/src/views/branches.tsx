import { useLayoutEffect, useRef, useState } from "preact/hooks";
import * as format from "../format";
import { useStore, useViewer } from "../hooks";
import type { Branch } from "../tree";
import { BranchList } from "./branch_list";
import { BranchTools } from "./branch_tools";
import { FindBranch } from "./find_branch";
import { busyRefusal } from "./refusals";
import { useListed } from "./use_listed";

/** With more branches than this there is a field to find one. */
const MANY = 12;

/** All branches, each below the one it parted from. */
export function Branches({ prefix }: { prefix: string }) {
  const viewer = useViewer();
  const { store } = viewer;
  const { lines, current, hidden, showsHidden, showHidden, query, find } = useListed();
  const refused = useStore(busyRefusal);
  const total = useStore(({ tree }) => tree.branches.length);
  // Whether the person wanted another branch meanwhile, and so should read why it is not shown.
  const [wanted, setWanted] = useState(false);
  // By number, since the objects of the tree are made anew with a snapshot.
  const [active, setActive] = useState<number | null>(null);
  const [renamed, setRenamed] = useState<number | null>(null);
  // Some browsers focus no button that is clicked, and what it is about must not change before it acts.
  const pressed = useRef(false);
  const placeOf = (number: number | null | undefined) =>
    number == null ? -1 : lines.findIndex(({ branch }) => branch.number === number);
  const shown = placeOf(current?.number);
  const walked = placeOf(active);
  const at = walked >= 0 ? walked : Math.max(0, shown);
  const target = lines[at]?.branch;
  const written = placeOf(renamed);

  useLayoutEffect(() => {
    if (refused === null) setWanted(false);
  }, [refused]);

  useLayoutEffect(() => {
    if (written < 0) setRenamed(null);
  }, [written]);

  function show(branch: Branch, place: number | null): void {
    const isShown = branch === current;
    const end = isShown ? store.path.length - 1 : store.table.value("position", branch.tip);
    const isThere = place !== null && place <= end;
    if (isThere && isShown) {
      viewer.select(place);
    } else if (refused === null) {
      viewer.switchTo(branch.tip);
      if (isThere) viewer.select(place);
    } else {
      setWanted(!isShown);
    }
  }

  /** The keyboard goes on beside a branch that is no longer listed. */
  function leave(branch: Branch): void {
    if (branch === current || showsHidden) return;
    const place = placeOf(branch.number);
    setActive((lines[place + 1] ?? lines[place - 1])?.branch.number ?? null);
  }

  function onFocusOut(event: FocusEvent & { currentTarget: HTMLElement }): void {
    const stays = event.currentTarget.contains(event.relatedTarget as Node | null);
    if (!stays && !pressed.current) setActive(null);
  }

  return (
    <section
      class="itw-branches"
      aria-label="All branches"
      onFocusOut={onFocusOut}
      onPointerDown={({ target }) => {
        pressed.current = target instanceof Element && target.closest(".itw-tools") !== null;
      }}
      onPointerUp={() => {
        pressed.current = false;
      }}
    >
      <div class="itw-row itw-branch-bar">
        <h4 class="itw-heading">Branches</h4>
        {(total > MANY || query !== "") && (
          <FindBranch label="Find branch" query={query} onFind={find} />
        )}
        {hidden > 0 && (
          <button type="button" class="itw-link" onClick={() => showHidden(!showsHidden)}>
            {format.plural(hidden, "hidden branch", "hidden branches")}:{" "}
            {showsHidden ? "leave out" : "show"}
          </button>
        )}
        {target !== undefined && (
          <BranchTools
            prefix={prefix}
            branch={target}
            onRename={() => setRenamed(target.number)}
            onHide={() => leave(target)}
          />
        )}
      </div>
      <BranchList
        prefix={prefix}
        lines={lines}
        current={shown}
        active={at}
        renamed={written}
        onActive={(branch) => setActive(branch.number)}
        onRename={(branch) => setRenamed(branch?.number ?? null)}
        onShow={show}
      />
      <div role="status">
        {wanted && refused !== null && <p class="itw-hint">{refused}</p>}
        {query !== "" && (
          <p class="itw-hint">
            {format.count(lines.length)} of {format.plural(total, "branch", "branches")}
          </p>
        )}
      </div>
    </section>
  );
}
