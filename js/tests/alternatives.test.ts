import { describe, expect, test } from "vitest";
import { userEvent } from "vitest/browser";
import { FakeKernel } from "./fake_kernel";
import { frame, namesIn, pause, show } from "./mount";

const SIZE = 3000;
/** Twelve rows in sight, six more on either side, and the chosen and the picked one. */
const MOST_ROWS = 26;

/** A model whose log-probabilities are coarse, so that many tokens tie. */
class TiedKernel extends FakeKernel {
  override logProbs(parent: number): number[] {
    return super.logProbs(parent).map((x) => Math.round(2 * x) / 2);
  }
}

function kernelWith(Kind = FakeKernel, intervene: FakeKernel["intervene"] = null): FakeKernel {
  const words = [" sat", " down", " on", " mats", "Lon", " London"];
  const kernel = new Kind(["The", " cat"], words, SIZE);
  kernel.intervene = intervene;
  kernel.write([" sat", " down", " on"]);
  kernel.state.selected = 3;
  kernel.save();
  return kernel;
}

/** The same with the least probable token forced in the place that is looked at. */
function kernelWithRare(): { kernel: FakeKernel; rare: number } {
  const kernel = kernelWith();
  const scores = kernel.logProbs(2);
  const rare = scores.indexOf(Math.min(...scores));
  kernel.state.head = 2;
  kernel.append(rare, "forced");
  kernel.state.selected = 5;
  kernel.save();
  return { kernel, rare };
}

function listIn(el: Element): HTMLElement {
  return el.querySelector('[aria-label="Alternatives"]') as HTMLElement;
}

function optionsOf(el: Element): HTMLElement[] {
  return [...listIn(el).querySelectorAll<HTMLElement>('[role="option"]')];
}

function ranksIn(el: Element): number[] {
  return namesIn(el, "Alternatives").map((name) =>
    Number(/^rank ([\d,]+), /.exec(name)?.[1]?.replace(",", "")),
  );
}

function tokensIn(el: Element): string[] {
  return namesIn(el, "Alternatives").map((name) => /"(.*)"/.exec(name)?.[1] ?? "");
}

function sizeOf(el: Element): number {
  return Number(optionsOf(el)[0]?.getAttribute("aria-setsize"));
}

function requests(kernel: FakeKernel) {
  return kernel.model.sent.filter(({ kind }) => kind === "distribution");
}

type View = ReturnType<typeof show>;

async function lookAtNext({ screen }: View): Promise<void> {
  await screen.getByRole("option", { name: "Next token" }).click();
}

async function search({ screen }: View, text: string): Promise<void> {
  await screen.getByRole("searchbox", { name: "Search vocabulary" }).fill(text);
}

function scrollTo(el: Element, row: number): void {
  listIn(el).scrollTop = (row * listIn(el).scrollHeight) / SIZE;
}

/** Rows in sight, and those that stay in sight. */
function inSight(el: Element): HTMLElement[] {
  const frame = listIn(el).getBoundingClientRect();
  return optionsOf(el).filter((option) => {
    const box = option.getBoundingClientRect();
    return box.bottom > frame.top + 1 && box.top < frame.bottom - 1;
  });
}

describe("a list as long as the vocabulary", () => {
  test("the top of the table is listed at once, before the kernel answers", async () => {
    const kernel = kernelWith();
    kernel.answers = false;
    const { el, screen } = show(kernel);
    await frame();
    const logProbs = kernel.rows[3]?.top_log_probs ?? [];
    const p = Math.exp(logProbs[2] ?? 0).toFixed(3);
    const mass = logProbs.slice(0, 3).reduce((sum, x) => sum + Math.exp(x), 0);
    const name = namesIn(el, "Alternatives")[2];
    expect(name).toContain(`rank 3, "`);
    expect(name).toContain(`probability ${p}, `);
    expect(name).toContain(`cumulative mass ${mass.toFixed(3)}`);
    await expect.element(screen.getByText(/^Token 1\b/)).toBeVisible();
    await expect.element(screen.getByText("The cat sat", { exact: true })).toBeVisible();
    await pause(1700);
    expect(screen.getByText(/does not answer/).elements()).toHaveLength(0);
  });

  test("the page holds the rows in sight, and says where they stand among all", async () => {
    const { el } = show(kernelWith());
    await expect.poll(() => namesIn(el, "Alternatives")[0]).toContain(", s 0.");
    expect(sizeOf(el)).toBe(SIZE);
    expect(optionsOf(el)[4]?.getAttribute("aria-posinset")).toBe("5");
    expect(optionsOf(el).length).toBeLessThanOrEqual(MOST_ROWS);
    const row = optionsOf(el)[0]?.getBoundingClientRect().height ?? 0;
    expect(listIn(el).scrollHeight).toBeCloseTo(SIZE * row, -1);
    // Twelve, over one of which the chosen one lies.
    expect(inSight(el)).toHaveLength(13);
  });

  test("scrolling reads what comes in sight, and shows where it will be until then", async () => {
    const kernel = kernelWith();
    const view = show(kernel);
    const { el } = view;
    await lookAtNext(view);
    await expect.poll(() => ranksIn(el)[0]).toBe(1);
    kernel.answers = false;
    scrollTo(el, 2050);
    await expect.poll(() => namesIn(el, "Alternatives")).toContain("number 2,051 is being read");
    await expect.element(view.screen.getByText("asking the kernel …")).toBeVisible();
    await expect.poll(() => kernel.model.last("distribution")).toMatchObject({ offset: 2000 });
    kernel.answers = true;
    kernel.model.onSend(requests(kernel).at(-1) as never);
    await expect.poll(() => ranksIn(el)).toContain(2051);
    expect(optionsOf(el).length).toBeLessThanOrEqual(MOST_ROWS);
    const mass = kernel
      .logProbs(4)
      .sort((a, b) => b - a)
      .slice(0, 2051)
      .reduce((sum, x) => sum + Math.exp(x), 0);
    expect(namesIn(el, "Alternatives").join()).toContain(`cumulative mass ${mass.toFixed(3)}`);
  });

  test("what was asked for and scrolled past is given up", async () => {
    const kernel = kernelWith();
    const view = show(kernel);
    await lookAtNext(view);
    await expect.poll(() => ranksIn(view.el)[0]).toBe(1);
    kernel.answers = false;
    scrollTo(view.el, 1020);
    await expect.poll(() => kernel.model.last("distribution")).toMatchObject({ offset: 1000 });
    const passed = kernel.model.last("distribution")?.id;
    scrollTo(view.el, 2520);
    await expect.poll(() => kernel.model.last("distribution")).toMatchObject({ offset: 2500 });
    expect(kernel.model.last("distribution-cancel")?.id).toBe(passed);
  });

  test("the keys walk all of it", async () => {
    const kernel = kernelWith();
    const { el } = show(kernel);
    await expect.poll(() => namesIn(el, "Alternatives")[0]).toContain(", s 0.");
    const list = listIn(el);
    list.focus();
    const active = () => document.getElementById(list.getAttribute("aria-activedescendant") ?? "");
    async function press(key: string, position: number): Promise<void> {
      await userEvent.keyboard(`{${key}}`);
      await expect.poll(() => active()?.getAttribute("aria-posinset")).toBe(String(position));
      await expect.poll(() => inSight(el)).toContain(active());
      expect(active()?.getAttribute("aria-selected")).toBe("true");
    }
    await press("ArrowDown", 1);
    await press("ArrowDown", 2);
    await press("PageDown", 12);
    await press("End", SIZE);
    await expect.poll(() => active()?.textContent).toMatch(/^rank 3,000, /);
    await press("ArrowDown", SIZE);
    await press("PageUp", SIZE - 10);
    await press("ArrowUp", SIZE - 11);
    await press("Home", 1);
    await press("End", SIZE);
    await userEvent.keyboard("{Enter}");
    const scores = kernel.logProbs(2);
    const rare = scores.indexOf(Math.min(...scores));
    expect(kernel.model.last("force")).toMatchObject({ parent: 2, token_id: rare });
  });

  test("the token that stands there is marked and in sight, wherever it ranks", async () => {
    const { kernel, rare } = kernelWithRare();
    const { el } = show(kernel);
    await frame();
    const chosen = () => optionsOf(el).find((option) => option.textContent?.includes(", chosen"));
    expect(chosen()?.textContent).toMatch(/^rank 3,000, /);
    expect(inSight(el)).toContain(chosen());
    // Nothing is asked of the kernel while the table holds what is in sight.
    await pause(100);
    expect(requests(kernel)).toEqual([]);
    scrollTo(el, 1500);
    await expect.poll(() => ranksIn(el)).toContain(1501);
    expect(inSight(el)).toContain(chosen());
    chosen()?.click();
    await expect.poll(() => listIn(el).scrollTop).toBeGreaterThan(2900 * 26);
    await expect.poll(() => ranksIn(el).at(-1)).toBe(SIZE);
    expect(chosen()?.getAttribute("aria-selected")).toBe("true");
    expect(kernel.rows[5]?.token_id).toBe(rare);
  });

  test("the place after the last token has alternatives too", async () => {
    const kernel = kernelWith();
    const view = show(kernel);
    await lookAtNext(view);
    await expect.poll(() => ranksIn(view.el)[0]).toBe(1);
    expect(kernel.model.last("distribution")).toMatchObject({ parent: 4, offset: 0 });
    await expect.element(view.screen.getByText("Next token", { exact: true })).toBeVisible();
    await expect.element(view.screen.getByText("varentropy, bits²")).toBeVisible();
  });

  test("what was read stays when the next token is made", async () => {
    const kernel = kernelWith();
    const view = show(kernel);
    await lookAtNext(view);
    scrollTo(view.el, 550);
    await expect.poll(() => ranksIn(view.el)).toContain(551);
    kernel.answers = false;
    kernel.write([" mats"]);
    kernel.delta();
    await expect.poll(() => view.el.querySelector(".itw-heading")?.textContent).toContain("mats");
    expect(ranksIn(view.el)).toContain(551);
    const listed = tokensIn(view.el);
    expect(new Set(listed).size).toBe(listed.length);
  });
});

describe("p, q and s", () => {
  const banned = (logProbs: readonly number[]) => {
    const best = logProbs.indexOf(Math.max(...logProbs));
    return logProbs.map((x, id) => (id === best ? Number.NEGATIVE_INFINITY : x));
  };

  test("stand side by side where a program drew the token", async () => {
    const { el, screen } = show(kernelWith(FakeKernel, banned));
    await expect
      .poll(() => namesIn(el, "Alternatives")[0])
      .toMatch(/^rank 1, ".*", probability 0\.\d+, [\d.]+ bits, q 0, s 0, cumulative mass 0\.\d+$/);
    for (const name of ["p", "q", "s"]) {
      await expect.element(screen.getByRole("button", { name: `Order by ${name}` })).toBeVisible();
    }
    expect(el.querySelector(".itw-table")?.scrollWidth).toBeLessThanOrEqual(
      el.querySelector(".itw-table")?.clientWidth ?? 0,
    );
  });

  test("each can order the list, and p does at first", async () => {
    const kernel = kernelWith(FakeKernel, banned);
    const { el, screen } = show(kernel);
    const byP = screen.getByRole("button", { name: "Order by p" });
    await expect.element(byP).toHaveAttribute("aria-pressed", "true");
    await screen.getByRole("button", { name: "Order by s" }).click();
    await expect.poll(() => ranksIn(el).slice(0, 3)).toEqual([2, 3, 4]);
    expect(kernel.model.last("distribution")).toMatchObject({ order: "s", row: 3, offset: 0 });
    await expect.element(screen.getByText(/hold .* % of s$/)).toBeVisible();
    await byP.click();
    await expect.poll(() => ranksIn(el)[0]).toBe(1);
  });

  test("a token that was given has p alone", async () => {
    const { el, screen } = show(kernelWithRare().kernel);
    await frame();
    expect(screen.getByRole("button", { name: /^Order by/ }).elements()).toHaveLength(1);
    expect(namesIn(el, "Alternatives")[0]).not.toMatch(/, [qs] /);
  });
});

describe("search", () => {
  test("goes through the whole vocabulary when typing pauses", async () => {
    const kernel = kernelWith();
    const view = show(kernel);
    await search(view, "Lon");
    await expect.element(view.screen.getByText("2 tokens match")).toBeVisible();
    const searches = requests(kernel).filter((request) => request.search !== undefined);
    expect(searches).toMatchObject([{ parent: 2, search: "Lon", offset: 0 }]);
    expect(tokensIn(view.el).sort()).toEqual([" London", "Lon"]);
    await search(view, "no such thing");
    await expect.element(view.screen.getByText("no token contains this")).toBeVisible();
  });

  test("is read in windows too", async () => {
    const kernel = kernelWith();
    const view = show(kernel);
    await search(view, "word2");
    await expect.poll(() => sizeOf(view.el)).toBeGreaterThan(1000);
    const size = sizeOf(view.el);
    listIn(view.el).focus();
    await userEvent.keyboard("{End}");
    await expect.poll(() => namesIn(view.el, "Alternatives").at(-1)).toMatch(/^rank .*word2/);
    expect(optionsOf(view.el).at(-1)?.getAttribute("aria-posinset")).toBe(String(size));
    expect(kernel.model.last("distribution")?.offset).toBe(Math.floor((size - 1) / 100) * 100);
  });

  test.each(["#7", "7"])("%s finds a token by its id, and first", async (text) => {
    const kernel = kernelWith();
    const view = show(kernel);
    await search(view, text);
    await expect.poll(() => namesIn(view.el, "Alternatives")[0]).toMatch(/" London", id 7, prob/);
  });

  test("waits while the kernel is busy, and the table is searched at once", async () => {
    const kernel = kernelWith();
    const view = show(kernel);
    kernel.delta({ job: { id: 1, kind: "generate", made: 0, total: 9, stopping: false } });
    kernel.answers = false;
    await frame();
    const text = kernel.vocabulary[kernel.rows[3]?.top_ids[0] ?? 0];
    const word = new TextDecoder().decode(text);
    await search(view, word);
    await expect
      .element(view.screen.getByText(/among the most probable; waiting for the kernel/))
      .toBeVisible();
    expect(namesIn(view.el, "Alternatives")[0]).toContain(`"${word}"`);
  });

  test("one that was typed over is given up", async () => {
    const kernel = kernelWith();
    kernel.answers = false;
    const view = show(kernel);
    const asked = () => requests(kernel).find(({ search }) => search === "L");
    await search(view, "L");
    await expect.poll(asked).toBeDefined();
    await search(view, "Lo");
    await expect.poll(() => kernel.model.last("distribution-cancel")?.id).toBe(asked()?.id);
    await expect.poll(() => kernel.model.last("distribution")?.search).toBe("Lo");
  });
});

describe("ties", () => {
  test("tokens that tie share the better rank, in the table and beyond it", async () => {
    const kernel = kernelWith(TiedKernel);
    const { el } = show(kernel);
    await frame();
    const scores = kernel.logProbs(2).sort((a, b) => b - a);
    const ranks = scores.map((score) => scores.indexOf(score) + 1);
    expect(ranksIn(el).slice(0, 18)).toEqual(ranks.slice(0, 18));
    scrollTo(el, 250);
    await expect.poll(() => ranksIn(el)).toContain(ranks[255]);
  });

  test("what was picked stays picked when the kernel orders equals otherwise", async () => {
    const kernel = kernelWith(TiedKernel);
    kernel.answers = false;
    // The table's order of the first two is the other way round than the kernel's.
    const row = kernel.rows[3];
    const [a, b, ...others] = row?.top_ids ?? [];
    if (row) row.top_ids = [b as number, a as number, ...others];
    kernel.save();
    const view = show(kernel);
    await frame();
    optionsOf(view.el)[0]?.click();
    await expect.poll(() => requests(kernel)).toHaveLength(1);
    kernel.answers = true;
    kernel.model.onSend(requests(kernel)[0] as never);
    await expect.poll(() => namesIn(view.el, "Alternatives")[0]).toContain(", s 0.");
    expect(optionsOf(view.el)[1]?.getAttribute("aria-selected")).toBe("true");
    await view.screen.getByRole("button", { name: "Force", exact: true }).click();
    expect(kernel.model.last("force")).toMatchObject({ token_id: b });
  });
});

describe("a kernel that refuses", () => {
  const words = /reading from the model failed/;

  test("a request that fails says so, and can be made again", async () => {
    const kernel = kernelWith();
    const view = show(kernel);
    kernel.answers = false;
    await lookAtNext(view);
    await expect.poll(() => kernel.model.last("distribution")).toMatchObject({ parent: 4 });
    kernel.fail(kernel.model.last("distribution") as never, "The model is out of memory.");
    await expect.element(view.screen.getByText(words)).toBeVisible();
    await expect.element(view.screen.getByRole("alert")).toHaveTextContent("out of memory");
    kernel.answers = true;
    await view.screen.getByRole("button", { name: "Try again" }).click();
    await expect.poll(() => ranksIn(view.el)[0]).toBe(1);
    await expect.element(view.screen.getByText(words)).not.toBeInTheDocument();
  });

  test("a search that fails keeps what the table has found", async () => {
    const kernel = kernelWith();
    const view = show(kernel);
    await expect.poll(() => requests(kernel)).toHaveLength(1);
    kernel.answers = false;
    await search(view, "o");
    await expect.poll(() => kernel.model.last("distribution")?.search).toBe("o");
    kernel.fail(kernel.model.last("distribution") as never, "The model is out of memory.");
    await expect.element(view.screen.getByText(words)).toBeVisible();
    expect(optionsOf(view.el).length).toBeGreaterThan(0);
    await search(view, "");
    await expect.element(view.screen.getByText(/^3,000 tokens; the first 50 hold/)).toBeVisible();
  });

  test("an answer that cannot be read is one that failed", async () => {
    const kernel = kernelWith();
    kernel.answers = false;
    const { screen } = show(kernel);
    await expect.poll(() => requests(kernel)).toHaveLength(1);
    kernel.respond(requests(kernel)[0] as never, { total: 400, distributions: ["p", "s"] });
    await expect.element(screen.getByText(words)).toBeVisible();
    await expect.element(screen.getByRole("alert")).toHaveTextContent("8 buffers, not 0");
  });
});

describe("a session that can only be read", () => {
  function readOnly(kernel: FakeKernel): FakeKernel {
    kernel.state.read_only = "This session can only be read: there is no model.";
    kernel.save();
    return kernel;
  }

  test("lists what is held, and what stands there", async () => {
    const { kernel } = kernelWithRare();
    const { el, screen } = show(readOnly(kernel));
    await frame();
    expect(sizeOf(el)).toBe(51);
    expect(namesIn(el, "Alternatives").at(-1)).toMatch(/^rank 3,000, .*, chosen$/);
    await expect
      .element(screen.getByText(/^only the 50 most probable are held here: .* of the mass$/))
      .toBeVisible();
    scrollTo(el, SIZE);
    await pause(150);
    expect(requests(kernel)).toEqual([]);
  });

  test("that could be read a moment ago lists what is held, too", async () => {
    const { kernel } = kernelWithRare();
    const { el } = show(kernel);
    await frame();
    scrollTo(el, 1500);
    await expect.poll(() => ranksIn(el)).toContain(1501);
    kernel.delta({ read_only: "There is no model any more." });
    await expect.poll(() => sizeOf(el)).toBe(51);
    expect(namesIn(el, "Alternatives").at(-1)).toMatch(/^rank 3,000, .*, chosen$/);
    expect(new Set(tokensIn(el)).size).toBe(optionsOf(el).length);
  });

  test("a search goes through what is held, and says so", async () => {
    const kernel = readOnly(kernelWith());
    const view = show(kernel);
    await frame();
    const text = tokensIn(view.el)[7] as string;
    await search(view, text);
    await expect
      .element(view.screen.getByText(/; only the 50 most probable are held here$/))
      .toBeVisible();
    expect(tokensIn(view.el).length).toBeGreaterThan(0);
    expect(tokensIn(view.el).every((token) => token.includes(text))).toBe(true);
    await pause(250);
    expect(requests(kernel)).toEqual([]);
  });

  test("the next token's alternatives need the model", async () => {
    const kernel = readOnly(kernelWith());
    const view = show(kernel);
    await lookAtNext(view);
    await expect
      .element(view.screen.getByText(/^The alternatives here need the model/))
      .toBeVisible();
    await pause(100);
    expect(requests(kernel)).toEqual([]);
  });
});
