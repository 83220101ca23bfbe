import { describe, expect, test } from "vitest";
import { userEvent } from "vitest/browser";
import { FakeKernel } from "./fake_kernel";
import { frame, namesIn, pause, show } from "./mount";

/** A model whose log-probabilities are coarse, so that many tokens tie. */
class TiedKernel extends FakeKernel {
  override logProbs(parent: number): number[] {
    return super.logProbs(parent).map((x) => Math.round(2 * x) / 2);
  }
}

function kernelWith(Kind = FakeKernel): FakeKernel {
  const kernel = new Kind(["The", " cat"], [" sat", " down", " on", " mats", "Lon", " London"]);
  kernel.write([" sat", " down", " on"]);
  kernel.state.selected = 3;
  kernel.save();
  return kernel;
}

function ranksIn(el: Element): number[] {
  return namesIn(el, "Alternatives").map((name) => Number(/^rank (\d+)/.exec(name)?.[1]));
}

function tokensIn(el: Element): string[] {
  return namesIn(el, "Alternatives").map((name) => /"(.*)"/.exec(name)?.[1] ?? "");
}

function requests(kernel: FakeKernel) {
  return kernel.model.sent.filter(({ kind }) => kind === "distribution");
}

type View = ReturnType<typeof show>;

async function lookAtNext({ el, screen }: View, listed = 50): Promise<void> {
  await screen.getByRole("option", { name: "Next token" }).click();
  await expect.poll(() => namesIn(el, "Alternatives").length).toBe(listed);
}

describe("rows of the kernel and rows of the table", () => {
  test("the next token's alternatives are listed once when it has been forced", async () => {
    const kernel = kernelWith();
    const view = show(kernel);
    await lookAtNext(view);
    await view.screen.getByRole("textbox", { name: "Force text" }).fill(" mats");
    await userEvent.keyboard("{Enter}");
    kernel.tick(3);
    await frame();
    await frame();
    const listed = tokensIn(view.el);
    expect(listed.length).toBeLessThanOrEqual(51);
    expect(new Set(listed).size).toBe(listed.length);
  });

  test("ranks beyond what the table holds stay when the next token is made", async () => {
    const kernel = kernelWith();
    const view = show(kernel);
    await lookAtNext(view);
    await view.screen.getByRole("button", { name: "Show more" }).click();
    await frame();
    kernel.write([" mats"]);
    kernel.delta();
    await frame();
    await frame();
    expect(ranksIn(view.el)).toEqual(Array.from({ length: 100 }, (_, index) => index + 1));
    expect(requests(kernel)).toHaveLength(2);
    await view.screen.getByRole("button", { name: "Show more" }).click();
    expect(kernel.model.last("distribution")).toMatchObject({ offset: 100 });
  });
});

describe("ties", () => {
  test("tokens that tie share the better rank, and more are asked for by their number", async () => {
    const kernel = kernelWith(TiedKernel);
    const { el, screen } = show(kernel);
    await frame();
    const scores = kernel.logProbs(2).sort((a, b) => b - a);
    const ranks = scores.map((score) => scores.indexOf(score) + 1);
    expect(ranks[49]).not.toBe(50);
    expect(ranksIn(el).slice(0, 50)).toEqual(ranks.slice(0, 50));
    await expect.element(screen.getByText(/^ranks 51 – 400 hold/)).toBeVisible();
    await screen.getByRole("button", { name: "Show more" }).click();
    expect(kernel.model.last("distribution")).toMatchObject({ offset: 50 });
    await expect.element(screen.getByText(/^ranks 101 – 400 hold/)).toBeVisible();
    expect(ranksIn(el).slice(0, 100)).toEqual(ranks.slice(0, 100));
    await screen.getByRole("button", { name: "Show more" }).click();
    expect(kernel.model.last("distribution")).toMatchObject({ offset: 100 });
  });
});

describe("a kernel that refuses", () => {
  const words = /reading more from the model failed/;

  test("a request that fails says so, and can be made again", async () => {
    const kernel = kernelWith();
    const view = show(kernel);
    kernel.answers = false;
    await lookAtNext(view, 0);
    await expect.poll(() => requests(kernel).length).toBe(1);
    kernel.fail(requests(kernel)[0] as never, "The model is out of memory.");
    await expect.element(view.screen.getByText(words)).toBeVisible();
    await expect.element(view.screen.getByRole("alert")).toHaveTextContent("out of memory");
    kernel.answers = true;
    await view.screen.getByRole("button", { name: "Try again" }).click();
    await expect.poll(() => namesIn(view.el, "Alternatives").length).toBe(50);
    await expect.element(view.screen.getByText(words)).not.toBeInTheDocument();
  });

  test("a search that fails keeps what the table has found", async () => {
    const kernel = kernelWith();
    const { el, screen } = show(kernel);
    kernel.answers = false;
    await screen.getByRole("searchbox", { name: "Search vocabulary" }).fill("o");
    await expect.poll(() => requests(kernel).length).toBe(1);
    kernel.fail(requests(kernel)[0] as never, "The model is out of memory.");
    await expect.element(screen.getByText(words)).toBeVisible();
    expect(namesIn(el, "Alternatives").length).toBeGreaterThan(0);
    await screen.getByRole("searchbox", { name: "Search vocabulary" }).fill("");
    await expect.element(screen.getByText(/^ranks 51 – 400 hold/)).toBeVisible();
  });

  test("an answer that cannot be read is one that failed", async () => {
    const kernel = kernelWith();
    const { screen } = show(kernel);
    kernel.answers = false;
    await screen.getByRole("button", { name: "Show more" }).click();
    kernel.respond(requests(kernel)[0] as never, { total: 400, entropy: 1 });
    await expect.element(screen.getByText(words)).toBeVisible();
    await expect.element(screen.getByRole("alert")).toHaveTextContent("six buffers");
  });
});

describe("a session that can only be read", () => {
  function readOnly(): FakeKernel {
    const kernel = kernelWith();
    kernel.state.read_only = "This session can only be read: there is no model.";
    kernel.save();
    return kernel;
  }

  test("a search goes through what is held, and says so", async () => {
    const kernel = readOnly();
    const { el, screen } = show(kernel);
    await frame();
    const held = tokensIn(el).slice(0, 50);
    const search = held[7] as string;
    await screen.getByRole("searchbox", { name: "Search vocabulary" }).fill(search);
    await expect
      .element(screen.getByText(/; only the 50 most probable are held in the file$/))
      .toBeVisible();
    expect(tokensIn(el)).toEqual(held.filter((token) => token.includes(search)));
    await pause(250);
    expect(requests(kernel)).toEqual([]);
  });

  test("more is not offered, and the next token's alternatives need the model", async () => {
    const kernel = readOnly();
    const { screen } = show(kernel);
    await expect.element(screen.getByText(/^ranks 51 – 400 hold/)).toBeVisible();
    expect(screen.getByRole("button", { name: "Show more" }).elements()).toHaveLength(0);
    await screen.getByRole("option", { name: "Next token" }).click();
    await expect.element(screen.getByText(/^The alternatives here need the model/)).toBeVisible();
    await pause(50);
    expect(requests(kernel)).toEqual([]);
  });
});
