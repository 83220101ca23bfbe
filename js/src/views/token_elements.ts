// The elements of the token text: made once for each token and kept, so that a long text can grow
// without being drawn again. What they say and how they are coloured is the matter of `token_text.ts`.

import { type Piece, piecesOf } from "../text";
import { beginsWord } from "../words";
import { addText, element } from "./marked_text";

/** After so many tokens a paragraph ends before the next word, and after so many in any case. */
const LONG_PARAGRAPH = 500;
const LONGEST_PARAGRAPH = 1000;
/** Tokens of a line, about: how high a paragraph is must be guessed until it comes into sight. */
const LINE = 12;

export class TokenElements {
  /** The place of the next token. */
  readonly next: HTMLElement;
  readonly #list: HTMLElement;
  readonly #prefix: string;
  /** Whether the token at a position, or the end, begins a character. */
  readonly #clean: boolean[] = [true];
  /** The option of each token, and every other element that shows a part of it. */
  readonly #options: HTMLElement[] = [];
  readonly #parts = new Map<number, HTMLElement[]>();
  readonly #shares = new Map<number, string>();
  /** Where each token begins: a child of a paragraph. */
  readonly #anchors: HTMLElement[] = [];
  #paragraph: HTMLElement;

  /** `prefix` begins the ids of the elements. */
  constructor(list: HTMLElement, prefix: string) {
    this.#list = list;
    this.#prefix = prefix;
    this.next = element("itw-next");
    this.next.setAttribute("role", "option");
    this.next.setAttribute("aria-label", "Next token");
    this.next.id = `${prefix}-next`;
    this.#paragraph = this.#addParagraph();
  }

  get length(): number {
    return this.#options.length;
  }

  option(place: number): HTMLElement | undefined {
    return place === this.length ? this.next : this.#options[place];
  }

  /** All elements that show a token, its option first. */
  at(place: number): HTMLElement[] {
    const option = this.option(place);
    return option === undefined ? [] : [option, ...(this.#parts.get(place) ?? [])];
  }

  /** Which part of a character a token is, in words. */
  share(place: number): string | undefined {
    return this.#shares.get(place);
  }

  /** The last place, up to a given one, at which a character begins: only there can the text be cut. */
  cleanUpTo(place: number): number {
    let keep = place;
    while (keep > 0 && !this.#clean[keep]) keep -= 1;
    return keep;
  }

  /** Keep so many tokens; one of them must not share a character with those that go. */
  cut(keep: number): void {
    const anchor = this.#anchors[keep];
    if (anchor !== undefined) {
      const paragraph = anchor.parentElement as HTMLElement;
      while (paragraph.nextElementSibling !== null) paragraph.nextElementSibling.remove();
      while (anchor.nextSibling !== null) anchor.nextSibling.remove();
      anchor.remove();
      this.#paragraph = paragraph;
    }
    for (let place = keep; place < this.length; place++) {
      this.#parts.delete(place);
      this.#shares.delete(place);
    }
    this.#anchors.length = keep;
    this.#options.length = keep;
    this.#clean.length = keep + 1;
  }

  append(tokens: readonly Uint8Array[]): void {
    const start = this.length;
    const { pieces, clean } = piecesOf(tokens);
    this.#clean.push(...clean.slice(1));
    const own = new Set(
      pieces.filter((piece) => piece.kind !== "shared").map(({ first }) => first),
    );
    let length = this.#paragraph.childElementCount;
    let made = 0;
    for (const [index, piece] of pieces.entries()) {
      // Tokens without a byte come before whatever follows them.
      for (; made < piece.first; made++) this.#ownOption(start + made);
      made = Math.max(made, piece.last + 1);
      length += 1;
      if (piece.kind === "shared") {
        this.#addShared(piece, start, own);
        continue;
      }
      addText(this.#ownOption(start + piece.first), piece);
      const following = pieces[index + 1]?.first;
      if (following === piece.first) continue;
      const next = following === undefined ? undefined : tokens[following];
      // A paragraph ends with its newline.
      if (piece.text.endsWith("\n") || isLong(length, next)) {
        const lines = Math.ceil(length / LINE);
        if (lines > 1) this.#paragraph.style.setProperty("--itw-lines", String(lines));
        this.#paragraph = this.#addParagraph();
        length = 0;
      }
    }
    for (; made < tokens.length; made++) this.#ownOption(start + made);
    this.#paragraph.append(this.next);
    this.next.setAttribute("data-place", String(this.length));
  }

  #addParagraph(): HTMLElement {
    const paragraph = document.createElement("div");
    paragraph.className = "itw-paragraph";
    this.#list.append(paragraph);
    return paragraph;
  }

  /** The option of a token that stands in the line, made when it is not there yet. */
  #ownOption(place: number): HTMLElement {
    const known = this.#options[place];
    if (known !== undefined) return known;
    const option = element("itw-token");
    this.#dress(option, place);
    this.#paragraph.append(option);
    this.#anchors[place] ??= option;
    return option;
  }

  /** One character that several tokens make: the glyph once, and a slice of it for each token. */
  #addShared(piece: Piece, start: number, own: ReadonlySet<number>): void {
    const cluster = element("itw-cluster");
    const glyph = element("itw-glyph");
    glyph.textContent = piece.text;
    cluster.append(glyph);
    const parts = piece.last - piece.first + 1;
    for (let part = 0; part < parts; part++) {
      const place = start + piece.first + part;
      const slice = element("itw-slice");
      slice.style.insetInlineStart = `${(100 * part) / parts}%`;
      slice.style.inlineSize = `${100 / parts}%`;
      if (own.has(piece.first + part) || this.#options[place] !== undefined) {
        // The token has an option elsewhere; this slice of it is only there to be seen and clicked.
        slice.setAttribute("data-place", String(place));
        this.#parts.set(place, [...(this.#parts.get(place) ?? []), slice]);
      } else {
        this.#shares.set(place, `part ${part + 1} of ${parts} of "${piece.text}"`);
        this.#dress(slice, place);
      }
      cluster.append(slice);
      this.#anchors[place] ??= cluster;
    }
    this.#paragraph.append(cluster);
  }

  #dress(option: HTMLElement, place: number): void {
    option.setAttribute("role", "option");
    option.setAttribute("aria-selected", "false");
    option.setAttribute("data-place", String(place));
    option.id = `${this.#prefix}-${place}`;
    this.#options[place] = option;
  }
}

// The browser lays out and skips paragraphs one by one, and one of ten thousand tokens as a whole each
// time that it grows. Such a text gets lines that end early: its own newlines can be told by their marks.
function isLong(length: number, next: Uint8Array | undefined): boolean {
  if (length >= LONGEST_PARAGRAPH) return true;
  return length >= LONG_PARAGRAPH && next !== undefined && beginsWord(next);
}
