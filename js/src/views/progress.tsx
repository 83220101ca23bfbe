import { useRef } from "preact/hooks";
import { plural } from "../format";
import { sameFields, useStore } from "../hooks";

/** Says aloud that a job began, and what came of it. */
export function Progress() {
  const now = useStore(
    ({ state, table, stopping }) => ({
      running: state.job?.id ?? null,
      kind: state.job?.kind ?? null,
      made: state.job?.made ?? 0,
      rows: table.length,
      stopping: stopping !== "no" || state.job?.stopping === true,
    }),
    sameFields,
  );
  const last = useRef(now);
  const said = useRef("");
  const before = last.current;
  if (now.running !== null && before.running !== now.running) {
    said.current = now.kind === "prompt" ? "Reading the prompt" : "Generating";
  }
  if (now.running === null && before.running !== null) {
    // The last rows of a job come together with the news that it is over.
    const tokens = `${plural(before.made + now.rows - before.rows, "token")} made`;
    if (before.stopping) said.current = `Stopped, ${tokens}`;
    else said.current = before.kind === "prompt" ? "The prompt is read" : tokens;
  }
  last.current = now;
  return (
    <p class="itw-aloud itw-progress" role="status">
      {said.current}
    </p>
  );
}
