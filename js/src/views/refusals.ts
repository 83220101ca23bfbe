import type { Store } from "../store";

/** Why nothing can be added to the text now, or null. */
export function refusal(store: Store): string | null {
  return store.readOnly ?? busyRefusal(store);
}

/** Why the token at a position cannot be overruled now, or null. */
export function overruleRefusal(store: Store, place: number): string | null {
  const first = place === 0 ? "The first token has nothing before it: edit the prompt." : null;
  return refusal(store) ?? first;
}

/** Why a branch cannot be named, coloured or hidden now, or null. */
export function labelRefusal({ offline }: Store): string | null {
  return offline
    ? "No kernel answers, and it is the kernel that keeps names, colours and what is hidden."
    : null;
}

/** Why no other branch can be shown now, or null. */
export function busyRefusal({ busy }: Store): string | null {
  return busy ? "The model is generating: stop it first, or wait until it is done." : null;
}
