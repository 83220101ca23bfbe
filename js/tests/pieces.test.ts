import { describe, expect, test } from "vitest";
import { userEvent } from "vitest/browser";
import { FakeKernel } from "./fake_kernel";
import { frame, pause, show } from "./mount";

function kernelWith(): FakeKernel {
  const kernel = new FakeKernel(["The", " cat"], [" sat", " Lon", "don", " London", " is", "<b>"]);
  kernel.write([" Lon", " is"]);
  kernel.state.selected = 2;
  kernel.save();
  return kernel;
}

function fieldIn({ screen }: ReturnType<typeof show>) {
  return screen.getByRole("textbox", { name: "Force text" });
}

function piecesIn(el: Element): string[] {
  const items = el.querySelectorAll('[aria-label="Tokens of the text"] li');
  return [...items].map((item) => item.textContent ?? "");
}

describe("a text that is typed to be forced", () => {
  test("is shown as its tokens, with their price as far as it is known", async () => {
    const kernel = kernelWith();
    const view = show(kernel);
    await fieldIn(view).fill(" London is<b>");
    await expect.poll(() => piecesIn(view.el)).toHaveLength(3);
    const bits = -(kernel.logProbs(1)[kernel.idOf(" London")] ?? 0) / Math.LN2;
    expect(piecesIn(view.el)).toEqual([
      `·London ${bits.toFixed(2)} bits`,
      "·is ? bits",
      "<b> ? bits",
    ]);
    expect(kernel.model.last("tokenize")).toMatchObject({ parent: 1, text: " London is<b>" });
    await expect
      .element(view.screen.getByText(`3 tokens: the first one costs ${bits.toFixed(2)} bits;`))
      .toBeVisible();
    // Nothing is forced by typing.
    expect(kernel.model.last("force")).toBeUndefined();
  });

  test("says what one token costs as a whole", async () => {
    const view = show(kernelWith());
    await fieldIn(view).fill(" London");
    await expect
      .element(view.screen.getByText(/^1 token: forcing it costs [\d.]+ bits\./))
      .toBeVisible();
  });

  test("that would join with the text before it says to what", async () => {
    const kernel = kernelWith();
    const view = show(kernel);
    await view.screen.getByRole("option", { name: /^" is"/ }).click();
    await fieldIn(view).fill("don");
    await expect
      .element(
        view.screen.getByText(/Written in one with the text before it, it would join to ·London:/),
      )
      .toBeVisible();
  });

  test("is asked for when typing pauses, and given up when it goes on", async () => {
    const kernel = kernelWith();
    kernel.answers = false;
    const view = show(kernel);
    await fieldIn(view).fill(" Lon");
    await expect.poll(() => kernel.model.last("tokenize")?.text).toBe(" Lon");
    const asked = kernel.model.last("tokenize")?.id;
    await fieldIn(view).fill(" London");
    await expect.poll(() => kernel.model.last("tokenize")?.text).toBe(" London");
    expect(kernel.model.last("tokenize-cancel")?.id).toBe(asked);
  });

  test("is forced at once by Enter, shown or not", async () => {
    const kernel = kernelWith();
    kernel.answers = false;
    const view = show(kernel);
    await fieldIn(view).fill(" London");
    await userEvent.keyboard("{Enter}");
    expect(kernel.model.last("force")).toMatchObject({ text: " London" });
  });

  test("is not cut where there is no model to do it", async () => {
    const kernel = kernelWith();
    kernel.state.read_only = "This session can only be read: there is no model.";
    kernel.save();
    const view = show(kernel);
    await fieldIn(view).fill(" London");
    await pause(250);
    expect(kernel.model.last("tokenize")).toBeUndefined();
    await expect
      .element(view.screen.getByText(/^This session can only be read/).first())
      .toBeVisible();
  });

  test("of a page of words shows the first tokens, and how many more", async () => {
    const view = show(kernelWith());
    await fieldIn(view).fill(" is".repeat(100));
    await expect.poll(() => piecesIn(view.el).at(-1)).toBe("and 60 more tokens");
    await frame();
    expect(view.el.scrollWidth).toBeLessThanOrEqual(900);
  });
});
