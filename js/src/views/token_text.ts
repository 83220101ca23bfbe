// The token text, drawn by hand: what the tokens are called, how they are coloured, what is chosen.

import { along } from "../colour";
import { joined, type Measure } from "../measures";
import type { Store } from "../store";
import { type Range, within } from "../totals";
import { Words } from "../words";
import { TokenElements } from "./token_elements";
import { originOf, TokenNames } from "./token_names";

/** How the text is shown. */
export interface Look {
  measure: Measure;
  /** Whether tokens stand together as the words that they make. */
  words: boolean;
}

export class TokenText {
  readonly #list: HTMLElement;
  readonly #store: Store;
  readonly #elements: TokenElements;
  readonly #names = new TokenNames();
  readonly #words = new Words();
  #look: Look;
  /** Whether words were shown, so that there may be traces of them. */
  #joined: boolean;
  #generation = -1;
  #rows: number[] = [];
  #selected: HTMLElement[] = [];
  #range: Range | null = null;

  constructor(list: HTMLElement, store: Store, look: Look, prefix: string) {
    this.#list = list;
    this.#store = store;
    this.#look = look;
    this.#joined = look.words;
    this.#elements = new TokenElements(list, prefix);
  }

  /** Number of tokens that are drawn, without the place of the next one. */
  get length(): number {
    return this.#rows.length;
  }

  /** Bring the elements in line with the store. */
  draw(): void {
    const { path, generation } = this.#store;
    const shared = generation === this.#generation ? sharedLength(this.#rows, path) : 0;
    this.#generation = generation;
    if (shared < this.#rows.length || shared < path.length) this.#change(shared, path);
    this.#elements.next.hidden = this.length === 0;
    this.#select();
  }

  /** Show it in another way. */
  show(look: Look): void {
    if (look.measure === this.#look.measure && look.words === this.#look.words) return;
    this.#look = look;
    this.#joined ||= look.words;
    this.#describe(0);
    this.#select();
  }

  /** Mark a stretch of the text as chosen. */
  choose(range: Range | null): void {
    const before = this.#range;
    this.#range = range;
    for (const part of [before, range]) {
      if (part === null) continue;
      for (let place = part.first; place <= Math.min(part.last, this.length - 1); place++) {
        // Where both agree nothing changes, so that dragging along a long text stays cheap.
        if (within(before, place) !== within(range, place)) this.#mark(place);
      }
    }
  }

  option(place: number): HTMLElement | undefined {
    return this.#elements.option(place);
  }

  /** What is walked and chosen as one at a place: a token, or the tokens of a word. */
  unit(place: number): Range {
    return this.#look.words ? this.#words.at(place) : { first: place, last: place };
  }

  /** The position of a token that an event happened on. */
  static placeOf(event: Event): number | null {
    const target = event.target instanceof Element ? event.target.closest("[data-place]") : null;
    return target === null ? null : Number(target.getAttribute("data-place"));
  }

  /** Draw another path, of which the first tokens are those that are drawn. */
  #change(shared: number, path: readonly number[]): void {
    const { table } = this.#store;
    const keep = this.#elements.cleanUpTo(shared);
    const following = this.#atEnd();
    const fresh = path.slice(keep);
    const tokens = fresh.map((row) => table.bytes(row));
    this.#elements.cut(keep);
    this.#elements.append(tokens);
    this.#rows.length = keep;
    this.#words.cut(table, this.#rows);
    for (const row of fresh) this.#words.push(table, row);
    this.#rows.push(...fresh);
    // The word before may have lost tokens, or got some.
    this.#describe(Math.max(0, keep - 1));
    if (following) this.#list.scrollTop = this.#list.scrollHeight;
  }

  #atEnd(): boolean {
    const { scrollTop, clientHeight, scrollHeight } = this.#list;
    return this.length > 0 && scrollTop + clientHeight > scrollHeight - 40;
  }

  /** Name and colour what stands from a place on, with the whole of the word that it is in. */
  #describe(from: number): void {
    for (let place = this.unit(from).first; place < this.length; ) {
      const unit = this.unit(place);
      this.#describeUnit(unit);
      place = unit.last + 1;
    }
  }

  #describeUnit({ first, last }: Range): void {
    const { table } = this.#store;
    const { measure, words } = this.#look;
    const rows = this.#rows.slice(first, last + 1);
    const value = measure.hue === "origin" ? Number.NaN : joined(measure, table, rows);
    const amount = Number.isNaN(value) ? null : along(measure, value).toPrecision(4);
    for (const [index, row] of rows.entries()) {
      const place = first + index;
      const option = this.#elements.option(place) as HTMLElement;
      if (index > 0) {
        // A word is heard once, at its first token.
        option.setAttribute("aria-hidden", "true");
      } else {
        const share = this.#elements.share(place);
        option.setAttribute(
          "aria-label",
          rows.length > 1 ? this.#names.word(table, rows) : this.#names.token(table, row, share),
        );
        if (this.#joined) option.removeAttribute("aria-hidden");
      }
      for (const { classList, style } of this.#elements.at(place)) {
        classList.add(`itw-${originOf(table, row)}`);
        if (table.isDelimiter(row)) classList.add("itw-special");
        if (this.#joined) {
          classList.toggle("itw-begins", words && index === 0);
          classList.toggle("itw-ends", words && place === last);
        }
        style.setProperty("--itw-value", amount);
      }
      if (this.#range !== null) this.#mark(place);
    }
  }

  #mark(place: number): void {
    const chosen = within(this.#range, place);
    for (const { classList } of this.#elements.at(place)) classList.toggle("itw-ranged", chosen);
  }

  #select(): void {
    const { place } = this.#store;
    const now: HTMLElement[] = [];
    if (place !== null) {
      const { first, last } = this.unit(place);
      for (let at = first; at <= last; at++) now.push(...this.#elements.at(at));
    }
    if (now.length === this.#selected.length && now.every((e, i) => e === this.#selected[i]))
      return;
    for (const part of this.#selected) {
      part.classList.remove("itw-selected");
      if (part.hasAttribute("role")) part.setAttribute("aria-selected", "false");
    }
    for (const part of now) part.classList.add("itw-selected");
    const [option] = now;
    if (option === undefined) this.#list.removeAttribute("aria-activedescendant");
    else {
      option.setAttribute("aria-selected", "true");
      this.#list.setAttribute("aria-activedescendant", option.id);
      this.#reveal(option);
    }
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

/** How long two paths from the root run together: a node that they share has the same nodes before it. */
function sharedLength(a: readonly number[], b: readonly number[]): number {
  let [low, high] = [0, Math.min(a.length, b.length)];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (a[middle - 1] === b[middle - 1]) low = middle;
    else high = middle - 1;
  }
  return low;
}
