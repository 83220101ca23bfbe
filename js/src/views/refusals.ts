import type { Store } from "../store";

/** Why nothing can be added to the text now, or null. */
export function refusal({ state, busy }: Store): string | null {
  if (state.read_only !== null) return state.read_only;
  if (busy) return "The model is generating: stop it first, or wait until it is done.";
  return null;
}
