import { describe, expect, test } from "vitest";
import { userEvent } from "vitest/browser";
import { FakeKernel, type Piece } from "./fake_kernel";
import { copied, frame, selectedToken, show, tokens } from "./mount";

const EMOJI: Piece[] = [[0xf0], [0x9f], [0x98], [0x80]];
function kernelWith(pieces: Piece[], prompt: Piece[] = ["The"]): FakeKernel {
  const kernel = new FakeKernel(prompt, pieces);
  kernel.write(pieces);
  kernel.save();
  return kernel;
}

describe("names", () => {
  test("a token says its text, its probability, its surprisal and its rank", async () => {
    const kernel = kernelWith([" cat", " sat"]);
    const row = kernel.rows[1];
    if (row === undefined) throw new Error("the second row is missing");
    const { screen } = show(kernel);
    const bits = row.surprisal.toFixed(2);
    const p = (2 ** -row.surprisal).toFixed(3);
    const name = `" cat", probability ${p}, surprisal ${bits} bits, rank ${row.rank}`;
    await expect.element(screen.getByRole("option", { name, exact: true })).toBeVisible();
  });

  test("the first token has no context, and the prompt and what was forced say so", async () => {
    const kernel = kernelWith([" cat"]);
    kernel.append(kernel.idOf(" cat"), "forced");
    kernel.save();
    const { el } = show(kernel);
    await frame();
    const names = tokens(el).map((option) => option.getAttribute("aria-label"));
    expect(names[0]).toBe('"The", no context, not scored, prompt');
    expect(names[2]).toMatch(/, forced$/);
    expect(names.at(-1)).toBe("Next token");
  });
});

describe("walking", () => {
  test("a click selects, and the kernel is told the row", async () => {
    const kernel = kernelWith([" cat", " sat"]);
    const { el, screen } = show(kernel);
    await screen.getByRole("option", { name: /^" sat"/ }).click();
    await frame();
    expect(selectedToken(el)).toMatch(/^" sat"/);
    expect(kernel.model.last("select")).toMatchObject({ row: 2 });
    const list = screen.getByRole("listbox", { name: "Tokens" }).element();
    const active = document.getElementById(list.getAttribute("aria-activedescendant") ?? "");
    expect(active?.getAttribute("aria-selected")).toBe("true");
  });

  test("arrows, Home and End walk the tokens up to the next one", async () => {
    const kernel = kernelWith([" cat", " sat", " down"]);
    const { el, screen } = show(kernel);
    (screen.getByRole("listbox", { name: "Tokens" }).element() as HTMLElement).focus();
    const seen: string[] = [];
    for (const key of ["ArrowRight", "ArrowRight", "End", "ArrowRight", "ArrowLeft", "Home"]) {
      await userEvent.keyboard(`{${key}}`);
      await frame();
      seen.push(selectedToken(el)?.split(",")[0] ?? "");
    }
    expect(seen).toEqual(['"The"', '" cat"', "Next token", "Next token", '" down"', '"The"']);
  });

  test("up and down lead to the token that stands above or below", async () => {
    const words = Array.from({ length: 60 }, (_, i) => ` w${i}`);
    const kernel = kernelWith(words);
    const { el, screen } = show(kernel, 420);
    await screen.getByRole("option", { name: /^" w1"/ }).click();
    const before = document.activeElement;
    await userEvent.keyboard("{ArrowDown}");
    await frame();
    const below = el.querySelector('.itw-tokens [aria-selected="true"]')?.getBoundingClientRect();
    const start = tokens(el)[2]?.getBoundingClientRect();
    expect(below?.top).toBeGreaterThan(start?.bottom ?? 0);
    expect(Math.abs((below?.left ?? 0) - (start?.left ?? 0))).toBeLessThan(40);
    await userEvent.keyboard("{ArrowUp}");
    await frame();
    expect(selectedToken(el)).toMatch(/^" w1"/);
    expect(document.activeElement).toBe(before);
  });

  test("Enter leads to the alternatives and Escape back; Tab is not held", async () => {
    const kernel = kernelWith([" cat", " sat"]);
    const { screen } = show(kernel);
    await screen.getByRole("option", { name: /^" cat"/ }).click();
    await frame();
    await userEvent.keyboard("{Enter}");
    const alternatives = screen.getByRole("listbox", { name: "Alternatives" });
    await expect.element(alternatives).toHaveFocus();
    await userEvent.keyboard("{Escape}");
    const list = screen.getByRole("listbox", { name: "Tokens" });
    await expect.element(list).toHaveFocus();
    await userEvent.keyboard("{Tab}");
    await expect.element(list).not.toHaveFocus();
  });

  test("keys stay inside the widget", async () => {
    const kernel = kernelWith([" cat"]);
    const { el, screen } = show(kernel);
    let heard = 0;
    const listener = () => {
      heard += 1;
    };
    document.addEventListener("keydown", listener);
    (screen.getByRole("listbox", { name: "Tokens" }).element() as HTMLElement).focus();
    await userEvent.keyboard("{ArrowRight}");
    document.removeEventListener("keydown", listener);
    expect(heard).toBe(0);
    expect(el.querySelector("[data-lm-suppress-shortcuts=true]")).not.toBeNull();
  });
});

describe("text", () => {
  test("an emoji of four tokens is one glyph over four options that can be clicked", async () => {
    const kernel = kernelWith([" ", ...EMOJI, "!"]);
    const { el } = show(kernel);
    await frame();
    const options = tokens(el);
    expect(options).toHaveLength(8);
    expect(options.slice(2, 6).map((option) => option.getAttribute("aria-label"))).toEqual(
      [1, 2, 3, 4].map((part) => expect.stringContaining(`part ${part} of 4 of "😀"`)),
    );
    expect(el.querySelector(".itw-tokens")?.textContent).toBe("The 😀!");
    const slices = options.slice(2, 6).map((option) => option.getBoundingClientRect());
    for (const [index, slice] of slices.entries()) {
      expect(slice.width).toBeGreaterThan(2);
      const next = slices[index + 1];
      if (next !== undefined) expect(slice.right).toBeLessThanOrEqual(next.left + 0.5);
    }
    const third = slices[2] as DOMRect;
    const hit = document.elementFromPoint(third.x + third.width / 2, third.y + third.height / 2);
    expect(hit).toBe(options[4]);
  });

  test("a character that is not complete yet is completed by the tokens that follow", async () => {
    const kernel = new FakeKernel(["The"], [" a", ...EMOJI, " b"]);
    kernel.write([" a", ...EMOJI.slice(0, 2)]);
    kernel.save();
    const { el } = show(kernel);
    await frame();
    const first = tokens(el)[1];
    expect(el.querySelector(".itw-tokens")?.textContent).toBe("The a\uFFFD");
    kernel.write([...EMOJI.slice(2), " b"]);
    kernel.delta();
    await frame();
    expect(el.querySelector(".itw-tokens")?.textContent).toBe("The a😀 b");
    expect(tokens(el)[1]).toBe(first);
  });

  test("a token that ends one character and begins another is one option", async () => {
    const kernel = kernelWith([[0x20, 0xc3], [0xa9, 0x21, 0xc3], [0xa8], []]);
    const { el } = show(kernel);
    await frame();
    expect(el.querySelector(".itw-tokens")?.textContent).toBe("The é!è");
    expect(tokens(el)).toHaveLength(6);
    expect(tokens(el).map((option) => option.getAttribute("data-place"))).toEqual([
      "0",
      "1",
      "2",
      "3",
      "4",
      "5",
    ]);
  });

  test.each([
    ["paragraphs", ["The", " cat", ".", "\n", "\n", "  It", "\n\n", " sat"]],
    ["newlines within a token", ["{\n", "\n    ", "return", "\t1", ";\n}"]],
    ["control characters", ["a\u0007b", "\u001b[0m", "c\r\nd"]],
    ["right to left, and overrides", [" שלום", " עולם", "\u202Eabc\u202C", " x"]],
    ["joined characters", ["👩", "\u200D", "👩", " e", "\u0301", " \u00A0 "]],
    ["spaces in a row", ["  ", "   a", "  "]],
  ])("copying gives the exact text: %s", async (_, pieces) => {
    const kernel = kernelWith(pieces, [" "]);
    const { el } = show(kernel, 420);
    await frame();
    const text = ` ${pieces.join("")}`;
    expect(copied(el)).toEqual({ selection: text, clipboard: text });
  });

  test("a newline at the very end is copied too", async () => {
    const { el } = show(kernelWith([" a", "\n", "\n"]));
    await frame();
    expect(copied(el).clipboard).toBe("The a\n\n");
  });

  test.each([
    ["a zero-width space", "\u200B"],
    ["a word joiner", "\u2060"],
    ["a byte order mark", "\uFEFF"],
    ["a soft hyphen", "\u00AD"],
  ])("%s by itself can be seen and clicked", async (_, text) => {
    const { el } = show(kernelWith([" a", text, " b"]));
    await frame();
    const token = tokens(el)[2] as HTMLElement;
    const { left, top, height } = token.getBoundingClientRect();
    expect(document.elementFromPoint(left + 1, top + height / 2)).toBe(token);
    expect(getComputedStyle(token, "::after").inlineSize).toBe("4px");
    expect(copied(el).clipboard).toBe(`The a${text} b`);
  });

  test("what several tokens join is one glyph", async () => {
    const apart = show(kernelWith(["👩", "\u200D", "💻"]));
    const whole = show(kernelWith(["👩\u200D💻"]));
    await frame();
    const [woman, , computer] = tokens(apart.el)
      .slice(1)
      .map((token) => token.getBoundingClientRect());
    const glyph = tokens(whole.el)[1]?.getBoundingClientRect();
    const width = (computer?.right ?? 0) - (woman?.left ?? 0);
    expect(width).toBeCloseTo(glyph?.width ?? 0, 0);
  });

  test("separators of lines and paragraphs have a mark and break nothing", async () => {
    const text = "a\u2028b\u2029c";
    const { el } = show(kernelWith([text]));
    await frame();
    const token = tokens(el)[1] as HTMLElement;
    expect(token.getClientRects()).toHaveLength(1);
    expect([...token.children].map((mark) => mark.getAttribute("data-mark"))).toEqual([
      "⟨U+2028⟩",
      "⟨U+2029⟩",
    ]);
    expect(copied(el).clipboard).toBe(`The${text}`);
  });

  test("a special token is told apart from the same text", async () => {
    const kernel = new FakeKernel(["The"], ["<|end|>", " <|end|>"]);
    kernel.delimiters.add(kernel.idOf("<|end|>"));
    kernel.write(["<|end|>", " <|end|>"]);
    kernel.save();
    const { el } = show(kernel);
    await frame();
    expect(tokens(el)[1]?.ariaLabel).toMatch(/^"<\|end\|>", special token, /);
    expect(tokens(el)[2]?.ariaLabel).not.toContain("special");
    const [special, text] = [1, 2].map((place) => getComputedStyle(tokens(el)[place] as Element));
    expect(special?.fontFamily).not.toBe(text?.fontFamily);
  });

  test("right-to-left text is laid out from the right", async () => {
    const { el } = show(kernelWith(["\n", "שלום", " עולם"]));
    await frame();
    const [, , first, second] = tokens(el).map((option) => option.getBoundingClientRect());
    expect(first?.left).toBeGreaterThan(second?.left ?? 0);
  });
});

describe("growing", () => {
  test("elements are kept while the text grows, and a switch keeps the shared ones", async () => {
    const kernel = kernelWith([" cat", " sat", " down", " dog"]);
    kernel.state.head = 2;
    kernel.write([" down"]);
    kernel.state.head = 4;
    kernel.save();
    const { el } = show(kernel);
    await frame();
    const before = tokens(el);
    kernel.write([" cat"]);
    kernel.delta();
    await frame();
    expect(tokens(el).slice(0, 5)).toEqual(before.slice(0, 5));
    kernel.delta({ head: 5 });
    await frame();
    const after = tokens(el);
    expect(after).toHaveLength(5);
    expect(after.slice(0, 3)).toEqual(before.slice(0, 3));
    expect(after[3]).not.toBe(before[3]);
    expect(after[3]?.textContent).toBe(" down");
  });

  test("ten thousand tokens are drawn, and more are appended to them", async () => {
    const line = [" cat", " sat", " down", ".", "\n"];
    const kernel = new FakeKernel(["The"], line, 80);
    for (let i = 0; i < 2000; i++) kernel.write(line);
    kernel.save();
    const { el } = show(kernel);
    await frame();
    expect(tokens(el)).toHaveLength(10_002);
    const last = tokens(el)[10_000];
    kernel.write(line);
    kernel.delta();
    await frame();
    expect(tokens(el)).toHaveLength(10_007);
    expect(tokens(el)[10_000]).toBe(last);
  });
});
