import type { TargetedKeyboardEvent } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Alignment, Line } from "../comparison";
import * as format from "../format";
import { useStore, useViewer } from "../hooks";
import { nameOf } from "../text";
import { busyRefusal } from "./refusals";
import { TokenLabel } from "./token_label";
import { type Answered, useWait } from "./use_answer";

/** So many lines are drawn at first, and more when they are wanted. */
const LINES = 100;
/** Bits of difference at which the colour is full. */
const FULL_BITS = 8;

interface TableProps {
  alignment: Alignment;
  names: readonly string[];
  divergences: Answered<Float32Array> | "no model";
}

/** The tokens of each branch beside those of the first. The arrow keys walk them, Enter shows one. */
export function CompareTable({ alignment, names, divergences }: TableProps) {
  const { lines, meetsAt } = alignment;
  const { table } = useViewer().store;
  const [limit, setLimit] = useState(LINES);
  const body = useRef<HTMLTableSectionElement>(null);
  // The button that wanted the last lines is gone: the keyboard goes on in them.
  useLayoutEffect(() => {
    if (limit === LINES || limit < lines.length) return;
    body.current?.rows[limit - LINES]?.querySelector<HTMLElement>("[data-branch]")?.focus();
  }, [limit]);
  const waiting = useWait();
  const words = { waiting, failed: "reading it failed", "no model": "it needs the model" };
  const columns = ["token", "bits", "Δ bits", "KL, bits"];

  return (
    <div class="itw-lines">
      <table class="itw-numbers" aria-label="Aligned tokens" onKeyDown={walk}>
        <thead>
          <tr>
            <td />
            {names.map((name, branch) => (
              <th key={branch} scope="colgroup" colSpan={branch === 0 ? 2 : 4}>
                {name}
              </th>
            ))}
          </tr>
          <tr>
            <th scope="col">at</th>
            {names.flatMap((_, branch) =>
              columns.slice(0, branch === 0 ? 2 : 4).map((title) => (
                <th
                  key={branch + title}
                  scope="col"
                  class={title === "token" ? "itw-word" : undefined}
                >
                  {title}
                </th>
              )),
            )}
          </tr>
        </thead>
        <tbody ref={body}>
          {lines.slice(0, limit).map((line, index) => {
            const at = table.value("position", line[0] ?? -1);
            const mark = index === 0 ? "part" : meetsAt.includes(at) && "meet";
            return (
              <tr key={index}>
                <th scope="row">
                  {Number.isNaN(at) ? "–" : format.count(at)} {mark && <b>{mark}</b>}
                </th>
                {line.map((_, branch) => (
                  <Cells
                    key={branch}
                    line={line}
                    branch={branch}
                    tip={alignment.tips[branch] ?? -1}
                    name={names[branch] ?? ""}
                    kl={
                      typeof divergences === "object"
                        ? divergences[index * line.length + branch]
                        : undefined
                    }
                    first={index === 0}
                  />
                ))}
              </tr>
            );
          })}
        </tbody>
      </table>
      {lines.length > limit && (
        <button type="button" class="itw-link" onClick={() => setLimit(limit + LINES)}>
          Show more of {format.count(lines.length)} lines
        </button>
      )}
      <p class="itw-hint" role="status">
        {typeof divergences === "string" && `KL: ${words[divergences]}`}
      </p>
    </div>
  );
}

interface CellsProps {
  line: Line;
  branch: number;
  tip: number;
  name: string;
  /** Bits; undefined while it is not known. */
  kl: number | undefined;
  /** Whether it is in the line that the Tab key leads to. */
  first: boolean;
}

function Cells({ line, branch, tip, name, kl, first }: CellsProps) {
  const viewer = useViewer();
  const { table } = viewer.store;
  const refused = useStore((store) => (store.head === tip ? null : busyRefusal(store)));
  const row = line[branch] ?? null;
  if (row === null) return <td colSpan={branch === 0 ? 2 : 4} />;
  const bits = table.value("surprisal", row);
  const difference = bits - table.value("surprisal", line[0] ?? -1);
  const bytes = table.bytes(row);
  return (
    <>
      <td class={`itw-word ${difference < 0 ? "itw-by-cool" : "itw-by-warm"}`}>
        <button
          type="button"
          class="itw-shade"
          style={{ "--itw-share": Math.min(1, Math.abs(difference || 0) / FULL_BITS) }}
          data-branch={branch}
          tabIndex={first ? 0 : -1}
          aria-label={`"${nameOf(bytes)}" in ${name}`}
          aria-disabled={refused !== null}
          title={refused ?? "Show it in its branch"}
          onClick={() => refused === null && viewer.show(tip, row)}
        >
          <TokenLabel bytes={bytes} />
        </button>
      </td>
      <td>{format.bits(bits)}</td>
      {branch > 0 && (
        <>
          <td>{format.signed(difference)}</td>
          <td>{kl === undefined ? "…" : format.bits(kl)}</td>
        </>
      )}
    </>
  );
}

/** Go to the next token that is there, along a line or down a branch. */
function walk(event: TargetedKeyboardEvent<HTMLElement>): void {
  const { key, target, currentTarget } = event;
  const from = (target as Element).getAttribute("data-branch");
  if (from === null || !key.startsWith("Arrow")) return;
  event.preventDefault();
  const upright = key === "ArrowUp" || key === "ArrowDown";
  const scope = upright ? currentTarget : (target as Element).closest("tr");
  const which = upright ? `[data-branch="${from}"]` : "[data-branch]";
  const tokens = [...(scope?.querySelectorAll<HTMLElement>(which) ?? [])];
  const step = key === "ArrowDown" || key === "ArrowRight" ? 1 : -1;
  tokens[tokens.indexOf(target as HTMLElement) + step]?.focus();
}
