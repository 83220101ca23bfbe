import { useRef } from "preact/hooks";
import { plural } from "../format";
import { sameFields, useStore } from "../hooks";

/** Says aloud that a job began, and what came of it. */
export function Progress() {
  const { running, made, stopping } = useStore(
    ({ state, stopping }) => ({
      running: state.job?.id ?? null,
      made: state.job?.made ?? 0,
      stopping: stopping !== "no" || state.job?.stopping === true,
    }),
    sameFields,
  );
  const last = useRef({ running, made, stopping });
  const said = useRef("");
  const before = last.current;
  if (running !== null && before.running !== running) said.current = "Generating";
  if (running === null && before.running !== null) {
    const tokens = `${plural(before.made, "token")} made`;
    said.current = before.stopping ? `Stopped, ${tokens}` : tokens;
  }
  last.current = { running, made, stopping };
  return (
    <p class="itw-aloud" role="status">
      {said.current}
    </p>
  );
}
