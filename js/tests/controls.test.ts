import { describe, expect, test } from "vitest";
import { userEvent } from "vitest/browser";
import { PATIENCE_MS } from "../src/connection";
import { FakeKernel } from "./fake_kernel";
import { frame, pause, show, tokens } from "./mount";

const REFUSED = ["aria-disabled", "true"] as const;

function kernelWith(): FakeKernel {
  const kernel = new FakeKernel(["The", " cat"], [" sat", " down"]);
  kernel.write([" sat"]);
  kernel.save();
  return kernel;
}

function button(screen: ReturnType<typeof show>["screen"], name: string) {
  return screen.getByRole("button", { name, exact: true });
}

describe("generating", () => {
  test("tokens stream in, and what happens is said aloud", async () => {
    const kernel = kernelWith();
    const { el, screen } = show(kernel);
    await expect.element(button(screen, "Stop")).toHaveAttribute(...REFUSED);
    await button(screen, "Generate").click();
    const request = { prompt: "The cat", settings: { temperature: 0.8, max_new_tokens: 40 } };
    expect(kernel.model.last("generate")).toMatchObject(request);
    const aloud = el.querySelector(".itw-progress");
    await expect.poll(() => aloud?.textContent).toBe("Generating");
    await expect
      .element(screen.getByRole("listbox", { name: "Tokens" }))
      .toHaveAttribute("aria-busy");
    kernel.tick(12);
    await expect.element(screen.getByText("12 of 40 tokens")).toBeVisible();
    expect(tokens(el)).toHaveLength(3 + 12 + 1);
    kernel.tick(28);
    await expect.poll(() => aloud?.textContent).toBe("40 tokens made");
    await expect.element(button(screen, "Generate")).toHaveAttribute("aria-disabled", "false");
  });

  test("an edited prompt is sent as it was written, and Ctrl+Enter sends it", async () => {
    const kernel = kernelWith();
    const { screen } = show(kernel);
    const prompt = screen.getByRole("textbox", { name: "Prompt" });
    await expect.element(prompt).toHaveValue("The cat");
    await prompt.fill("A dog\nand a cat");
    await userEvent.keyboard("{Control>}{Enter}{/Control}");
    expect(kernel.model.last("generate")).toMatchObject({ prompt: "A dog\nand a cat" });
    // The field follows the text that is shown again once that begins with what was written.
    kernel.delta({ prompt: "A dog\nand a cat", job: null });
    await frame();
    kernel.delta({ prompt: "Another" });
    await expect.element(prompt).toHaveValue("Another");
  });

  test("Stop answers at once, and the tokens made so far stay", async () => {
    const kernel = kernelWith();
    const { el, screen } = show(kernel);
    await button(screen, "Generate").click();
    kernel.tick(7);
    await frame();
    await button(screen, "Stop").click();
    await expect.element(screen.getByText("Stopping…")).toBeVisible();
    kernel.tick(1);
    await expect.poll(() => el.querySelector(".itw-progress")?.textContent).toMatch(/^Stopped/);
    expect(tokens(el)).toHaveLength(3 + 8 + 1);
    await expect.element(screen.getByText("Stopping…")).not.toBeInTheDocument();
  });

  test("a Stop that nobody takes names the button that always works", async () => {
    const kernel = kernelWith();
    const { screen } = show(kernel);
    await button(screen, "Generate").click();
    await frame();
    kernel.answers = false;
    await button(screen, "Stop").click();
    await expect.element(screen.getByText("Stopping…")).toBeVisible();
    expect(screen.getByText(/interrupt button/).elements()).toHaveLength(0);
    await expect.element(screen.getByText(/use Jupyter's interrupt button/)).toBeVisible();
    kernel.delta({ job: null });
    await expect.element(screen.getByText(/interrupt button/)).not.toBeInTheDocument();
  });

  test("a Stop says nothing of the job that came after the one it was meant for", async () => {
    const kernel = kernelWith();
    const { screen } = show(kernel);
    await button(screen, "Generate").click();
    await frame();
    kernel.answers = false;
    await button(screen, "Stop").click();
    await expect.element(screen.getByText("Stopping…")).toBeVisible();
    kernel.delta({ job: { id: 99, kind: "generate", made: 0, total: 9, stopping: false } });
    await expect.element(screen.getByText("Stopping…")).not.toBeInTheDocument();
    await pause(1100);
    expect(screen.getByText(/interrupt button/).elements()).toHaveLength(0);
  });

  test("an action that gets no answer says so, and reading goes on", async () => {
    const kernel = kernelWith();
    kernel.answers = false;
    const { screen } = show(kernel);
    await button(screen, "Generate").click();
    await pause(PATIENCE_MS);
    const hint = screen.getByText(/The kernel does not answer: it is busy or gone/);
    await expect.element(hint).toBeVisible();
    await screen.getByRole("option", { name: /^" sat"/ }).click();
    await expect.element(screen.getByRole("listbox", { name: "Alternatives" })).toBeVisible();
    kernel.respond(kernel.model.last("generate") as never);
    await expect.element(hint).not.toBeInTheDocument();
  });

  test("Undo and Redo are there when there is something to undo or redo", async () => {
    const kernel = kernelWith();
    const { el, screen } = show(kernel);
    await expect.element(button(screen, "Undo")).toHaveAttribute(...REFUSED);
    await button(screen, "Generate").click();
    kernel.tick(40);
    await expect.element(button(screen, "Undo")).toHaveAttribute("aria-disabled", "false");
    await button(screen, "Undo").click();
    await expect.poll(() => tokens(el).length).toBe(4);
    await button(screen, "Redo").click();
    await expect.poll(() => tokens(el).length).toBe(44);
  });
});

describe("sampling", () => {
  test("the settings are summed up beside the button that opens them", async () => {
    const kernel = kernelWith();
    const { screen } = show(kernel);
    await expect.element(screen.getByText("temperature 0.8 · seed 0 · 40 tokens")).toBeVisible();
    const opener = button(screen, "Sampling");
    await expect.element(opener).toHaveAttribute("aria-expanded", "false");
    await opener.click();
    await screen.getByRole("spinbutton", { name: "Top-p" }).fill("0.9");
    await screen.getByRole("spinbutton", { name: "Temperature" }).fill("0");
    await screen.getByRole("spinbutton", { name: "Tokens" }).fill("1");
    await userEvent.keyboard("{Tab}");
    await expect.element(screen.getByText("greedy · 1 token")).toBeVisible();
    expect(kernel.model.last("settings")?.settings).toMatchObject({
      temperature: 0,
      top_p: 0.9,
      max_new_tokens: 1,
    });
  });

  test("an empty field switches a stage off", async () => {
    const kernel = kernelWith();
    kernel.state.settings = { ...kernel.state.settings, top_k: 40 };
    kernel.save();
    const { screen } = show(kernel);
    await button(screen, "Sampling").click();
    await screen.getByRole("spinbutton", { name: "Top-k" }).clear();
    await userEvent.keyboard("{Tab}");
    expect(kernel.model.last("settings")?.settings).toMatchObject({ top_k: null });
  });

  test.each([
    ["Temperature", "-1", "Temperature is 0 (greedy) or more."],
    ["Top-p", "1.5", "Top-p is above 0 and at most 1, or empty for off."],
    ["Top-k", "2.5", "Top-k is a whole number from 1 on, or empty for off."],
    ["Min-p", "2", "Min-p is between 0 and 1, or empty for off."],
    ["Seed", "", "Seed is a whole number from 0 on."],
    ["Tokens", "0", "Tokens is a whole number from 1 on."],
  ])("%s refuses %j with a sentence, and Generate waits for it", async (name, value, advice) => {
    const kernel = kernelWith();
    const { screen } = show(kernel);
    await button(screen, "Sampling").click();
    const field = screen.getByRole("spinbutton", { name });
    await field.fill(value);
    await userEvent.keyboard("{Tab}");
    await expect.element(field).toHaveAttribute("aria-invalid", "true");
    await expect.element(screen.getByText(advice)).toBeVisible();
    await button(screen, "Generate").click();
    expect(kernel.model.last("generate")).toBeUndefined();
    await field.fill("1");
    await expect.element(screen.getByText(advice)).not.toBeInTheDocument();
  });

  test("what is typed is kept while the kernel changes other things", async () => {
    const kernel = kernelWith();
    const { screen } = show(kernel);
    await button(screen, "Sampling").click();
    const field = screen.getByRole("spinbutton", { name: "Seed" });
    await field.click();
    await userEvent.keyboard("{End}17");
    kernel.delta({ settings: { ...kernel.state.settings, temperature: 0.5 } });
    await frame();
    await expect.element(field).toHaveValue(17);
    await expect.element(screen.getByRole("spinbutton", { name: "Temperature" })).toHaveValue(0.5);
  });
});
