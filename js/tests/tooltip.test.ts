import { describe, expect, test } from "vitest";
import { userEvent } from "vitest/browser";
import { bitsOf, kernelWith } from "./experts";
import { frame, pause, show, tokens } from "./mount";

function list(el: Element): HTMLElement {
  return el.querySelector('[aria-label="Tokens"]') as HTMLElement;
}

describe("the tooltip", () => {
  const tip = (el: Element) => el.querySelector<HTMLElement>("[role=tooltip]");
  /** Rest on a token until the tooltip says so. */
  async function hover(el: Element, place: number, text: string): Promise<void> {
    tokens(el)[place]?.dispatchEvent(new PointerEvent("pointerover", { bubbles: true }));
    await expect.poll(() => tip(el)?.textContent ?? "").toContain(text);
  }

  test("says all that is known of a token, beside it and outside of the list", async () => {
    const kernel = kernelWith();
    kernel.measures = [{ name: "regret", unit: "nats", title: "Regret", limit: 4 }];
    kernel.save();
    const { el } = show(kernel);
    await frame();
    await hover(el, 4, "say");
    const [row, box] = [kernel.rows[4], tip(el)];
    if (row === undefined || box === null) throw new Error("there is no tooltip");
    const text = box.innerText.replaceAll("\n", " ");
    for (const part of [
      "·say",
      `surprisal ${row.surprisal.toFixed(2)} bits`,
      `entropy ${row.entropy.toFixed(2)} bits`,
      `varentropy ${row.varentropy.toFixed(2)} bits²`,
      `rank ${row.rank} of 400`,
      "probability 0.",
      "cost 0.00 bits",
      "Regret 4.00 nats",
      "origin sampled",
    ])
      expect(text).toContain(part);
    expect(list(el).contains(box)).toBe(false);
    const [token, tooltip] = [tokens(el)[4], box].map((part) => part?.getBoundingClientRect());
    const [above, below] = [
      (tooltip?.bottom ?? 0) <= (token?.top ?? 0),
      (tooltip?.top ?? 0) >= (token?.bottom ?? 0),
    ];
    expect(above || below, "it covers the token").toBe(true);
    expect(el.querySelectorAll("[role=tooltip]")).toHaveLength(1);
  });

  test("is one element that goes with the pointer, by Escape, and when the text scrolls", async () => {
    const { el } = show(kernelWith());
    await frame();
    await hover(el, 2, "exper");
    const first = tip(el);
    await hover(el, 4, "say");
    expect(tip(el)).toBe(first);
    expect(tip(el)?.textContent).toContain("say");
    list(el).focus();
    await userEvent.keyboard("{Escape}");
    await expect.poll(() => tip(el)).toBeNull();
    await hover(el, 3, "ts");
    // It may hear of scrolling from the next frame on.
    const scrolled = () => list(el).dispatchEvent(new Event("scroll")) && tip(el);
    await expect.poll(scrolled).toBeNull();
    await hover(el, 2, "exper");
    list(el).dispatchEvent(new PointerEvent("pointerleave"));
    await expect.poll(() => tip(el)).toBeNull();
  });

  test("stays while the pointer is on it", async () => {
    const { el } = show(kernelWith());
    await frame();
    await hover(el, 2, "exper");
    list(el).dispatchEvent(new PointerEvent("pointerleave"));
    tip(el)?.dispatchEvent(new PointerEvent("pointerenter"));
    await pause(400);
    expect(tip(el)).not.toBeNull();
  });

  test("comes for the token that the keyboard rests on, and takes no focus", async () => {
    const { el } = show(kernelWith());
    await frame();
    list(el).focus();
    await userEvent.keyboard("{ArrowRight}{ArrowRight}{ArrowRight}");
    await expect.poll(() => tip(el)?.textContent).toContain("exper");
    expect(document.activeElement).toBe(list(el));
    await userEvent.keyboard("{Escape}");
    await expect.poll(() => tip(el)).toBeNull();
  });

  test("goes with its token", async () => {
    const kernel = kernelWith();
    const { el } = show(kernel);
    await frame();
    await hover(el, 6, "so");
    kernel.delta({ head: 3 });
    await expect.poll(() => tip(el)).toBeNull();
  });

  test("of a word has its tokens with their bits", async () => {
    const kernel = kernelWith();
    const { el, screen } = show(kernel);
    await screen.getByRole("checkbox", { name: "Words" }).click();
    await frame();
    await hover(el, 3, "experts");
    const text = tip(el)?.innerText.replaceAll("\n", " ") ?? "";
    expect(text).toContain("·experts");
    expect(text).toContain(`surprisal ${bitsOf(kernel, 2, 3).toFixed(2)} bits`);
    expect(text).toContain(`“ts” ${bitsOf(kernel, 3, 3).toFixed(2)} bits`);
  });
});
