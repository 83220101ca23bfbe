import { describe, expect, test } from "vitest";
import { userEvent } from "vitest/browser";
import { FakeKernel } from "./fake_kernel";
import { frame, namesIn, open, pause, selectedToken, show, tokens } from "./mount";

/** Three branches: the second parts from the first after the prompt, the third from the second. */
function branched(): FakeKernel {
  const kernel = new FakeKernel(["The", " cat"], [" sat", " down", " ran", " off", " away"]);
  kernel.write([" sat", " down"]);
  kernel.state.head = 1;
  kernel.write([" ran"], "forced");
  kernel.write([" off"]);
  kernel.state.head = 4;
  kernel.write([" away"]);
  kernel.save();
  return kernel;
}

describe("branches", () => {
  test("each is listed below the one it parted from, with what it adds", async () => {
    const { el } = show(branched());
    await frame();
    const options = [...el.querySelectorAll('[aria-label="Branches"] [role="option"]')];
    const names = namesIn(el, "Branches");
    expect(names[0]).toMatch(/^Branch 1, “sat down”, 2 new tokens, [\d.]+ bits, cost 0.00 bits$/);
    expect(names[1]).toMatch(/^Branch 2, forced, “ran off”, 2 new tokens, .* bits, cost .* bits$/);
    expect(names[2]).toMatch(/^Branch 3, sampled, “away”, 1 new token, /);
    expect(options.map((option) => option.getAttribute("aria-selected"))).toEqual([
      "false",
      "false",
      "true",
    ]);
  });

  test("a click switches at once, even while nobody answers", async () => {
    const kernel = branched();
    kernel.answers = false;
    const { el, screen } = show(kernel);
    await screen.getByRole("option", { name: /^Branch 1/ }).click();
    await frame();
    expect(kernel.model.last("switch")).toMatchObject({ row: 3 });
    expect(el.querySelector(".itw-tokens")?.textContent).toBe("The cat sat down");
    expect(el.querySelector(".itw-totals")?.textContent).toContain("4 tokens");
    await pause(1700);
    expect(screen.getByText(/does not answer/).elements()).toHaveLength(0);
  });

  test("while a job runs a click says why the branch is not shown, until the job ends", async () => {
    const kernel = branched();
    const { el, screen } = show(kernel);
    kernel.delta({ job: { id: 1, kind: "generate", made: 0, total: 9, stopping: false } });
    await frame();
    const option = screen.getByRole("option", { name: /^Branch 1/ });
    await expect.element(option).toHaveAttribute("aria-disabled", "true");
    await expect.element(option).toHaveAttribute("title", expect.stringMatching("stop it first"));
    const words = screen.getByRole("status").getByText(/^The model is generating: stop it first/);
    expect(words.elements()).toHaveLength(0);
    (option.element() as HTMLElement).click();
    await expect.element(words).toBeVisible();
    expect(kernel.model.last("switch")).toBeUndefined();
    kernel.delta({ job: null });
    await expect.element(words).not.toBeInTheDocument();
    await expect.element(option).toHaveAttribute("aria-disabled", "false");
    kernel.delta({ job: { id: 2, kind: "generate", made: 0, total: 9, stopping: false } });
    await frame();
    expect(words.elements()).toHaveLength(0);
    expect(el.querySelector(".itw-tokens")?.textContent).toBe("The cat ran away");
  });

  test("the keyboard walks the list and switches", async () => {
    const kernel = branched();
    const { el, screen } = show(kernel);
    await frame();
    (screen.getByRole("listbox", { name: "Branches" }).element() as HTMLElement).focus();
    await userEvent.keyboard("{ArrowUp}{Enter}");
    await frame();
    await frame();
    expect(kernel.model.last("switch")).toMatchObject({ row: 5 });
    expect(el.querySelector(".itw-tokens")?.textContent).toBe("The cat ran off");
  });

  test("the selection keeps its position from branch to branch", async () => {
    const { el, screen } = show(branched());
    await screen.getByRole("option", { name: /^" ran"/ }).click();
    await screen.getByRole("option", { name: /^Branch 1/ }).click();
    await expect.poll(() => selectedToken(el)).toMatch(/^" sat"/);
  });
});

describe("views", () => {
  test("two views of one model stay in step", async () => {
    const kernel = branched();
    const { view } = open(kernel);
    const [left, right] = [view(), view()];
    await frame();
    await left.screen.getByRole("option", { name: /^" ran"/ }).click();
    await frame();
    expect(selectedToken(right.el)).toMatch(/^" ran"/);
    await right.screen.getByRole("button", { name: "Generate", exact: true }).click();
    kernel.tick(5);
    await frame();
    await frame();
    expect(tokens(left.el)).toHaveLength(10);
    expect(tokens(right.el)).toHaveLength(10);
    const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test("a view that is closed takes its listeners with it, and the others go on", async () => {
    const kernel = branched();
    const { life, view } = open(kernel);
    const left = view();
    const right = view();
    await frame();
    left.close();
    expect(left.el.childElementCount).toBe(0);
    kernel.write([" off"]);
    kernel.delta();
    await frame();
    expect(tokens(right.el)).toHaveLength(6);
    right.close();
    life.abort();
    expect(kernel.model.listeners.size).toBe(0);
  });

  test("a page that comes in mid-stream asks for what it lacks and shows the whole text", async () => {
    const kernel = branched();
    kernel.delta({ job: { id: 1, kind: "generate", made: 0, total: 9, stopping: false } });
    kernel.tick(3);
    const { el } = show(kernel);
    kernel.tick(2);
    await frame();
    expect(tokens(el)).toHaveLength(4 + 5 + 1);
  });

  test("a page that is loaded again while a job runs catches up, though the traits look idle", async () => {
    const kernel = branched();
    const before = kernel.model.traits;
    kernel.delta({ job: { id: 1, kind: "generate", made: 0, total: 9, stopping: false } });
    kernel.tick(3);
    kernel.model.traits = before;
    const { el, screen } = show(kernel);
    await frame();
    expect(tokens(el)).toHaveLength(4 + 3 + 1);
    await expect.element(screen.getByText("3 of 9 tokens")).toBeVisible();
  });

  test.each([
    ["what the page has", false],
    ["the rows that the page has and newer news", true],
  ])("an answer that holds %s leaves the text as it is", async (_, newer) => {
    const kernel = new FakeKernel(["The", " cat"], [" sat\n"]);
    kernel.write(Array(60).fill(" sat\n"));
    kernel.save();
    kernel.answers = false;
    const { el, screen } = show(kernel);
    await frame();
    const list = el.querySelector(".itw-tokens") as HTMLElement;
    list.style.blockSize = "100px";
    list.style.overflow = "auto";
    list.scrollTop = 70;
    tokens(el)[3]?.click();
    await screen.getByRole("textbox", { name: "Prompt" }).fill("A draft");
    await frame();
    const [drawn, selected, { scrollTop }] = [tokens(el), selectedToken(el), list];
    if (newer) kernel.delta({ can_undo: true }, true);
    kernel.answers = true;
    kernel.model.onSend(kernel.model.last("snapshot") as never);
    await frame();
    await frame();
    expect(tokens(el).every((option, place) => option === drawn[place])).toBe(true);
    expect(selected).toMatch(/^" sat⏎"/);
    expect(selectedToken(el)).toBe(selected);
    expect(scrollTop).toBeGreaterThan(0);
    expect(list.scrollTop).toBe(scrollTop);
    await expect.element(screen.getByRole("textbox", { name: "Prompt" })).toHaveValue("A draft");
  });

  test("a page that nobody answers can be read, and says nothing of it", async () => {
    const kernel = branched();
    kernel.answers = false;
    const { el, screen } = show(kernel);
    await pause(1700);
    expect(tokens(el)).toHaveLength(4 + 1);
    expect(screen.getByText(/does not answer/).elements()).toHaveLength(0);
  });

  test("a selection made in Python is followed", async () => {
    const kernel = branched();
    const { el } = show(kernel);
    kernel.delta({ selected: 4 });
    await expect.poll(() => selectedToken(el)).toMatch(/^" ran"/);
    kernel.delta({ selected: null });
    await expect.poll(() => selectedToken(el)).toBeUndefined();
  });

  test("an empty viewer says what to do", async () => {
    const { screen } = show(new FakeKernel([]));
    await expect.element(screen.getByText(/^Write the beginning of a text above/)).toBeVisible();
  });

  test("a viewer that can only be read says why, and can be read", async () => {
    const kernel = branched();
    kernel.state.read_only = "This session belongs to another model.";
    kernel.state.selected = 4;
    kernel.save();
    const { screen } = show(kernel);
    await expect.element(screen.getByRole("note")).toHaveTextContent("belongs to another model");
    for (const name of ["Generate", "Force", "Undo", "Regenerate from here"]) {
      const button = screen.getByRole("button", { name, exact: true });
      await expect.element(button).toHaveAttribute("aria-disabled", "true");
    }
    await expect.element(screen.getByRole("listbox", { name: "Alternatives" })).toBeVisible();
  });

  test("a notice of the kernel is shown until it is dismissed", async () => {
    const kernel = branched();
    const { screen } = show(kernel);
    kernel.delta({ notice: { id: 7, type: "ValueError", message: "The prompt is too long." } });
    await expect.element(screen.getByRole("alert")).toHaveTextContent("The prompt is too long.");
    await screen.getByRole("button", { name: "Dismiss" }).click();
    expect(kernel.model.last("dismiss")).toMatchObject({ notice: 7 });
    await expect.element(screen.getByRole("alert")).not.toBeInTheDocument();
  });

  test("a click in the strip selects the token of the bar", async () => {
    const { el } = show(branched());
    await frame();
    const canvas = el.querySelector("canvas") as HTMLCanvasElement;
    await userEvent.click(canvas, { position: { x: 22 * 2 + 8, y: 30 } });
    await frame();
    expect(selectedToken(el)).toMatch(/^" ran"/);
  });
});
