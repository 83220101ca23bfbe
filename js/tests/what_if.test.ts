import { describe, expect, test } from "vitest";
import { userEvent } from "vitest/browser";
import { FakeKernel } from "./fake_kernel";
import { frame, namesIn, selectedToken, show } from "./mount";

function kernelWith(): FakeKernel {
  const kernel = new FakeKernel(["The", " cat"], [" sat", " down", " on", " mats"]);
  kernel.write([" sat", " down", " on"]);
  kernel.state.selected = 3;
  kernel.save();
  return kernel;
}

function rowsOf(el: Element): HTMLTableRowElement[] {
  return [...el.querySelectorAll<HTMLTableRowElement>('[aria-label="Continuations"] tbody tr')];
}

function key(el: Element, list: string, pressed: string): void {
  const listbox = el.querySelector<HTMLElement>(`[aria-label="${list}"]`);
  listbox?.focus();
  listbox?.dispatchEvent(new KeyboardEvent("keydown", { key: pressed, bubbles: true }));
}

describe("what if", () => {
  test("the button asks for five alternatives of twelve tokens by the settings", async () => {
    const kernel = kernelWith();
    const { el, screen } = show(kernel);
    await screen.getByRole("button", { name: "What if" }).click();
    await expect.poll(() => rowsOf(el)).toHaveLength(5);
    expect(kernel.model.last("rollout")).toMatchObject({
      parent: 2,
      k: 5,
      settings: { ...kernel.state.settings, max_new_tokens: 12 },
    });
    const [held] = kernel.rollouts;
    for (const [index, row] of rowsOf(el).entries()) {
      const one = held?.continuations[index];
      const cells = [...row.cells].map(({ textContent }) => textContent);
      expect(cells[0]).toBe(String(one?.ranks[0]));
      expect(cells[2]).toBe((2 ** -(one?.surprisals[0] ?? 0)).toFixed(3));
      const bits = one?.surprisals.reduce((sum, x) => sum + x, 0) ?? 0;
      expect(cells[4]).toBe(bits.toFixed(2));
      expect(row.querySelectorAll(".itw-shade")).toHaveLength(11);
    }
    expect(rowsOf(el)[1]?.textContent).toContain("end of text");
  });

  test.each(["Tokens", "Alternatives"])("w asks in the listbox %s", async (list) => {
    const kernel = kernelWith();
    const { el } = show(kernel);
    await frame();
    key(el, list, "w");
    await expect.poll(() => rowsOf(el)).toHaveLength(5);
    // The answer takes the focus, and Escape gives it back.
    await expect.poll(() => document.activeElement?.textContent).toBe("Keep");
    await userEvent.keyboard("{Escape}");
    expect(rowsOf(el)).toHaveLength(0);
    expect(document.activeElement?.getAttribute("aria-label")).toBe("Tokens");
  });

  test("w is a letter where text is typed", async () => {
    const kernel = kernelWith();
    const { screen } = show(kernel);
    await screen.getByRole("textbox", { name: "Force text" }).fill("");
    await userEvent.keyboard("w");
    expect(kernel.model.last("rollout")).toBeUndefined();
  });

  test("the arrows walk the rows and Enter keeps one as a branch", async () => {
    const kernel = kernelWith();
    const { el } = show(kernel);
    await frame();
    const rows = kernel.rows.length;
    key(el, "Tokens", "w");
    await expect.poll(() => document.activeElement?.textContent).toBe("Keep");
    await userEvent.keyboard("{ArrowDown}{ArrowDown}{Enter}");
    expect(kernel.model.last("adopt")).toMatchObject({ rollout: 1, index: 2 });
    await expect.poll(() => rowsOf(el)[2]?.textContent).toContain("Kept");
    expect(kernel.rows).toHaveLength(rows + 12);
    const id = kernel.rollouts[0]?.continuations[2]?.ids[0] ?? -1;
    const text = new TextDecoder().decode(kernel.vocabulary[id]);
    expect(selectedToken(el)).toContain(`"${text}"`);
    // What was asked stays: another can be kept as well.
    await userEvent.keyboard("{ArrowUp}{ArrowUp}{Enter}");
    expect(kernel.model.last("adopt")).toMatchObject({ rollout: 1, index: 0 });
  });

  test("another number asks anew, and one that is not accepted says what is", async () => {
    const kernel = kernelWith();
    const { el, screen } = show(kernel);
    await screen.getByRole("button", { name: "What if" }).click();
    await screen.getByRole("spinbutton", { name: "Alternatives" }).fill("3");
    await expect.poll(() => rowsOf(el)).toHaveLength(3);
    await screen.getByRole("spinbutton", { name: "Tokens each" }).fill("2");
    await expect.poll(() => kernel.rollouts.at(-1)?.continuations[0]?.ids).toHaveLength(2);
    const asked = kernel.rollouts.length;
    await screen.getByRole("spinbutton", { name: "Alternatives" }).fill("99");
    await expect.element(screen.getByText("a whole number from 1 to 20")).toBeVisible();
    expect(kernel.rollouts).toHaveLength(asked);
  });

  test("the focus stays in the field of a number while it is typed", async () => {
    const kernel = kernelWith();
    const { el, screen } = show(kernel);
    await screen.getByRole("button", { name: "What if" }).click();
    await expect.poll(() => document.activeElement?.textContent).toBe("Keep");
    const field = screen.getByRole("spinbutton", { name: "Tokens each" });
    (field.element() as HTMLInputElement).select();
    await userEvent.keyboard("2");
    await expect.poll(() => kernel.rollouts.at(-1)?.continuations[0]?.ids).toHaveLength(2);
    await expect.poll(() => rowsOf(el)).toHaveLength(5);
    await expect.element(field).toHaveFocus();
    await userEvent.keyboard("0");
    await expect.poll(() => kernel.rollouts.at(-1)?.continuations[0]?.ids).toHaveLength(20);
    await expect.element(field).toHaveFocus();
  });

  test("an answer that comes late leaves the focus to who types elsewhere", async () => {
    const kernel = kernelWith();
    const { el, screen } = show(kernel);
    kernel.answers = false;
    kernel.delta({ job: { id: 1, kind: "generate", made: 0, total: 9, stopping: false } });
    await screen.getByRole("button", { name: "What if" }).click();
    await expect.poll(() => kernel.model.last("rollout")).toBeDefined();
    const field = screen.getByRole("textbox", { name: "Force text" });
    await field.fill("sa");
    kernel.answers = true;
    kernel.model.onSend(kernel.model.last("rollout") as never);
    await expect.poll(() => rowsOf(el)).toHaveLength(5);
    await expect.element(field).toHaveFocus();
  });

  test("it waits for the model, and can be given up", async () => {
    const kernel = kernelWith();
    const { screen } = show(kernel);
    kernel.answers = false;
    kernel.delta({ job: { id: 1, kind: "generate", made: 0, total: 9, stopping: false } });
    await screen.getByRole("button", { name: "What if" }).click();
    await expect.element(screen.getByText("waiting for the kernel").last()).toBeVisible();
    await expect.poll(() => kernel.model.last("rollout")).toBeDefined();
    await screen.getByRole("button", { name: "Cancel" }).click();
    const asked = kernel.model.last("rollout");
    await expect.poll(() => kernel.model.last("rollout-cancel")?.id).toBe(asked?.id);
    await expect.element(screen.getByRole("region", { name: "What if" })).not.toBeInTheDocument();
  });

  test("an error is shown, and what is held no longer is asked for again", async () => {
    const kernel = kernelWith();
    const { el, screen } = show(kernel);
    await screen.getByRole("button", { name: "What if" }).click();
    await expect.poll(() => rowsOf(el)).toHaveLength(5);
    kernel.rollouts.length = 0;
    await screen.getByRole("button", { name: /^Keep/ }).first().click();
    await expect.element(screen.getByRole("alert")).toHaveTextContent("ask for them again");
    kernel.answers = false;
    await screen.getByRole("spinbutton", { name: "Alternatives" }).fill("4");
    await expect.poll(() => kernel.model.last("rollout")).toMatchObject({ k: 4 });
    kernel.fail(kernel.model.last("rollout") as never, "The model is out of memory.");
    await expect.element(screen.getByText("The model is out of memory.")).toBeVisible();
    kernel.answers = true;
    (screen.getByRole("button", { name: "Try again" }).element() as HTMLElement).focus();
    await userEvent.keyboard("{Enter}");
    await expect.element(screen.getByRole("region", { name: "What if" })).toHaveFocus();
    await expect.poll(() => rowsOf(el)).toHaveLength(4);
    expect(document.activeElement?.textContent).toBe("Keep");
  });
});

describe("growing", () => {
  test("siblings are asked for by their number, from the next seed on", async () => {
    const kernel = kernelWith();
    const { el, screen } = show(kernel);
    await screen.getByRole("spinbutton", { name: "Siblings" }).fill("3");
    await screen.getByRole("button", { name: "Grow siblings" }).click();
    expect(kernel.model.last("siblings")).toMatchObject({ parent: 2, n: 3, settings: { seed: 1 } });
    await expect.element(screen.getByText("0 of 120 tokens")).toBeVisible();
    kernel.tick(90);
    await expect.element(screen.getByText("90 of 120 tokens")).toBeVisible();
    await screen.getByRole("button", { name: "Stop" }).click();
    kernel.tick();
    await expect.poll(() => namesIn(el, "Branches")).toHaveLength(4);
    expect(kernel.state.settings.seed).toBe(3);
  });

  test("a number that is not accepted refuses the button with what is", async () => {
    const kernel = kernelWith();
    const { screen } = show(kernel);
    await screen.getByRole("spinbutton", { name: "Siblings" }).fill("0");
    const button = screen.getByRole("button", { name: "Grow siblings" });
    await expect.element(button).toHaveAttribute("aria-disabled", "true");
    await expect.element(button).toHaveAttribute("title", "a whole number from 1 to 20");
    await screen.getByRole("spinbutton", { name: "Siblings" }).fill("2");
    await button.click();
    expect(kernel.model.last("siblings")).toMatchObject({ n: 2 });
  });

  test.each(["Grow siblings", "Regenerate from here"])(
    "%s: greedy ones would all be the same",
    async (name) => {
      const kernel = kernelWith();
      kernel.state.settings = { ...kernel.state.settings, temperature: 0 };
      kernel.save();
      const { screen } = show(kernel);
      const button = screen.getByRole("button", { name });
      await expect.element(button).toHaveAttribute("aria-disabled", "true");
      expect(button.element().getAttribute("title")).toContain("set a temperature");
    },
  );

  test("going on in mid-branch takes the next seed, at the end of the text it does not", async () => {
    const kernel = kernelWith();
    const { screen } = show(kernel);
    const button = screen.getByRole("button", { name: "Continue from here" });
    await button.click();
    expect(kernel.model.last("generate")).toMatchObject({ parent: 3, settings: { seed: 1 } });
    kernel.tick(40);
    await expect.element(button).toHaveAttribute("aria-disabled", "false");
    kernel.delta({ selected: kernel.state.head });
    await expect.element(screen.getByText(/^Token 41/)).toBeVisible();
    await button.click();
    expect(kernel.model.last("generate")).toMatchObject({
      parent: kernel.rows.length - 1,
      settings: { seed: 1 },
    });
  });
});
