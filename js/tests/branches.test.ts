// The branches: what a person says of them, how they are walked and found, and what a thousand cost.

import { describe, expect, test } from "vitest";
import { userEvent } from "vitest/browser";
import { COLOURS } from "../src/protocol";
import { FakeKernel } from "./fake_kernel";
import { frame, namesIn, open, selectedToken, show, THEMES, wear } from "./mount";
import { contrast, distance, rgb, VISIONS } from "./sight";

const WORDS = [" sat", " down", " ran", " off", " away"];

/** Branch 2 parts from 1 after the prompt, 3 from 2, and 4 from 1 after its first token. */
function branched(): FakeKernel {
  const kernel = new FakeKernel(["The", " cat"], WORDS);
  kernel.write([" sat", " down"]);
  kernel.state.head = 1;
  kernel.write([" ran", " off"], "forced");
  kernel.state.head = 4;
  kernel.write([" away"]);
  kernel.state.head = 2;
  kernel.write([" off", " away", " down"], "forced");
  kernel.save();
  return kernel;
}

/** A thousand branches, the newest of which is shown. */
function thousand(): FakeKernel {
  const kernel = new FakeKernel(["The", " cat"], WORDS);
  kernel.write([" sat", ...WORDS]);
  for (let branch = 2; branch <= 1000; branch++) {
    // Where a token has another after it already, one more is another branch.
    kernel.state.head = kernel.rows[2 + ((branch * 7919) % (kernel.rows.length - 2))]?.parent ?? 1;
    kernel.write([WORDS[branch % 5] as string, " off"]);
  }
  kernel.save();
  return kernel;
}

type Screen = ReturnType<typeof show>["screen"];

function focusList(screen: Screen): void {
  (screen.getByRole("listbox", { name: "Branches" }).element() as HTMLElement).focus();
}

function activeName(el: Element): string | undefined {
  const list = el.querySelector('[aria-label="Branches"]');
  const active = document.getElementById(list?.getAttribute("aria-activedescendant") ?? "");
  return active?.querySelector(".itw-aloud")?.textContent?.split(",")[0];
}

describe("names", () => {
  test("F2 renames in place, and the keyboard goes on in the list", async () => {
    const kernel = branched();
    const { el, screen } = show(kernel);
    await frame();
    focusList(screen);
    await userEvent.keyboard("{Home}{ArrowDown}{ArrowDown}{F2}");
    const field = screen.getByRole("textbox", { name: "Name of branch 2" });
    await expect.element(field).toHaveFocus();
    await field.fill(" <b>rude</b> 🦜 ");
    await userEvent.keyboard("{Enter}");
    expect(kernel.model.last("label")).toMatchObject({
      row: 4,
      label: { name: " <b>rude</b> 🦜 " },
    });
    await expect
      .poll(() => namesIn(el, "Branches")[2])
      .toMatch(/^<b>rude<\/b> 🦜, branch 2, forced,/);
    await expect.element(screen.getByRole("listbox", { name: "Branches" })).toHaveFocus();
    expect(activeName(el)).toBe("<b>rude</b> 🦜");
    await userEvent.keyboard("{F2}");
    await expect.element(field).toHaveValue("<b>rude</b> 🦜");
    await userEvent.keyboard("x{Escape}");
    await expect.element(field).not.toBeInTheDocument();
    await userEvent.keyboard("{F2}{Delete}{Enter}");
    await expect.poll(() => namesIn(el, "Branches")[2]).toMatch(/^Branch 2, forced,/);
  });

  test("the branch that is shown is renamed by a button, and a click elsewhere takes the name", async () => {
    const kernel = branched();
    const { el, screen } = show(kernel);
    await screen.getByRole("button", { name: "Rename" }).click();
    await userEvent.keyboard("mine");
    // New tokens leave what is being written as it is.
    kernel.write([" sat"]);
    kernel.delta();
    await frame();
    await frame();
    await expect
      .element(screen.getByRole("textbox", { name: "Name of branch 4" }))
      .toHaveValue("mine");
    (document.activeElement as HTMLElement).blur();
    await expect.poll(() => namesIn(el, "Branches")[1]).toMatch(/^mine, branch 4, forced,/);
    await expect.element(screen.getByRole("group", { name: "mine" })).toBeVisible();
  });

  test("a name that is refused stays to be mended, with the reason", async () => {
    const { el, screen } = show(branched());
    await screen.getByRole("button", { name: "Rename" }).click();
    const field = screen.getByRole("textbox", { name: "Name of branch 4" });
    await field.fill("x".repeat(61));
    await userEvent.keyboard("{Enter}");
    await expect.element(screen.getByText(/^name has 61 characters/)).toBeVisible();
    await userEvent.keyboard("{Backspace}{Enter}");
    await expect.element(field).not.toBeInTheDocument();
    expect(namesIn(el, "Branches")[1]).toMatch(/^x{60}, branch 4,/);
  });
});

describe("colours", () => {
  test("a colour is chosen by its name, and said", async () => {
    const kernel = branched();
    const { el, screen } = show(kernel);
    await expect.element(screen.getByRole("radio", { name: "no colour" })).toBeChecked();
    await screen.getByRole("radio", { name: "green" }).click();
    expect(kernel.model.last("label")).toMatchObject({ row: 7, label: { colour: "green" } });
    await expect.poll(() => namesIn(el, "Branches")[1]).toMatch(/^Branch 4, green, forced,/);
    expect(el.querySelectorAll("path.itw-colour-green")).toHaveLength(1);
    await screen.getByRole("radio", { name: "no colour" }).click();
    await expect.poll(() => namesIn(el, "Branches")[1]).toMatch(/^Branch 4, forced,/);
  });

  test.each(THEMES)(
    "in the %s theme they are seen, and told apart by every kind of colour vision",
    async (theme) => {
      wear(theme);
      const { el } = show(branched());
      await frame();
      const section = el.querySelector(".itw-branches") as HTMLElement;
      const ground = rgb(getComputedStyle(section).backgroundColor, [255, 255, 255]);
      const choices = COLOURS.map((colour) => {
        const choice = el.querySelector(`.itw-choice[aria-label="${colour}"]`) as HTMLElement;
        const { backgroundColor, clipPath } = getComputedStyle(choice, "::before");
        return { colour: rgb(backgroundColor, ground), shape: clipPath };
      });
      expect(new Set(choices.map(({ shape }) => shape)).size).toBe(COLOURS.length);
      for (const { colour } of choices) {
        expect(contrast(colour, ground)).toBeGreaterThanOrEqual(3);
      }
      for (const vision of VISIONS) {
        for (const [i, { colour }] of choices.entries()) {
          for (const [j, other] of choices.slice(0, i).entries()) {
            const apart = distance(colour, other.colour, vision);
            expect(apart, `${COLOURS[i]} and ${COLOURS[j]}`).toBeGreaterThan(0.08);
          }
        }
      }
    },
  );
});

describe("hidden branches", () => {
  test("leave the list until they are asked for, and the keyboard goes on beside them", async () => {
    const { el, screen } = show(branched());
    await frame();
    focusList(screen);
    await userEvent.keyboard("{End}");
    await screen.getByRole("button", { name: "Hide" }).click();
    await expect.poll(() => namesIn(el, "Branches")).toHaveLength(3);
    await expect.element(screen.getByRole("group", { name: "Branch 2" })).toBeVisible();
    await screen.getByRole("button", { name: "1 hidden branch: show" }).click();
    await expect.poll(() => namesIn(el, "Branches")[3]).toMatch(/^Branch 3, hidden, sampled,/);
    focusList(screen);
    await userEvent.keyboard("{End}");
    await screen.getByRole("button", { name: "Unhide" }).click();
    await expect.poll(() => namesIn(el, "Branches")[3]).toMatch(/^Branch 3, sampled,/);
    await expect.element(screen.getByText(/hidden branch/)).not.toBeInTheDocument();
  });

  test("that which is shown is listed until another is", async () => {
    const { el, screen } = show(branched());
    await screen.getByRole("button", { name: "Hide" }).click();
    await expect.poll(() => namesIn(el, "Branches")[1]).toMatch(/^Branch 4, hidden, forced/);
    await screen.getByRole("option", { name: /^Branch 1/ }).click();
    await expect
      .poll(() => namesIn(el, "Branches").map((name) => name.slice(0, 8)))
      .toEqual(["Branch 1", "Branch 2", "Branch 3"]);
  });

  test("every view of a viewer knows the labels", async () => {
    const { view } = open(branched());
    const [left, right] = [view(), view()];
    await frame();
    await left.screen.getByRole("radio", { name: "pink" }).click();
    await expect.poll(() => namesIn(right.el, "Branches")[1]).toMatch(/^Branch 4, pink,/);
    await left.screen.getByRole("button", { name: "Hide" }).click();
    await expect.element(right.screen.getByText("1 hidden branch: show")).toBeVisible();
  });
});

describe("the keyboard", () => {
  test("goes to parents and children", async () => {
    const kernel = branched();
    kernel.state.labels = [{ start: 4, name: "Rude one", colour: null, hidden: false }];
    kernel.save();
    const { el, screen } = show(kernel);
    await frame();
    focusList(screen);
    const at: (string | undefined)[] = [];
    for (const keys of ["{End}", "{ArrowLeft}", "{ArrowLeft}", "{ArrowRight}", "{ArrowRight}"]) {
      await userEvent.keyboard(keys);
      await frame();
      at.push(activeName(el));
    }
    const [one, three, four] = ["Branch 1", "Branch 3", "Branch 4"];
    expect(at).toEqual([three, "Rude one", one, four, four]);
    await userEvent.keyboard("{End}{Enter}");
    await frame();
    expect(kernel.model.last("switch")).toMatchObject({ row: 6 });
  });
});

describe("the map", () => {
  test("a click on a line shows its branch and selects the position", async () => {
    const kernel = branched();
    const { el, screen } = show(kernel);
    await frame();
    const map = el.querySelector(".itw-axis") as HTMLElement;
    // Eight tokens are the least that the axis holds.
    const x = (place: number) => 8 + ((place + 0.5) * map.clientWidth) / 8;
    const option = screen.getByRole("option", { name: /^Branch 2/ });
    await option.click({ position: { x: x(2), y: 14 } });
    expect(kernel.model.last("switch")).toMatchObject({ row: 5 });
    await expect.poll(() => selectedToken(el)).toMatch(/^" ran"/);
    await option.click({ position: { x: x(0), y: 14 } });
    await expect.poll(() => selectedToken(el)).toMatch(/^"The"/);
    expect(kernel.model.sent.filter(({ kind }) => kind === "switch")).toHaveLength(1);
    // Beyond the end of a line there is no token: the branch is shown and the position stays.
    await screen.getByRole("option", { name: /^Branch 1/ }).click({ position: { x: x(7), y: 14 } });
    await expect.poll(() => kernel.model.last("switch")).toMatchObject({ row: 3 });
    expect(selectedToken(el)).toMatch(/^"The"/);
  });

  test("the text that is shown is drawn from its first token to its head", async () => {
    const { el } = show(branched());
    await frame();
    await frame();
    const map = el.querySelector(".itw-axis") as HTMLElement;
    const d = el.querySelector("path.itw-shown")?.getAttribute("d") ?? "";
    const ends = [...d.matchAll(/H([\d.]+)/g)].map(([, x]) => (8 * Number(x)) / map.clientWidth);
    // Branch 4 up to its sixth token, and branch 1 up to where it parts from it.
    expect(ends.map((end) => Math.round(end * 10) / 10)).toEqual([6, 3]);
  });
});

describe("many branches", () => {
  test("of a thousand, what is in view is in the page, and a token changes little of it", async () => {
    const kernel = thousand();
    const { el } = show(kernel);
    await frame();
    await frame();
    const section = el.querySelector(".itw-branches") as HTMLElement;
    const options = () => [...section.querySelectorAll('[role="option"]')];
    expect(options().length).toBeLessThan(20);
    expect(options()[0]?.getAttribute("aria-setsize")).toBe("1000");
    expect(options().some((option) => option.getAttribute("aria-selected") === "true")).toBe(true);
    const seen = new MutationObserver(() => {});
    kernel.delta({ job: { id: 1, kind: "generate", made: 0, total: 50, stopping: false } });
    await frame();
    await frame();
    seen.observe(section, {
      subtree: true,
      childList: true,
      characterData: true,
      attributes: true,
    });
    for (let token = 1; token <= 10; token++) {
      kernel.tick();
      await frame();
    }
    // The figures and the excerpt of one branch, its line and that of the text.
    expect(seen.takeRecords().length).toBeLessThan(10 * 12);
    seen.disconnect();
  });

  test("keys reach all of them, and what they lead to is in view", async () => {
    const { el, screen } = show(thousand());
    await frame();
    focusList(screen);
    for (const [key, place] of [
      ["{End}", "1000"],
      ["{Home}", "1"],
      ["{ArrowDown}", "2"],
    ] as const) {
      await userEvent.keyboard(key);
      await frame();
      const list = el.querySelector('[aria-label="Branches"]');
      const option = document.getElementById(list?.getAttribute("aria-activedescendant") ?? "");
      expect(option?.getAttribute("aria-posinset")).toBe(place);
      const scroller = list?.parentElement?.getBoundingClientRect();
      const box = option?.getBoundingClientRect();
      expect(box?.top).toBeGreaterThanOrEqual((scroller?.top ?? 0) - 1);
      expect(box?.bottom).toBeLessThanOrEqual((scroller?.bottom ?? 0) + 1);
    }
  });

  test("they are found by their names and by what they add", async () => {
    const kernel = thousand();
    const start = kernel.rows.length - 2;
    kernel.state.labels = [{ start, name: "The Needle", colour: null, hidden: false }];
    kernel.state.head = 1;
    kernel.write([" sat", " sat", " sat"], "forced");
    kernel.save();
    const { el, screen } = show(kernel);
    await frame();
    const field = screen.getByRole("searchbox", { name: "Find branch" });
    await field.fill("needle");
    await expect.element(screen.getByText("1 of 1,001 branches")).toBeVisible();
    expect(namesIn(el, "Branches")).toEqual([expect.stringMatching(/^The Needle, branch 1000,/)]);
    await field.fill("sat sat sat");
    await expect
      .poll(() => namesIn(el, "Branches"))
      .toEqual([expect.stringMatching(/^Branch 1001/)]);
    await field.fill("☃");
    await expect.element(screen.getByText("0 of 1,001 branches")).toBeVisible();
    await field.fill("");
    await expect.poll(() => namesIn(el, "Branches").length).toBeGreaterThan(8);
  });

  test("few are not searched", async () => {
    const { screen } = show(branched());
    await frame();
    expect(screen.getByRole("searchbox", { name: "Find branch" }).elements()).toHaveLength(0);
  });
});
