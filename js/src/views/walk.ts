// Which token a key leads to.

const PAGE_LINES = 8;

/** A text whose tokens can be found on the screen. */
export interface Walkable {
  /** Number of tokens; the place of the next one comes after them. */
  readonly length: number;
  option(place: number): HTMLElement | undefined;
}

/** The position that a key leads to from another, or null for a key that does not walk. */
export function walk(text: Walkable, place: number | null, key: string): number | null {
  const last = text.length;
  const from = place ?? (key === "ArrowLeft" || key === "ArrowUp" ? last : -1);
  switch (key) {
    case "ArrowRight":
      return Math.min(from + 1, last);
    case "ArrowLeft":
      return Math.max(from - 1, 0);
    case "Home":
      return 0;
    case "End":
      return last;
    case "ArrowDown":
      return lines(text, Math.max(from, 0), 1);
    case "ArrowUp":
      return lines(text, from, -1);
    case "PageDown":
      return lines(text, Math.max(from, 0), PAGE_LINES);
    case "PageUp":
      return lines(text, from, -PAGE_LINES);
    default:
      return null;
  }
}

/** The token so many lines further that stands nearest to below or above this one. */
function lines(text: Walkable, place: number, count: number): number {
  const start = text.option(place)?.getClientRects()[0];
  if (start === undefined) return place;
  const step = Math.sign(count);
  const centre = start.left + start.width / 2;
  let left = Math.abs(count);
  let top = start.top;
  let best = place;
  let distance = Number.POSITIVE_INFINITY;
  for (let at = place + step; at >= 0 && at <= text.length; at += step) {
    const box = text.option(at)?.getClientRects()[0];
    if (box === undefined) continue;
    if (Math.abs(box.top - top) > box.height / 2) {
      if (left === 0) break;
      left -= 1;
      top = box.top;
      distance = Number.POSITIVE_INFINITY;
    }
    const away = Math.abs(box.left + box.width / 2 - centre);
    if (top !== start.top && away < distance) {
      best = at;
      distance = away;
    }
  }
  return best;
}
