import type { Line } from "../lines";

const PAGE_LINES = 7;

/** The line that a key leads to from another, or undefined for a key that leads nowhere. */
export function step(key: string, at: number, lines: readonly Line[]): number | undefined {
  const last = lines.length - 1;
  const places = new Map([
    ["ArrowDown", at + 1],
    ["ArrowUp", at - 1],
    ["PageDown", at + PAGE_LINES],
    ["PageUp", at - PAGE_LINES],
    ["Home", 0],
    ["End", last],
    ["ArrowLeft", lines[at]?.parent ?? at],
    ["ArrowRight", lines[at + 1]?.parent === at ? at + 1 : at],
  ]);
  const place = places.get(key);
  return place === undefined ? undefined : Math.min(last, Math.max(0, place));
}
