import "../src/styles/index.css";
import { onTestFinished } from "vitest";
import { page } from "vitest/browser";
import widget from "../src/index";
import type { FakeKernel } from "./fake_kernel";

type Host = Parameters<ReturnType<typeof widget>["render"]>[0];

let views = 0;

/** What a host does with a widget: one model, any number of views, each taken away by its signal. */
export function open(kernel: FakeKernel) {
  const life = new AbortController();
  const { initialize, render } = widget();
  const shared = { model: kernel.model, experimental: {}, host: {} };
  initialize({ ...shared, signal: life.signal } as unknown as Host);
  onTestFinished(() => life.abort());

  function view(width = 900) {
    const controller = new AbortController();
    const el = document.createElement("div");
    el.style.width = `${width}px`;
    views += 1;
    const name = `view ${views}`;
    el.setAttribute("data-testid", name);
    document.body.append(el);
    render({ ...shared, el, signal: controller.signal } as unknown as Host);
    const close = () => {
      controller.abort();
      el.remove();
    };
    onTestFinished(close);
    return { el, close, screen: page.getByTestId(name) };
  }

  return { life, view };
}

/** A widget with one view of it. */
export function show(kernel: FakeKernel, width?: number) {
  const { life, view } = open(kernel);
  return { life, ...view(width) };
}

export const THEMES = ["light", "dark"] as const;

/** Show the page as JupyterLab does in one of its themes. */
export function wear(theme: (typeof THEMES)[number]): void {
  document.body.setAttribute("data-jp-theme-light", String(theme === "light"));
  document.body.style.background = theme === "light" ? "#fff" : "#111";
  onTestFinished(() => {
    document.body.removeAttribute("data-jp-theme-light");
    document.body.style.background = "";
  });
}

/** The next frame has been drawn. */
export function frame(): Promise<void> {
  return new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((done) => setTimeout(done, milliseconds));
}

export function tokens(el: Element): HTMLElement[] {
  return [...el.querySelectorAll<HTMLElement>('[aria-label="Tokens"] [role="option"]')];
}

export function selectedToken(el: Element): string | null | undefined {
  return tokens(el)
    .find((option) => option.getAttribute("aria-selected") === "true")
    ?.getAttribute("aria-label");
}

/** What a screen reader says of the options of a list. */
export function namesIn(el: Element, list: string): string[] {
  const options = el.querySelectorAll(`[aria-label="${list}"] [role="option"]`);
  return [...options].map(
    (option) =>
      option.getAttribute("aria-label") ?? option.querySelector(".itw-aloud")?.textContent ?? "",
  );
}

/** What a person gets who selects all tokens and copies them. */
export function copied(el: Element): { selection: string; clipboard: string } {
  const list = el.querySelector('[aria-label="Tokens"]') as HTMLElement;
  getSelection()?.selectAllChildren(list);
  const selection = String(getSelection());
  const clipboardData = new DataTransfer();
  list.dispatchEvent(new ClipboardEvent("copy", { clipboardData, bubbles: true }));
  getSelection()?.removeAllRanges();
  return { selection, clipboard: clipboardData.getData("text/plain") };
}
