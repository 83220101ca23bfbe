import { describe, expect, test } from "vitest";
import { userEvent } from "vitest/browser";
import { FakeKernel } from "./fake_kernel";
import { frame, namesIn, selectedToken, show, tokens } from "./mount";

function kernelWith(): FakeKernel {
  const kernel = new FakeKernel(
    ["The", " cat"],
    [" sat", " down", " on", " mats", "Lon", " London"],
  );
  kernel.write([" sat", " down", " on"]);
  kernel.state.selected = 3;
  kernel.save();
  return kernel;
}

function optionsOf(el: Element): HTMLElement[] {
  return [...el.querySelectorAll<HTMLElement>('[aria-label="Alternatives"] [role="option"]')];
}

describe("forcing", () => {
  test("a click picks an alternative, and the button forces it", async () => {
    const kernel = kernelWith();
    const { el, screen } = show(kernel);
    const force = screen.getByRole("button", { name: "Force" });
    await expect.element(force).toHaveAttribute("aria-disabled", "true");
    await frame();
    optionsOf(el)[2]?.click();
    await frame();
    expect(optionsOf(el)[2]?.getAttribute("aria-selected")).toBe("true");
    await force.click();
    const id = kernel.rows[3]?.top_ids[2];
    expect(kernel.model.last("force")).toMatchObject({ parent: 2, token_id: id });
    expect(kernel.model.last("force")?.settings).toMatchObject({ temperature: 0.8 });
    kernel.tick(3);
    await frame();
    await frame();
    const [first, second] = kernel.rows.slice(5).map((row) => row.position);
    expect([first, second]).toEqual([3, 4]);
    expect(selectedToken(el)).toMatch(/, forced$/);
    await expect.element(screen.getByRole("option", { name: /^Branch 2/ })).toBeVisible();
    expect(tokens(el)).toHaveLength(3 + 4 + 1);
  });

  test("Enter and a double click force at once", async () => {
    const kernel = kernelWith();
    const { el, screen } = show(kernel);
    await frame();
    (screen.getByRole("listbox", { name: "Alternatives" }).element() as HTMLElement).focus();
    await userEvent.keyboard("{ArrowDown}{ArrowDown}");
    await frame();
    await userEvent.keyboard("{Enter}");
    expect(kernel.model.last("force")).toMatchObject({ token_id: kernel.rows[3]?.top_ids[1] });
    kernel.tick(40);
    await frame();
    await frame();
    const option = optionsOf(el)[4] as HTMLElement;
    await userEvent.dblClick(option);
    expect(kernel.model.last("force")).toMatchObject({ token_id: kernel.rows[3]?.top_ids[4] });
  });

  test("any text can be forced, and the field is empty afterwards", async () => {
    const kernel = kernelWith();
    const { screen } = show(kernel);
    const field = screen.getByRole("textbox", { name: "Force text" });
    await field.fill(" London");
    await screen.getByRole("button", { name: "Force" }).click();
    expect(kernel.model.last("force")).toMatchObject({ parent: 2, text: " London" });
    await expect.element(field).toHaveValue("");
  });

  test("a text that the kernel refuses stays, with the reason", async () => {
    const kernel = kernelWith();
    const { screen } = show(kernel);
    kernel.answers = false;
    const field = screen.getByRole("textbox", { name: "Force text" });
    await field.fill("x");
    await userEvent.keyboard("{Enter}");
    kernel.fail(kernel.model.last("force") as never, "This text has no tokens.");
    await expect.element(screen.getByRole("alert")).toHaveTextContent("This text has no tokens.");
    await expect.element(field).toHaveValue("x");
    await screen.getByRole("button", { name: "Dismiss" }).click();
    await expect.poll(() => screen.getByRole("alert").elements().length).toBe(0);
  });

  test("typing lets go of the picked alternative, and picking clears the text", async () => {
    const kernel = kernelWith();
    const { el, screen } = show(kernel);
    await frame();
    optionsOf(el)[1]?.click();
    const field = screen.getByRole("textbox", { name: "Force text" });
    await field.fill("x");
    await frame();
    expect(optionsOf(el)[1]?.getAttribute("aria-selected")).toBe("false");
    optionsOf(el)[1]?.click();
    await expect.element(field).toHaveValue("");
  });

  test("the next token can be forced", async () => {
    const kernel = kernelWith();
    const { el, screen } = show(kernel);
    await screen.getByRole("option", { name: "Next token" }).click();
    await expect.poll(() => namesIn(el, "Alternatives")[0]).toMatch(/^rank 1, /);
    await screen.getByRole("textbox", { name: "Force text" }).fill(" mats");
    await userEvent.keyboard("{Enter}");
    expect(kernel.model.last("force")).toMatchObject({ parent: 4, text: " mats" });
    await expect.poll(() => selectedToken(el)).toMatch(/^" mats".*forced$/);
  });

  test("a token that comes to stand in the place of the next one is selected for the kernel too", async () => {
    const kernel = kernelWith();
    const { screen } = show(kernel);
    await screen.getByRole("option", { name: "Next token" }).click();
    kernel.write([" mats"]);
    kernel.delta();
    await expect.poll(() => kernel.model.last("select")).toMatchObject({ row: 5 });
    await frame();
    kernel.write([" on"]);
    kernel.delta();
    await frame();
    await frame();
    expect(kernel.model.sent.filter(({ kind }) => kind === "select")).toHaveLength(2);
  });

  test("the first token cannot be overruled, since nothing comes before it", async () => {
    const kernel = kernelWith();
    const { screen } = show(kernel);
    await screen.getByRole("option", { name: /^"The", no context/ }).click();
    await expect.element(screen.getByText(/There is no context here/)).toBeVisible();
    const why = "The first token has nothing before it: edit the prompt.";
    for (const name of ["Force", "Regenerate from here"]) {
      const button = screen.getByRole("button", { name, exact: true });
      await expect.element(button).toHaveAttribute("aria-disabled", "true");
      await expect.element(button).toHaveAttribute("title", why);
    }
    await screen.getByRole("textbox", { name: "Force text" }).fill("x");
    await userEvent.keyboard("{Enter}");
    expect(kernel.model.last("force")).toBeUndefined();
    await expect.element(screen.getByText(why)).toBeVisible();
  });

  test("Regenerate from here takes the next seed and grows after the token before", async () => {
    const kernel = kernelWith();
    const { screen } = show(kernel);
    await screen.getByRole("button", { name: "Regenerate from here" }).click();
    expect(kernel.model.last("generate")).toMatchObject({ parent: 2, settings: { seed: 1 } });
    await expect.element(screen.getByText(/seed 1/)).toBeVisible();
  });

  test("while a job runs nothing is forced, and everything can be read", async () => {
    const kernel = kernelWith();
    const { el, screen } = show(kernel);
    await screen.getByRole("button", { name: "Generate", exact: true }).click();
    kernel.tick(3);
    await frame();
    await frame();
    for (const name of ["Generate", "Force", "Undo", "Redo", "Regenerate from here"]) {
      const button = screen.getByRole("button", { name, exact: true });
      await expect.element(button).toHaveAttribute("aria-disabled", "true");
      await expect.element(button).toHaveAttribute("title");
    }
    const sent = kernel.model.sent.length;
    (screen.getByRole("button", { name: "Force" }).element() as HTMLElement).click();
    optionsOf(el)[1]?.dispatchEvent(new MouseEvent("dblclick", { bubbles: true }));
    expect(kernel.model.sent).toHaveLength(sent);
    await screen.getByRole("option", { name: /^" sat"/ }).click();
    await frame();
    expect(namesIn(el, "Alternatives")[11]).toMatch(/^rank 12, /);
  });
});
