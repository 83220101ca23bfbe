import * as format from "../format";
import { joined, SURPRISAL } from "../measures";
import { ORIGINS, type Origin } from "../protocol";
import type { Table } from "../table";
import { joinedBytes, nameOf } from "../text";

/** So many tokens of a word are read out. */
const LONGEST_WORD = 30;

/** Why a row's token stands where it stands. */
export function originOf(table: Table, row: number): Origin | undefined {
  return ORIGINS[table.value("origin", row)];
}

/** What a screen reader says of tokens. */
export class TokenNames {
  // The same tokens come again and again.
  readonly #texts = new Map<number, string>();

  /** A token by itself; `part` says which part it is of a character that several tokens make. */
  token(table: Table, row: number, part: string | undefined): string {
    const words = [`"${this.#text(table, row)}"`];
    if (table.isDelimiter(row)) words.push("special token");
    if (part !== undefined) words.push(part);
    words.push(...chances(table.value("surprisal", row)));
    const rank = table.value("rank", row);
    if (rank > 0) words.push(`rank ${format.count(rank)}`);
    return this.#ended(words, table, [row]);
  }

  /** The tokens of one word. */
  word(table: Table, rows: readonly number[]): string {
    // Where no spaces are written, a word is a whole text.
    const heard = rows.slice(0, LONGEST_WORD).map((row) => table.bytes(row));
    const text = nameOf(joinedBytes(heard));
    const words = [
      `"${text}${heard.length < rows.length ? "…" : ""}"`,
      `word of ${format.plural(rows.length, "token")}`,
    ];
    words.push(...chances(joined(SURPRISAL, table, rows)));
    return this.#ended(words, table, rows);
  }

  #ended(words: string[], table: Table, rows: readonly number[]): string {
    const origins = new Set(rows.map((row) => originOf(table, row)));
    origins.delete("sampled");
    return [...words, ...origins].join(", ");
  }

  #text(table: Table, row: number): string {
    const id = table.value("token_id", row);
    let text = this.#texts.get(id);
    if (text === undefined) {
      text = nameOf(table.bytes(row));
      // A token whose bytes have not come yet is named when they have.
      if (table.tokens.has(id)) this.#texts.set(id, text);
    }
    return text;
  }
}

function chances(surprisal: number): string[] {
  if (Number.isNaN(surprisal)) return ["no context, not scored"];
  return [
    `probability ${format.probability(2 ** -surprisal)}`,
    `surprisal ${format.bits(surprisal)} bits`,
  ];
}
