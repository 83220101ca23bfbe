import { describe, expect, test } from "vitest";
import { FakeKernel } from "./fake_kernel";
import { show } from "./mount";

function kernelWith(): FakeKernel {
  const kernel = new FakeKernel(["The", " cat"], [" sat", " down", "<i>"]);
  kernel.intervene = (logProbs) => logProbs.map((x, id) => x + (id === 2 ? 1 : 0));
  kernel.write([" sat", " down"]);
  kernel.state.selected = 2;
  kernel.save();
  return kernel;
}

const TITLE = "Stages of the program";

function rowsIn(el: Element): string[] {
  return [...el.querySelectorAll("table tr")].map((row) =>
    [...row.children].map((cell) => cell.textContent).join(" | "),
  );
}

describe("the stages of the program", () => {
  test("are asked for when they are opened, and then for each token", async () => {
    const kernel = kernelWith();
    const { el, screen } = show(kernel);
    const title = screen.getByRole("button", { name: TITLE });
    await expect.element(title).toHaveAttribute("aria-expanded", "false");
    expect(kernel.model.last("stages")).toBeUndefined();
    await title.click();
    await expect.poll(() => rowsIn(el)).toHaveLength(3);
    expect(kernel.model.last("stages")).toMatchObject({ row: 2 });
    expect(rowsIn(el)).toEqual([
      "operator | makes | KL, bits | ΔH, bits | moved | left",
      "Ban((7,)) | q | ∞ | −0.50 | 12.5 % | 400",
      "Temperature(0.8) | s | 0.25 | −0.50 | 12.5 % | 400",
    ]);
    await screen.getByRole("option", { name: /^" down"/ }).click();
    await expect.poll(() => kernel.model.last("stages")).toMatchObject({ row: 3 });
  });

  test("each opens on the tokens that it moved most", async () => {
    const { el, screen } = show(kernelWith());
    await screen.getByRole("button", { name: TITLE }).click();
    const operator = screen.getByRole("button", { name: "Temperature(0.8)" });
    await operator.click();
    await expect.element(operator).toHaveAttribute("aria-expanded", "true");
    const list = screen.getByRole("list", { name: "Tokens that Temperature(0.8) moved most" });
    expect(list.getByRole("listitem").elements()).toHaveLength(3);
    expect(list.element().textContent).toMatch(/0\.\d+ → 0\.\d+/);
    await operator.click();
    await expect.element(list).not.toBeInTheDocument();
    expect(el.querySelector("i > i")).toBeNull();
  });

  test("are there only for a token that a program drew", async () => {
    const kernel = kernelWith();
    const { screen } = show(kernel);
    await screen.getByRole("option", { name: /^" cat"/ }).click();
    await expect.element(screen.getByRole("button", { name: TITLE })).not.toBeInTheDocument();
  });

  test("that cannot be read say so, and can be asked for again", async () => {
    const kernel = kernelWith();
    const { el, screen } = show(kernel);
    kernel.answers = false;
    await screen.getByRole("button", { name: TITLE }).click();
    await expect.element(screen.getByText("asking the kernel …")).toBeVisible();
    await expect.poll(() => kernel.model.last("stages")).toBeDefined();
    kernel.fail(kernel.model.last("stages") as never, "The model is out of memory.");
    await expect.element(screen.getByText("reading from the model failed")).toBeVisible();
    kernel.answers = true;
    await screen.getByRole("button", { name: "Try again" }).click();
    await expect.poll(() => rowsIn(el)).toHaveLength(3);
  });

  test("wait for a job, and need the model", async () => {
    const kernel = kernelWith();
    const { screen } = show(kernel);
    kernel.delta({ job: { id: 1, kind: "generate", made: 0, total: 9, stopping: false } });
    kernel.answers = false;
    await screen.getByRole("button", { name: TITLE }).click();
    await expect.element(screen.getByText("waiting for the kernel")).toBeVisible();
    kernel.delta({ job: null, read_only: "This session has no model." });
    await expect
      .element(screen.getByText("What each stage did needs the model. This session has no model."))
      .toBeVisible();
    await expect.poll(() => kernel.model.last("stages-cancel")).toBeDefined();
  });
});
