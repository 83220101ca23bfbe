// The token text, drawn by hand: elements are made once for each token and kept, so that a long text
// can grow and be walked without being drawn again.

import { level, type Measure } from "../colour";
import * as format from "../format";
import { ORIGINS } from "../protocol";
import type { Store } from "../store";
import { byteMark, markOf, nameOf, type Piece, piecesOf } from "../text";

// What is marked within running text. Joiners and the like stay as they are: the shape of the text
// around them depends on them. Directional overrides are marked and kept from reaching further.
const MARKED = /([\p{Cc}\u202A-\u202E\u2066-\u2069])/u;

export class TokenText {
  readonly #list: HTMLElement;
  readonly #store: Store;
  readonly #prefix: string;
  readonly #next: HTMLElement;
  #measure: Measure;
  #generation = -1;
  #rows: number[] = [];
  /** Whether the token at a position, or the end, begins a character. */
  #clean: boolean[] = [true];
  /** The option of each token, and every other element that shows a part of it. */
  #options: HTMLElement[] = [];
  #parts = new Map<number, HTMLElement[]>();
  /** Where each token begins: a child of a paragraph. */
  #anchors: HTMLElement[] = [];
  #paragraph: HTMLElement;
  #selected: HTMLElement[] = [];

  constructor(list: HTMLElement, store: Store, measure: Measure, prefix: string) {
    this.#list = list;
    this.#store = store;
    this.#measure = measure;
    this.#prefix = prefix;
    this.#next = element("itw-next");
    this.#next.setAttribute("role", "option");
    this.#next.setAttribute("aria-label", "Next token");
    this.#next.id = `${prefix}-next`;
    this.#paragraph = this.#addParagraph();
  }

  /** Number of tokens that are drawn, without the place of the next one. */
  get length(): number {
    return this.#rows.length;
  }

  /** Bring the elements in line with the store. */
  draw(): void {
    const { path, generation } = this.#store;
    let keep = generation === this.#generation ? sharedLength(this.#rows, path) : 0;
    this.#generation = generation;
    if (keep < this.#rows.length || keep < path.length) {
      while (keep > 0 && !this.#clean[keep]) keep -= 1;
      const following = this.#atEnd();
      this.#cut(keep);
      this.#append(path.slice(keep));
      if (following) this.#list.scrollTop = this.#list.scrollHeight;
    }
    const next = this.#rows.length;
    this.#next.setAttribute("data-place", String(next));
    this.#next.hidden = next === 0;
    this.#select();
  }

  /** Colour by another measure. */
  recolour(measure: Measure): void {
    if (measure === this.#measure) return;
    this.#measure = measure;
    for (const [place, option] of this.#options.entries()) {
      this.#paint(option, place);
      for (const part of this.#parts.get(place) ?? []) this.#paint(part, place);
    }
  }

  option(place: number): HTMLElement | undefined {
    return place === this.#rows.length ? this.#next : this.#options[place];
  }

  /** The position of a token that an event happened on. */
  static placeOf(event: Event): number | null {
    const target = event.target instanceof Element ? event.target.closest("[data-place]") : null;
    return target === null ? null : Number(target.getAttribute("data-place"));
  }

  #atEnd(): boolean {
    const { scrollTop, clientHeight, scrollHeight } = this.#list;
    return this.#rows.length > 0 && scrollTop + clientHeight > scrollHeight - 40;
  }

  #cut(keep: number): void {
    const anchor = this.#anchors[keep];
    if (anchor !== undefined) {
      const paragraph = anchor.parentElement as HTMLElement;
      while (paragraph.nextElementSibling !== null) paragraph.nextElementSibling.remove();
      while (anchor.nextSibling !== null) anchor.nextSibling.remove();
      anchor.remove();
      this.#paragraph = paragraph;
    }
    for (let place = keep; place < this.#rows.length; place++) this.#parts.delete(place);
    this.#rows.length = keep;
    this.#anchors.length = keep;
    this.#options.length = keep;
    this.#clean.length = keep + 1;
  }

  #append(rows: readonly number[]): void {
    const start = this.#rows.length;
    const { table } = this.#store;
    const { pieces, clean } = piecesOf(rows.map((row) => table.bytes(row)));
    this.#rows.push(...rows);
    this.#clean.push(...clean.slice(1));
    const own = new Set(
      pieces.filter((piece) => piece.kind !== "shared").map(({ first }) => first),
    );
    let made = 0;
    for (const [index, piece] of pieces.entries()) {
      // Tokens without a byte come before whatever follows them.
      for (; made < piece.first; made++) this.#ownOption(start + made);
      made = Math.max(made, piece.last + 1);
      if (piece.kind === "shared") {
        this.#addShared(piece, start, own);
        continue;
      }
      const option = this.#ownOption(start + piece.first);
      addText(option, piece);
      const ends = pieces[index + 1]?.first !== piece.first;
      // A paragraph ends with its newline. The browser lays out and skips paragraphs one by one.
      if (ends && piece.text.endsWith("\n")) this.#paragraph = this.#addParagraph();
    }
    for (; made < rows.length; made++) this.#ownOption(start + made);
    this.#paragraph.append(this.#next);
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
        this.#mark(slice, place);
        this.#parts.set(place, [...(this.#parts.get(place) ?? []), slice]);
      } else {
        this.#dress(slice, place, `part ${part + 1} of ${parts} of "${piece.text}"`);
      }
      cluster.append(slice);
      this.#anchors[place] ??= cluster;
    }
    this.#paragraph.append(cluster);
  }

  #dress(option: HTMLElement, place: number, part?: string): void {
    option.setAttribute("role", "option");
    option.setAttribute("aria-selected", "false");
    option.setAttribute("aria-label", this.#label(place, part));
    option.id = `${this.#prefix}-${place}`;
    option.setAttribute("data-place", String(place));
    this.#mark(option, place);
    this.#options[place] = option;
  }

  #mark(part: HTMLElement, place: number): void {
    const row = this.#rows[place] as number;
    part.classList.add(`itw-${ORIGINS[this.#store.table.value("origin", row)]}`);
    this.#paint(part, place);
  }

  #paint(part: HTMLElement, place: number): void {
    const value = level(this.#measure, this.#store.table, this.#rows[place] as number);
    if (value === null) part.style.removeProperty("--itw-level");
    else part.style.setProperty("--itw-level", value.toFixed(3));
  }

  #label(place: number, part?: string): string {
    const { table } = this.#store;
    const row = this.#rows[place] as number;
    const origin = ORIGINS[table.value("origin", row)];
    const surprisal = table.value("surprisal", row);
    const words = [`"${nameOf(table.bytes(row))}"`];
    if (part !== undefined) words.push(part);
    if (Number.isNaN(surprisal)) words.push("no context, not scored");
    else {
      words.push(`probability ${format.probability(2 ** -surprisal)}`);
      words.push(`surprisal ${format.bits(surprisal)} bits`);
      words.push(`rank ${format.count(table.value("rank", row))}`);
    }
    if (origin !== undefined && origin !== "sampled") words.push(origin);
    return words.join(", ");
  }

  #select(): void {
    const { place } = this.#store;
    const option = place === null ? undefined : this.option(place);
    const now = option === undefined ? [] : [option, ...(this.#parts.get(place ?? -1) ?? [])];
    if (now.length === this.#selected.length && now.every((e, i) => e === this.#selected[i]))
      return;
    for (const part of this.#selected) {
      part.classList.remove("itw-selected");
      if (part.hasAttribute("role")) part.setAttribute("aria-selected", "false");
    }
    for (const part of now) part.classList.add("itw-selected");
    option?.setAttribute("aria-selected", "true");
    if (option === undefined) this.#list.removeAttribute("aria-activedescendant");
    else this.#list.setAttribute("aria-activedescendant", option.id);
    if (option !== undefined) this.#reveal(option);
    this.#selected = now;
  }

  // Scrolls the text only: the page around it stays where the reader has it.
  #reveal(option: HTMLElement): void {
    const box = option.getBoundingClientRect();
    const frame = this.#list.getBoundingClientRect();
    if (box.top < frame.top) this.#list.scrollTop -= frame.top - box.top + 12;
    else if (box.bottom > frame.bottom) this.#list.scrollTop += box.bottom - frame.bottom + 12;
  }
}

function element(name: string): HTMLElement {
  const span = document.createElement("span");
  span.className = name;
  return span;
}

/** Text goes into the page as text nodes. Marks are drawn by the style sheet, so copies are exact. */
function addText(option: HTMLElement, piece: Piece): void {
  if (piece.byte !== undefined) {
    option.append(marked(piece.text, byteMark(piece.byte), "itw-byte"));
    return;
  }
  if (!MARKED.test(piece.text)) {
    option.append(piece.text);
    return;
  }
  for (const part of piece.text.split(MARKED)) {
    if (part === "") continue;
    const mark = MARKED.test(part) ? markOf(part) : null;
    // A newline and a tab keep their width; any other character of the kind shows as its mark alone.
    const shape = part === "\n" || part === "\t" ? "itw-mark" : "itw-mark itw-control";
    option.append(mark === null ? part : marked(part, mark, shape));
  }
}

function marked(text: string, mark: string, name: string): HTMLElement {
  const span = element(name);
  span.setAttribute("data-mark", mark);
  span.append(text);
  return span;
}

function sharedLength(a: readonly number[], b: readonly number[]): number {
  const limit = Math.min(a.length, b.length);
  let length = 0;
  while (length < limit && a[length] === b[length]) length += 1;
  return length;
}
