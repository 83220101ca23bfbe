// The text of a token as it stands in the line: text nodes only, with marks for what would not be seen.

import { byteMark, markOf, type Piece } from "../text";

// What is marked within running text. Joiners and the like stay as they are: the shape of the text
// around them depends on them. Directional overrides are marked and kept from reaching further.
const MARKED = /([\p{Cc}\p{Zl}\p{Zp}\u202A-\u202E\u2066-\u2069])/u;
/** Text that has no width at all, and joins nothing: a joiner stands within the glyph that it makes. */
const UNSEEN =
  /^(?:(?!\u034F|\u200C|\u200D|[\p{Variation_Selector}\u{E0020}-\u{E007F}])\p{Default_Ignorable_Code_Point})+$/u;

export function element(name: string): HTMLElement {
  const span = document.createElement("span");
  span.className = name;
  return span;
}

/** Text goes into the page as text nodes. Marks are drawn by the style sheet, so copies are exact. */
export function addText(option: HTMLElement, piece: Piece): void {
  if (piece.byte !== undefined) {
    option.append(marked(piece.text, byteMark(piece.byte), "itw-byte"));
    return;
  }
  if (!MARKED.test(piece.text)) {
    option.append(piece.text);
    option.classList.toggle("itw-unseen", UNSEEN.test(option.textContent ?? ""));
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
