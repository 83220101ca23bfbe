import { useRef } from "preact/hooks";
import { plural } from "../format";
import { sameFields, useStore } from "../hooks";

/** Says aloud that a job began, and what came of it. */
export function Progress() {
  const { running, kind, made, stopping } = useStore(
    ({ state, stopping }) => ({
      running: state.job?.id ?? null,
      kind: state.job?.kind ?? null,
      made: state.job?.made ?? 0,
      stopping: stopping !== "no" || state.job?.stopping === true,
    }),
    sameFields,
  );
  const last = useRef({ running, kind, made, stopping });
  const said = useRef("");
  const before = last.current;
  if (running !== null && before.running !== running) {
    said.current = kind === "prompt" ? "Reading the prompt" : "Generating";
  }
  if (running === null && before.running !== null) {
    const tokens = `${plural(before.made, "token")} made`;
    if (before.stopping) said.current = `Stopped, ${tokens}`;
    else said.current = before.kind === "prompt" ? "The prompt is read" : tokens;
  }
  last.current = { running, kind, made, stopping };
  return (
    <p class="itw-aloud" role="status">
      {said.current}
    </p>
  );
}
