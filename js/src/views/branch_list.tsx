import type { TargetedKeyboardEvent } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import * as format from "../format";
import { useStore, useViewer } from "../hooks";
import { axisOf, type Line } from "../lines";
import type { Branch } from "../tree";
import { BranchMap } from "./branch_map";
import { BranchName } from "./branch_name";
import { BranchOption } from "./branch_option";
import { step } from "./line_keys";
import { ROW_HEIGHT } from "./map_paths";
import { busyRefusal, labelRefusal } from "./refusals";
import { useRows } from "./use_rows";

interface ListProps {
  prefix: string;
  lines: readonly Line[];
  /** The lines of the branch that is shown, of that which keys walk from, and of that which is renamed. */
  current: number;
  active: number;
  renamed: number;
  onActive: (branch: Branch) => void;
  onRename: (branch: Branch | null) => void;
  /** Called with a branch, and the position that was pointed at on its line. */
  onShow: (branch: Branch, place: number | null) => void;
}

/** The branches in view, on the map and as the options of a list. */
export function BranchList(props: ListProps) {
  const { prefix, lines, current, active, renamed, onActive, onRename, onShow } = props;
  const { store } = useViewer();
  const refused = useStore(busyRefusal);
  const unlabelled = useStore(labelRefusal);
  const { scroller, first, last, measure, reveal } = useRows(lines.length, ROW_HEIGHT);
  const list = useRef<HTMLDivElement>(null);
  const map = useRef<HTMLSpanElement>(null);
  const [width, setWidth] = useState(0);
  const axis = axisOf(store, lines);
  const id = (line: Line | undefined) => line && `${prefix}-branch-${line.branch.number}`;
  const beingShown = lines[current]?.branch.number;

  useLayoutEffect(() => {
    const sized = new ResizeObserver(() => setWidth(map.current?.clientWidth ?? 0));
    if (map.current !== null) sized.observe(map.current);
    return () => sized.disconnect();
  }, []);
  useLayoutEffect(() => reveal(current), [beingShown]);
  useLayoutEffect(() => reveal(renamed), [renamed]);

  function onKeyDown(event: TargetedKeyboardEvent<HTMLElement>): void {
    const line = lines[active];
    if (line === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    const next = step(event.key, active, lines);
    if (next !== undefined) {
      onActive((lines[next] as Line).branch);
      reveal(next);
    } else if (event.key === "Enter" || event.key === " ") {
      onShow(line.branch, null);
    } else if (event.key === "F2" && unlabelled === null) {
      onRename(line.branch);
    } else {
      return;
    }
    event.preventDefault();
  }

  function onClick(branch: Branch, event: MouseEvent): void {
    const across = event.clientX - (map.current?.getBoundingClientRect().left ?? 0);
    onActive(branch);
    onShow(branch, across >= 0 && across < width ? Math.floor((across / width) * axis) : null);
  }

  return (
    <>
      <div class="itw-branch itw-branch-head" aria-hidden="true">
        <span ref={map} class="itw-axis">
          <span>0</span>
          <i>{format.count(axis / 2)}</i>
          <span>
            {format.count(axis)}
            <i> tokens</i>
          </span>
        </span>
        <span />
        <span title="That the branch does not share">tokens</span>
        <span>bits</span>
        <span>cost</span>
      </div>
      <div ref={scroller} class="itw-branch-scroller" onScroll={measure}>
        <div
          ref={list}
          class="itw-branch-list"
          style={{ blockSize: `${lines.length * ROW_HEIGHT}px` }}
          role="listbox"
          aria-label="Branches"
          aria-activedescendant={active >= first && active < last ? id(lines[active]) : undefined}
          tabIndex={0}
          onKeyDown={onKeyDown}
        >
          {lines.slice(first, last).map((line, index) => (
            <BranchOption
              key={line.branch.number}
              id={id(line) ?? ""}
              branch={line.branch}
              place={first + index}
              count={lines.length}
              current={first + index === current}
              active={first + index === active}
              refused={first + index === current ? null : refused}
              onClick={onClick}
            />
          ))}
        </div>
        <BranchMap lines={lines} frame={{ first, last, width, axis }} current={current} />
        {renamed >= 0 && (
          <BranchName
            key={lines[renamed]?.branch.number}
            branch={(lines[renamed] as Line).branch}
            top={renamed * ROW_HEIGHT}
            onDone={(back) => {
              if (back) list.current?.focus();
              onRename(null);
            }}
          />
        )}
      </div>
    </>
  );
}
