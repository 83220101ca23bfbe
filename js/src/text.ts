// From the bytes of tokens to what can be shown. A token is bytes: it may hold half a character, or
// no character at all, and several tokens may be needed for one.

/** A stretch of text that belongs to the tokens `first .. last` of the tokens it was made from. */
export interface Piece {
  /** `text` belongs to one token, `shared` is one character made by several, `byte` is no character. */
  kind: "text" | "shared" | "byte";
  text: string;
  first: number;
  last: number;
  /** The byte that is no part of a character. */
  byte?: number;
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** The character that stands for bytes that are none, as Python's `errors="replace"` writes it. */
export const REPLACEMENT = "\uFFFD";

/**
 * How many bytes from `start` on make one character. Negative: so many bytes are no character.
 * Null: the bytes end before that is decided.
 */
function sequence(bytes: Uint8Array, start: number): number | null {
  const lead = bytes[start] ?? 0;
  if (lead < 0x80) return 1;
  const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4) return -1;
  for (let i = 1; i < length; i++) {
    const byte = bytes[start + i];
    if (byte === undefined) return null;
    let low = 0x80;
    let high = 0xbf;
    // Overlong forms, surrogates and what lies beyond U+10FFFF show in the second byte.
    if (i === 1 && lead === 0xe0) low = 0xa0;
    if (i === 1 && lead === 0xed) high = 0x9f;
    if (i === 1 && lead === 0xf0) low = 0x90;
    if (i === 1 && lead === 0xf4) high = 0x8f;
    if (byte < low || byte > high) return -i;
  }
  return length;
}

/**
 * Group tokens into pieces of whole characters.
 *
 * `clean` says of each token, and of the end, whether it begins a character: only there can the text
 * be cut and continued otherwise without a change to the pieces before.
 */
export function piecesOf(tokens: readonly Uint8Array[]): { pieces: Piece[]; clean: boolean[] } {
  const pieces: Piece[] = [];
  const clean: boolean[] = [];
  let rest = new Uint8Array();
  let owners: number[] = [];

  function replace(count: number): void {
    for (let i = 0; i < count; i++) {
      const owner = owners[i] as number;
      const text = i === 0 ? REPLACEMENT : "";
      pieces.push({ kind: "byte", text, first: owner, last: owner, byte: rest[i] as number });
    }
  }

  function drop(count: number): void {
    rest = rest.slice(count);
    owners = owners.slice(count);
  }

  for (const [index, token] of tokens.entries()) {
    clean.push(rest.length === 0);
    const joined = new Uint8Array(rest.length + token.length);
    joined.set(rest);
    joined.set(token, rest.length);
    rest = joined;
    for (let i = 0; i < token.length; i++) owners.push(index);

    while (rest.length > 0) {
      const length = sequence(rest, 0);
      if (length === null) break;
      if (length < 0) {
        replace(-length);
        drop(-length);
      } else if (owners[0] !== index) {
        const first = owners[0] as number;
        const text = decoder.decode(rest.subarray(0, length));
        pieces.push({ kind: "shared", text, first, last: index });
        drop(length);
      } else {
        // From here on all bytes are this token's: take its whole characters in one stroke.
        let end = length;
        for (let next = sequence(rest, end); end < rest.length && next !== null && next > 0; ) {
          end += next;
          next = sequence(rest, end);
        }
        const text = decoder.decode(rest.subarray(0, end));
        pieces.push({ kind: "text", text, first: index, last: index });
        drop(end);
      }
    }
  }
  clean.push(rest.length === 0);
  replace(rest.length);
  return { pieces, clean };
}

/** The bytes of tokens one after the other. */
export function joinedBytes(tokens: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(tokens.reduce((length, token) => length + token.length, 0));
  let end = 0;
  for (const token of tokens) {
    joined.set(token, end);
    end += token.length;
  }
  return joined;
}

/** The text that tokens make together. */
export function textOf(tokens: readonly Uint8Array[]): string {
  return piecesOf(tokens)
    .pieces.map((piece) => piece.text)
    .join("");
}

/** A run of characters that are shown as they are, or the mark that stands for one that is not. */
export interface Run {
  text: string;
  mark: boolean;
}

/** The mark for a byte that is no character. */
export function byteMark(byte: number): string {
  return `⟨${byte.toString(16).toUpperCase().padStart(2, "0")}⟩`;
}

// Characters without a shape of their own, among them those that change the direction of the text.
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Z}]|\p{Variation_Selector}/u;

/** The mark for a character that would not be seen, or null for one that is. */
export function markOf(character: string): string | null {
  if (!INVISIBLE.test(character)) return null;
  const code = character.codePointAt(0) ?? 0;
  if (character === " ") return "·";
  if (character === "\n") return "⏎";
  if (character === "\t") return "⇥";
  return `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
}

/** The text of one token by itself, with a mark for everything that would not be seen. */
export function runsOf(bytes: Uint8Array): Run[] {
  if (bytes.length === 0) return [{ text: "empty", mark: true }];
  const runs: Run[] = [];
  function add(text: string, mark: boolean): void {
    const last = runs.at(-1);
    if (last?.mark === mark) last.text += text;
    else runs.push({ text, mark });
  }
  for (const piece of piecesOf([bytes]).pieces) {
    if (piece.byte !== undefined) {
      add(byteMark(piece.byte), true);
      continue;
    }
    for (const character of piece.text) {
      const mark = markOf(character);
      add(mark ?? character, mark !== null);
    }
  }
  return runs;
}

/** The same as one string: what a screen reader and a title can say. Spaces stay spaces. */
export function nameOf(bytes: Uint8Array): string {
  return runsOf(bytes)
    .map((run) => (run.mark ? run.text.replaceAll("·", " ") : run.text))
    .join("");
}
