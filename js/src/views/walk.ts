// Which token a key leads to.

import type { Range } from "../totals";

const PAGE_LINES = 8;

/** A text whose tokens can be found on the screen. */
export interface Walkable {
  /** Number of tokens; the place of the next one comes after them. */
  readonly length: number;
  option(place: number): HTMLElement | undefined;
  /** What is walked as one at a place: a token, or the tokens of a word. */
  unit(place: number): Range;
}

/** Steps through a text by keys. */
export class Walk {
  /** Where lines are entered while one goes up and down through them. */
  #column: number | null = null;

  /** The position that a key leads to from another, or null for a key that does not walk. */
  step(text: Walkable, place: number | null, key: string): number | null {
    const next = this.#next(text, place, key);
    return next === null ? null : text.unit(next).first;
  }

  #next(text: Walkable, place: number | null, key: string): number | null {
    const last = text.length;
    const back = key === "ArrowLeft" || key === "ArrowUp" || key === "PageUp";
    const from = place ?? (back ? last : -1);
    const lines = { ArrowDown: 1, ArrowUp: -1, PageDown: PAGE_LINES, PageUp: -PAGE_LINES }[key];
    if (lines !== undefined) return this.#byLines(text, Math.max(from, 0), lines);
    this.#column = null;
    const { first: left, last: right } = text.unit(from);
    const places = { ArrowRight: right + 1, ArrowLeft: left - 1, Home: 0, End: last };
    const next = places[key as keyof typeof places];
    return next === undefined ? null : Math.min(last, Math.max(0, next));
  }

  /** The token so many lines further that stands nearest to below or above. */
  #byLines(text: Walkable, place: number, count: number): number {
    const start = text.option(place)?.getClientRects()[0];
    if (start === undefined) return place;
    this.#column ??= start.left + start.width / 2;
    const step = Math.sign(count);
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
      const away = Math.abs(box.left + box.width / 2 - this.#column);
      if (top !== start.top && away < distance) {
        best = at;
        distance = away;
      }
    }
    return best;
  }
}
