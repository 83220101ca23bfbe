import { describe, expect, test } from "vitest";
import { userEvent } from "vitest/browser";
import { bitsOf, kernelWith } from "./experts";
import { frame, open, selectedToken, show, tokens } from "./mount";

/** Names of the tokens that are marked as chosen. */
function chosen(el: Element): string[] {
  return tokens(el)
    .filter((token) => token.classList.contains("itw-ranged"))
    .map((token) => token.textContent ?? "");
}

function totals(el: Element): string {
  return [...el.querySelectorAll(".itw-total")].map((total) => total.textContent).join(" · ");
}

function list(el: Element): HTMLElement {
  return el.querySelector('[aria-label="Tokens"]') as HTMLElement;
}

describe("words", () => {
  async function words(kernel = kernelWith()) {
    const view = show(kernel);
    await frame();
    await view.screen.getByRole("checkbox", { name: "Words" }).click();
    await frame();
    return { ...view, kernel };
  }

  test("are heard once, with the bits of their tokens", async () => {
    const { el, kernel } = await words();
    const heard = tokens(el).filter((token) => token.ariaHidden !== "true");
    const bits = bitsOf(kernel, 2, 3);
    const p = (2 ** -bits).toPrecision(1);
    expect(heard.map((token) => token.textContent)).toEqual([
      "The",
      " few",
      " exper",
      " say",
      " so",
      "\n",
      " it",
      "",
    ]);
    expect(heard[2]?.ariaLabel).toContain(
      `" experts", word of 2 tokens, probability ${p.slice(0, 3)}`,
    );
    expect(heard[2]?.ariaLabel).toContain(`surprisal ${bits.toFixed(2)} bits`);
    expect(heard[1]?.ariaLabel).toMatch(/^" few", probability .*, rank \d+, prompt$/);
  });

  test("have one colour, of their bits", async () => {
    const { el, kernel } = await words();
    const values = [2, 3].map((place) =>
      Number(tokens(el)[place]?.style.getPropertyValue("--itw-value")),
    );
    expect(values[0]).toBeCloseTo(bitsOf(kernel, 2, 3), 2);
    expect(values[1]).toBe(values[0]);
  });

  test("are walked and chosen as a whole", async () => {
    const { el, screen, kernel } = await words();
    tokens(el)[3]?.click();
    await frame();
    expect(kernel.model.last("select")).toMatchObject({ row: 2 });
    expect(el.querySelectorAll(".itw-selected")).toHaveLength(2);
    list(el).focus();
    await userEvent.keyboard("{ArrowRight}");
    await frame();
    expect(kernel.model.last("select")).toMatchObject({ row: 4 });
    await userEvent.keyboard("{ArrowLeft}{ArrowLeft}");
    await frame();
    expect(selectedToken(el)).toMatch(/^" few"/);
    await userEvent.keyboard("{Shift>}{ArrowRight}{/Shift}");
    await frame();
    expect(chosen(el)).toEqual([" few", " exper", "ts"]);
    await screen.getByRole("checkbox", { name: "Words" }).click();
    await frame();
    expect(tokens(el).every((token) => token.ariaHidden === null)).toBe(true);
    expect(tokens(el)[3]?.ariaLabel).toMatch(/^"ts", probability/);
  });

  test("grow with the text, and lose what another branch does not have", async () => {
    const kernel = kernelWith([" exper", "ts"]);
    const { el } = await words(kernel);
    const word = () => tokens(el)[2]?.ariaLabel?.split(",")[0];
    kernel.write(["ts"]);
    kernel.delta();
    await frame();
    expect(word()).toBe('" expertsts"');
    kernel.delta({ head: 2 });
    await frame();
    expect(word()).toBe('" exper"');
    expect(el.querySelector(".itw-tokens")?.textContent).toBe("The few exper");
  });

  test("of a text without spaces are one, of which the beginning is heard", async () => {
    const { el } = await words(kernelWith(Array(50).fill("字")));
    expect(tokens(el)[1]?.ariaLabel).toMatch(/^" few字{29}…", word of 51 tokens, /);
  });

  test("are a matter of one view, which keeps it whatever is drawn", async () => {
    const kernel = kernelWith();
    const { view } = open(kernel);
    const [left, right] = [view(), view()];
    await frame();
    await left.screen.getByRole("checkbox", { name: "Words" }).click();
    await left.screen.getByRole("combobox", { name: "Colour by" }).selectOptions("rank");
    kernel.restart("second", ["A", " dog"]);
    await frame();
    await expect.element(left.screen.getByRole("checkbox", { name: "Words" })).toBeChecked();
    const [mine, other] = [left, right].map(({ screen }) =>
      screen.getByRole("combobox", { name: "Colour by" }),
    );
    await expect.element(mine as never).toHaveValue("rank");
    await expect.element(other as never).toHaveValue("surprisal");
    await expect.element(right.screen.getByRole("checkbox", { name: "Words" })).not.toBeChecked();
  });
});

describe("a stretch of text", () => {
  test("is chosen with Shift and the arrows, shown, summed, and cleared by Escape", async () => {
    const kernel = kernelWith();
    const { el, screen } = show(kernel);
    await screen.getByRole("option", { name: /^" say"/ }).click();
    await frame();
    await userEvent.keyboard("{Shift>}{ArrowRight}{ArrowRight}{/Shift}");
    await frame();
    await frame();
    expect(chosen(el)).toEqual([" say", ",", " so"]);
    const part = screen.getByRole("combobox", { name: "Totals of" });
    await expect.element(part).toHaveDisplayValue("“say” to “so”");
    expect(totals(el)).toContain("3 tokens");
    expect(totals(el)).toContain(`${bitsOf(kernel, 4, 6).toFixed(2)} bits`);
    await userEvent.keyboard("{ArrowLeft}");
    await frame();
    expect(chosen(el)).toHaveLength(3);
    await userEvent.keyboard("{Escape}");
    await frame();
    expect(chosen(el)).toEqual([]);
    await expect.element(part).toHaveDisplayValue("the whole text");
  });

  test("is brushed in the strip, and goes on by keys", async () => {
    const { el } = show(kernelWith());
    await frame();
    const canvas = el.querySelector("canvas") as HTMLCanvasElement;
    const { left, top } = canvas.getBoundingClientRect();
    const at = (type: string, place: number) =>
      canvas.dispatchEvent(
        new PointerEvent(type, {
          bubbles: true,
          pointerId: 1,
          clientX: left + 22 * place + 11,
          clientY: top + 20,
        }),
      );
    canvas.setPointerCapture = () => {};
    at("pointerdown", 5);
    at("pointermove", 3);
    at("pointermove", 2);
    at("pointerup", 2);
    await frame();
    await frame();
    expect(chosen(el)).toEqual([" exper", "ts", " say", ","]);
    expect(totals(el)).toContain("4 tokens");
    expect(selectedToken(el)).toBeUndefined();
    expect(document.activeElement).toBe(list(el));
    await userEvent.keyboard("{Escape}");
    await frame();
    expect(chosen(el)).toEqual([]);
  });

  test("is what the mouse selects, and the text can still be copied", async () => {
    const { el } = show(kernelWith());
    await frame();
    const [before, last] = [1, 4].map((place) => tokens(el)[place]?.firstChild) as never as [
      Node,
      Node,
    ];
    // From the end of what comes before it to the middle of a token.
    getSelection()?.setBaseAndExtent(before, 4, last, 2);
    tokens(el)[4]?.click();
    await frame();
    expect(chosen(el)).toEqual([" exper", "ts", " say"]);
    expect(String(getSelection())).toBe(" experts s");
    getSelection()?.removeAllRanges();
  });

  test("does not outlive its text", async () => {
    const kernel = kernelWith();
    const { el, screen } = show(kernel);
    await screen.getByRole("option", { name: /^" say"/ }).click();
    await userEvent.keyboard("{Shift>}{End}{/Shift}");
    await frame();
    expect(chosen(el)).toHaveLength(6);
    kernel.delta({ head: 5 });
    await frame();
    await frame();
    expect(totals(el)).toContain("2 tokens");
    kernel.restart("second", ["A", " dog"]);
    await frame();
    await frame();
    await expect
      .element(screen.getByRole("combobox", { name: "Totals of" }))
      .toHaveDisplayValue("the whole text");
    expect(chosen(el)).toEqual([]);
  });
});

describe("totals", () => {
  test("are those of the whole text that is shown, of its prompt or of what is new", async () => {
    const kernel = kernelWith();
    const { el, screen } = show(kernel);
    await frame();
    const part = screen.getByRole("combobox", { name: "Totals of" });
    expect(totals(el)).toContain("10 tokens");
    await part.selectOptions("the new tokens");
    expect(totals(el)).toContain(`8 tokens ·  ${bitsOf(kernel, 2, 9).toFixed(2)} bits`);
    await part.selectOptions("the prompt");
    expect(totals(el)).toContain("2 tokens");
    await part.selectOptions("the new tokens");
    kernel.write([" it"]);
    kernel.delta();
    await frame();
    expect(totals(el)).toContain("9 tokens");
    kernel.delta({ head: 5 });
    await frame();
    expect(totals(el)).toContain(`4 tokens ·  ${bitsOf(kernel, 2, 5).toFixed(2)} bits`);
  });

  test("say what they are", async () => {
    const { el } = show(kernelWith());
    await frame();
    const titles = [...el.querySelectorAll<HTMLElement>(".itw-total")].map(({ title }) => title);
    expect(titles.slice(1).every((title) => title.length > 10)).toBe(true);
  });
});
