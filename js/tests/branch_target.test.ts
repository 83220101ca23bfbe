// Which branch it is that keys and buttons act on.

import { describe, expect, test } from "vitest";
import { userEvent } from "vitest/browser";
import { FakeKernel } from "./fake_kernel";
import { frame, namesIn, show } from "./mount";

/** Branches that part after the prompt; the last is shown. */
function kernelWith(branches: number, prompt = ["The", " cat"]): FakeKernel {
  const kernel = new FakeKernel(prompt, [" sat", " down", " ran", " off"]);
  const last = kernel.state.head;
  for (let branch = 1; branch <= branches; branch++) {
    kernel.state.head = last;
    kernel.write([[" sat", " down", " ran"][branch % 3] as string], "forced");
  }
  kernel.save();
  return kernel;
}

type Screen = ReturnType<typeof show>["screen"];

function listOf(screen: Screen): HTMLElement {
  return screen.getByRole("listbox", { name: "Branches" }).element() as HTMLElement;
}

function fieldOf(screen: Screen, number: number) {
  return screen.getByRole("textbox", { name: `Name of branch ${number}`, exact: true });
}

function press(element: Element, key: string, more: KeyboardEventInit = {}): void {
  element.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, ...more }));
}

test("what a branch adds is shown while it grows, however long its prompt is", async () => {
  const kernel = kernelWith(1, ["The", ...Array(40).fill(" cat")]);
  const { el } = show(kernel);
  await frame();
  kernel.delta({ job: { id: 1, kind: "generate", made: 0, total: 9, stopping: false } });
  kernel.script = [" ran", " off"];
  kernel.tick(2);
  await expect.poll(() => namesIn(el, "Branches")[0]).toContain("“down ran off”");
});

describe("the tools", () => {
  test("are those of the line that the keys are on, or there are none", async () => {
    const { screen } = show(kernelWith(14));
    await frame();
    const find = screen.getByRole("searchbox", { name: "Find branch" });
    await find.fill("branch 1");
    // The branch that is shown, the fourteenth, is found; then it is not.
    await expect.element(screen.getByRole("group", { name: "Branch 14" })).toBeVisible();
    await find.fill("branch 12");
    await expect.element(screen.getByRole("group", { name: "Branch 12" })).toBeVisible();
    await screen.getByRole("button", { name: "Rename" }).click();
    await expect.element(fieldOf(screen, 12)).toHaveFocus();
    await find.fill("☃");
    await expect.element(screen.getByRole("button", { name: "Rename" })).not.toBeInTheDocument();
    await find.fill("");
    await expect.element(screen.getByRole("group", { name: "Branch 14" })).toBeVisible();
    await expect.element(screen.getByRole("textbox", { name: /^Name of/ })).not.toBeInTheDocument();
  });

  test("keep to their branch when a click gives the focus to nothing, as in Safari", async () => {
    const kernel = kernelWith(3);
    const { screen } = show(kernel);
    await frame();
    listOf(screen).focus();
    await userEvent.keyboard("{End}");
    await expect.element(screen.getByRole("group", { name: "Branch 3" })).toBeVisible();
    await userEvent.keyboard("{Home}");
    await expect.element(screen.getByRole("group", { name: "Branch 1" })).toBeVisible();
    const button = screen.getByRole("button", { name: "Hide" }).element() as HTMLElement;
    expect(button.title).toBe("Leave this branch out of the list; its text is kept");
    button.dispatchEvent(new PointerEvent("pointerdown", { bubbles: true }));
    listOf(screen).blur();
    await frame();
    button.dispatchEvent(new PointerEvent("pointerup", { bubbles: true }));
    button.click();
    expect(kernel.model.last("label")).toMatchObject({ row: 0, label: { hidden: true } });
  });
});

describe("the field of a name", () => {
  test("leaves Enter and Escape to an input method that composes", async () => {
    const kernel = kernelWith(2);
    const { screen } = show(kernel);
    await screen.getByRole("button", { name: "Rename" }).click();
    const field = fieldOf(screen, 2);
    await field.fill("日");
    press(field.element(), "Enter", { isComposing: true });
    press(field.element(), "Escape", { isComposing: true });
    await frame();
    await expect.element(field).toHaveFocus();
    expect(kernel.model.last("label")).toBeUndefined();
  });

  test("stays when the answer about another comes late", async () => {
    const kernel = kernelWith(2);
    const { el, screen } = show(kernel);
    await frame();
    listOf(screen).focus();
    await userEvent.keyboard("{Home}{F2}");
    await fieldOf(screen, 1).fill("one");
    kernel.answers = false;
    await userEvent.keyboard("{Enter}");
    const late = kernel.model.last("label");
    listOf(screen).focus();
    await userEvent.keyboard("{ArrowDown}{F2}");
    await fieldOf(screen, 2).fill("tw");
    kernel.answers = true;
    kernel.model.onSend(late as never);
    await expect.poll(() => namesIn(el, "Branches")[0]).toMatch(/^one, branch 1,/);
    await expect.element(fieldOf(screen, 2)).toHaveFocus();
    await userEvent.keyboard("o{Enter}");
    await expect.poll(() => namesIn(el, "Branches")[1]).toMatch(/^two, branch 2,/);
  });
});

test("Escape in the panel is left to an input method that composes", async () => {
  const kernel = kernelWith(1);
  kernel.state.selected = 2;
  kernel.save();
  const { screen } = show(kernel);
  const field = screen.getByRole("textbox", { name: "Force text" });
  await field.fill("日");
  press(field.element(), "Escape", { isComposing: true });
  await expect.element(field).toHaveFocus();
  press(field.element(), "Escape");
  await expect.element(field).not.toHaveFocus();
});
