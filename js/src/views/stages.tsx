import { Fragment } from "preact";
import { useState } from "preact/hooks";
import * as format from "../format";
import { useStore, useViewer } from "../hooks";
import { ORIGINS, type Stage } from "../protocol";
import { Reading } from "./reading_state";
import { TokenLabel } from "./token_label";
import { useAnswer, useWait } from "./use_answer";

/** What each operator did where a token was drawn: asked for when it is opened, and then for each token. */
export function Stages({ row }: { row: number | null }) {
  const [open, setOpen] = useState(false);
  const drawn = useStore(
    ({ table }) => row !== null && ORIGINS[table.value("origin", row)] === "sampled",
  );
  if (row === null || !drawn) return null;
  return (
    <div class="itw-stages">
      <button
        type="button"
        class="itw-disclosure"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
      >
        Stages of the program
      </button>
      {open && <StagesOf key={row} row={row} />}
    </div>
  );
}

function StagesOf({ row }: { row: number }) {
  const viewer = useViewer();
  const readOnly = useStore((store) => store.readOnly);
  const [stages, again] = useAnswer(readOnly === null ? row : null, (row, signal) =>
    viewer.stages(row, signal),
  );
  const wait = useWait();
  if (readOnly !== null) {
    return <p class="itw-hint">What each stage did needs the model. {readOnly}</p>;
  }
  if (stages === "waiting" || stages === "failed") {
    return <Reading failed={stages === "failed"} words={wait} onRetry={again} />;
  }
  if (stages.length === 0) {
    return <p class="itw-hint">No operator stood between the model and this token: s = q = p.</p>;
  }
  return <StageTable stages={stages} />;
}

const COLUMNS = [
  ["operator", "In the order of the program"],
  ["makes", "q, after the interventions, or s, that the token is drawn from"],
  ["KL, bits", "KL(after‖before)"],
  ["ΔH, bits", "Entropy after less entropy before"],
  ["moved", "Total variation: how much probability went elsewhere"],
  ["left", "Tokens that may still come"],
] as const;

function StageTable({ stages }: { stages: readonly Stage[] }) {
  const [opened, setOpened] = useState<number | null>(null);
  return (
    <table class="itw-stage-table">
      <thead>
        <tr>
          {COLUMNS.map(([name, title]) => (
            <th key={name} scope="col" title={title}>
              {name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {stages.map((stage, index) => (
          <Fragment key={index}>
            <StageRow
              stage={stage}
              open={opened === index}
              onToggle={() => setOpened(opened === index ? null : index)}
            />
            {opened === index && <Moved stage={stage} />}
          </Fragment>
        ))}
      </tbody>
    </table>
  );
}

interface StageRowProps {
  stage: Stage;
  open: boolean;
  onToggle: () => void;
}

function StageRow({ stage, open, onToggle }: StageRowProps) {
  return (
    <tr>
      <th scope="row">
        <button
          type="button"
          class="itw-disclosure"
          aria-label={stage.operator}
          aria-expanded={open}
          onClick={onToggle}
        >
          {/* In a narrow column it breaks between its parts. */}
          {stage.operator.split(/(?<=[(,=])/).map((part, index) => (
            <Fragment key={index}>
              {index > 0 && <wbr />}
              {part}
            </Fragment>
          ))}
        </button>
      </th>
      <td>{stage.makes}</td>
      <td>{format.bits(stage.kl_bits ?? Number.POSITIVE_INFINITY)}</td>
      <td>{format.signed(stage.entropy_change_bits)}</td>
      <td>{format.percent(stage.mass_moved)}</td>
      <td>{format.count(stage.support_size)}</td>
    </tr>
  );
}

/** The tokens whose probability a stage changed most. */
function Moved({ stage }: { stage: Stage }) {
  const { tokens } = useViewer().store.table;
  return (
    <tr>
      <td colSpan={6} class="itw-moved">
        {stage.moved.length === 0 ? (
          "It changed nothing here."
        ) : (
          <ul aria-label={`Tokens that ${stage.operator} moved most`}>
            {stage.moved.map(([id, before, after]) => (
              <li key={id}>
                <TokenLabel bytes={tokens.get(id)} />{" "}
                <span class="itw-number">
                  {format.probability(before)} → {format.probability(after)}
                </span>
              </li>
            ))}
          </ul>
        )}
      </td>
    </tr>
  );
}
