import { useRef, useState } from "preact/hooks";
import type { Alignment } from "../comparison";
import * as format from "../format";
import { useStore, useViewer } from "../hooks";
import type { Store } from "../store";
import { Sums } from "../totals";
import type { Branch } from "../tree";
import { CompareChoice } from "./compare_choice";
import { CompareTable } from "./compare_table";
import { Head } from "./head";
import { Reading } from "./reading_state";
import { useAnswer } from "./use_answer";

/** Branches side by side: where they part and meet again, and what each costs. */
export function Compare() {
  const [open, setOpen] = useState(false);
  // In another session other branches have the same rows.
  const generation = useStore((store) => store.generation);
  const several = useStore(({ tree }) => tree.branches.length > 1);
  if (!several) return null;
  return (
    <section class="itw-compare" aria-label="Compare">
      <button
        type="button"
        class="itw-disclosure"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
      >
        Compare branches
      </button>
      {open && <Chosen key={generation} />}
    </section>
  );
}

function Chosen() {
  const { store } = useViewer();
  // While a branch grows nothing is drawn anew.
  useStore(({ table, tree, busy }) => [tree.branches.length, busy || table.length].join());
  const offline = useStore((store) => store.offline && store.readOnly);
  const [wanted, setWanted] = useState<readonly number[]>(() => firstTwo(store));
  const { branches } = store.tree;
  const chosen = wanted.flatMap((start) => branches.find((one) => one.start === start) ?? []);
  if (offline) return <p class="itw-hint">{offline}</p>;
  return (
    <>
      <CompareChoice chosen={wanted} onChoose={setWanted} />
      {chosen.length > 1 && <SideBySide branches={chosen} />}
    </>
  );
}

/** Rows at which two branches start: the one that is shown, and that it parted from or that from it. */
function firstTwo({ tree, head }: Store): number[] {
  const { branches } = tree;
  const current = tree.branchOf(head) ?? branches[0];
  const other = current?.parent ?? branches.find((one) => one !== current);
  return [current, other].flatMap((one) => one?.start ?? []).sort((a, b) => a - b);
}

function SideBySide({ branches }: { branches: readonly Branch[] }) {
  const viewer = useViewer();
  const busy = useStore((store) => store.busy);
  const labels = useStore((store) => store.labels);
  const hasModel = useStore((store) => store.readOnly === null);
  // A branch that grows is compared anew when it is done.
  const known = useRef({ choice: "", tips: [] as number[] });
  const choice = branches.map(({ start }) => start).join();
  if (!busy || choice !== known.current.choice) {
    known.current = { choice, tips: branches.map(({ tip }) => tip) };
  }
  const { tips } = known.current;
  const [alignment, again] = useAnswer(tips.join(), (_, signal) => viewer.compare(tips, signal));
  const isThere = typeof alignment === "object";
  const [divergences] = useAnswer(isThere && hasModel ? tips.join() : null, (_, signal) =>
    viewer.divergences(tips, signal),
  );
  if (!isThere) {
    return <Reading failed={alignment === "failed"} words="aligning …" onRetry={again} />;
  }
  const names = branches.map((branch) => labels.nameOf(branch));
  return (
    <>
      <Words alignment={alignment} names={names} />
      <Totals alignment={alignment} names={names} />
      <CompareTable
        key={tips.join()}
        alignment={alignment}
        names={names}
        divergences={hasModel ? divergences : "no model"}
      />
    </>
  );
}

interface AlignedProps {
  alignment: Alignment;
  names: readonly string[];
}

/** Where they part and where they meet again, in a sentence. */
function Words({ alignment: { shared, meetsAt }, names }: AlignedProps) {
  const meets = names.flatMap((name, index) => {
    return meetsAt[index] == null ? [] : `; ${name} meets ${names[0]} again at ${meetsAt[index]}`;
  });
  return (
    <p class="itw-hint">
      They share {format.plural(shared, "token")} and part at {shared}
      {meets}.
    </p>
  );
}

function Totals({ alignment, names }: AlignedProps) {
  const { table } = useViewer().store;
  return (
    <table class="itw-numbers" aria-label="Totals from where they part">
      <Head names={["from there", "tokens", "bits", "bits/byte", "perplexity", "cost, bits"]} />
      <tbody>
        {names.map((name, branch) => {
          const total = new Sums();
          for (const { [branch]: row } of alignment.lines) if (row != null) total.add(table, row);
          return (
            <tr key={branch}>
              <th scope="row">{name}</th>
              <td>{format.count(total.tokens)}</td>
              <td>{format.bits(total.bits)}</td>
              <td>{format.figure(total.bitsPerByte)}</td>
              <td>{format.figure(total.perplexity)}</td>
              <td>{format.bits(total.cost)}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
