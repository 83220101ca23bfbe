// Which tokens make a word: the rule of `itwidgets/information/words.py`, held to it by a fixture.

import type { Range } from "./totals";

const SPACE = /^\p{White_Space}/u;
/** Bytes of the longest character. */
const LONGEST = 4;

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Whether a token begins a word by the whitespace that it begins with. */
export function beginsWord(token: Uint8Array): boolean {
  const lead = token[0] ?? 0;
  // Python counts the separators of ASCII in. Most tokens need no decoder.
  if (lead < 0x80)
    return lead === 0x20 || (lead >= 0x09 && lead <= 0x0d) || (lead >= 0x1c && lead <= 0x1f);
  return SPACE.test(decoder.decode(token.subarray(0, LONGEST)));
}

/** The words of a text that grows at its end. */
export class Words {
  /** The first token of the word of each token. */
  readonly #first: number[] = [];

  /** Take in one more token. */
  push(token: Uint8Array): void {
    const place = this.#first.length;
    const joins = place > 0 && !beginsWord(token);
    this.#first.push(joins ? (this.#first[place - 1] as number) : place);
  }

  /** Keep so many tokens. */
  cut(keep: number): void {
    this.#first.length = keep;
  }

  /** The tokens of the word that a token belongs to; a place without a token stands for itself. */
  at(place: number): Range {
    const first = this.#first[place] ?? place;
    let last = place;
    while (this.#first[last + 1] === first) last += 1;
    return { first, last };
  }
}
