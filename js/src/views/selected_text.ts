import type { Range as Places } from "../totals";

/** The tokens of which a selection of text holds something; null when it does not lie within them. */
export function placesOf(list: HTMLElement): Places | null {
  const selection = getSelection();
  const range = selection?.rangeCount === 1 ? selection.getRangeAt(0) : null;
  if (range === null || range.collapsed || !list.contains(range.commonAncestorContainer))
    return null;
  const before = document.createRange();
  before.selectNodeContents(list);
  before.setEnd(range.startContainer, range.startOffset);
  const start = before.toString().length;
  const stop = start + range.toString().length;

  let end = 0;
  const touched: number[] = [];
  for (const part of list.querySelectorAll(".itw-paragraph > *")) {
    const begin = end;
    end += part.textContent?.length ?? 0;
    if (end <= start || begin === end) continue;
    if (begin >= stop) break;
    const shown = part.matches("[data-place]") ? [part] : part.querySelectorAll("[data-place]");
    for (const one of shown) touched.push(Number(one.getAttribute("data-place")));
  }
  const [first] = touched;
  return first === undefined ? null : { first, last: touched.reduce((a, b) => Math.max(a, b)) };
}
