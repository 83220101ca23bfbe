/** Move the keyboard focus from what is about to vanish to the part of the page that it is in. */
export function stepOut(element: Element): void {
  const part = element.closest<HTMLElement>("section, .itw-root");
  if (part === null || !element.contains(document.activeElement)) return;
  part.tabIndex = -1;
  part.addEventListener("blur", () => part.removeAttribute("tabindex"), { once: true });
  part.focus({ preventScroll: true });
}
