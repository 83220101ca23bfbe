// Which tokens make a word: the rule of `itwidgets/information/words.py`, held to it by a fixture.

import type { Table } from "./table";
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
  /** Whether the last token ended a text, so that nothing joins it. */
  #ended = true;

  /** Take in one more row of a table. */
  push(table: Table, row: number): void {
    const place = this.#first.length;
    const ends = table.isDelimiter(row);
    const opens = ends || this.#ended || beginsWord(table.bytes(row));
    this.#first.push(opens ? place : (this.#first[place - 1] as number));
    this.#ended = ends;
  }

  /** Keep the words of so many rows. */
  cut(table: Table, rows: readonly number[]): void {
    const last = rows.at(-1);
    this.#first.length = rows.length;
    this.#ended = last === undefined || table.isDelimiter(last);
  }

  /** The tokens of the word that a token belongs to; a place without a token stands for itself. */
  at(place: number): Range {
    const first = this.#first[place] ?? place;
    let last = place;
    while (this.#first[last + 1] === first) last += 1;
    return { first, last };
  }
}
