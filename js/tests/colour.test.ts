import { describe, expect, test } from "vitest";
import { FakeKernel } from "./fake_kernel";
import { frame, show, THEMES, tokens, wear } from "./mount";
import { contrast, type Rgb, rgb } from "./sight";

/** Colours come back as whole numbers up to 255: contrasts are off by so much. */
const ROUNDING = 0.03;
const REGRET = { name: "regret", unit: "nats", title: "Regret of the token", limit: 4 };
const ORIGINS = ["prompt", "sampled", "forced", "edited"] as const;

function kernelWith(): FakeKernel {
  const kernel = new FakeKernel(["The", " cat"], [" sat", " down", " there", ".", " ran"]);
  kernel.measures = [REGRET];
  kernel.write([" sat", " down"]);
  kernel.write([" there"], "forced");
  kernel.write([" ran"], "edited");
  kernel.write(["."]);
  kernel.save();
  return kernel;
}

async function colourBy(measure: string, kernel = kernelWith()) {
  const view = show(kernel);
  await frame();
  await view.screen.getByRole("combobox", { name: "Colour by" }).selectOptions(measure);
  await frame();
  const root = view.el.querySelector(".itw-root") as HTMLElement;
  const list = view.el.querySelector(".itw-tokens") as HTMLElement;
  const legend = view.el.querySelector(".itw-legend[class*=itw-by]") as HTMLElement;
  return { ...view, kernel, root, list, legend };
}

/** How strongly a token is coloured, as a share of the most. */
function strength(token: HTMLElement): number {
  return alpha(getComputedStyle(token).backgroundColor) / 0.5;
}

function alpha(colour: string): number {
  const [, share] = /\/ ([\d.]+)\)$/.exec(colour) ?? [];
  return share === undefined ? (colour === "rgba(0, 0, 0, 0)" ? 0 : 1) : Number(share);
}

describe("a measure", () => {
  const bits = (row: number, kernel: FakeKernel) => kernel.rows[row]?.surprisal ?? Number.NaN;
  const open = (row: number, kernel: FakeKernel) => kernel.rows[row]?.entropy ?? Number.NaN;
  test.each<[string, (row: number, kernel: FakeKernel) => number]>([
    ["surprisal", (row, kernel) => bits(row, kernel) / 12],
    ["entropy", (row, kernel) => open(row, kernel) / 12],
    ["varentropy", (row, kernel) => (kernel.rows[row]?.varentropy ?? 0) / 16],
    ["rank", (row, kernel) => Math.log(kernel.rows[row]?.rank ?? 0) / Math.log(10_000)],
    ["probability", (row, kernel) => 2 ** -bits(row, kernel)],
    ["surprisal minus entropy", (row, kernel) => (bits(row, kernel) - open(row, kernel) + 8) / 16],
    ["cost", (row, kernel) => (kernel.rows[row]?.cost || 0) / 12],
    // The number of the row is what the measure gives here.
    [REGRET.title, (row) => row / 4],
  ])(
    "%s colours each token by its value on a scale that is the same everywhere",
    async (name, share) => {
      const { el, kernel } = await colourBy(name);
      for (const [place, token] of tokens(el).slice(0, -1).entries()) {
        const value = share(place, kernel);
        const expected = Number.isNaN(value) ? 0 : Math.min(1, Math.max(0, value));
        expect(strength(token), token.ariaLabel ?? "").toBeCloseTo(expected, 2);
      }
    },
  );

  test("of rows that come later colours them too, and stays chosen while the text grows", async () => {
    const { el, kernel, screen } = await colourBy(REGRET.title);
    kernel.rows.length = 3;
    kernel.restart("second", ["A", " dog", " sat"]);
    kernel.measures = [{ ...REGRET, limit: 8 }];
    await frame();
    const choice = screen.getByRole("combobox", { name: "Colour by" });
    await expect.element(choice).toHaveValue("regret");
    expect(tokens(el).slice(0, 3).map(strength)[2]).toBeCloseTo(0.5, 2);
  });

  test("of another session is not chosen any more", async () => {
    const { el, kernel, screen } = await colourBy(REGRET.title);
    kernel.measures = [];
    kernel.restart("second", ["A", " dog"]);
    await frame();
    const choice = screen.getByRole("combobox", { name: "Colour by" });
    await expect.element(choice).toHaveValue("surprisal");
    expect(strength(tokens(el)[1] as HTMLElement)).toBeGreaterThan(0);
  });

  test("of infinite bits is at the end of the scale, and a missing one has no colour", async () => {
    const kernel = kernelWith();
    (kernel.rows[3] as { surprisal: number }).surprisal = Number.POSITIVE_INFINITY;
    kernel.save();
    const { el } = await colourBy("surprisal", kernel);
    expect(strength(tokens(el)[3] as HTMLElement)).toBeCloseTo(1, 2);
    expect(strength(tokens(el)[0] as HTMLElement)).toBe(0);
  });
});

describe("the legend", () => {
  test.each([
    ["surprisal", "0612bits"],
    ["rank", "110010,000"],
    ["probability", "00.51"],
    ["surprisal minus entropy", "-808bits"],
    [REGRET.title, "024nats"],
  ])("of %s has numbers at its ends and its middle, and the unit", async (name, text) => {
    const { legend } = await colourBy(name);
    expect(legend.textContent).toBe(text);
  });

  test("says the same to who cannot see it", async () => {
    const { screen } = await colourBy("surprisal");
    const name = "The colours go from pale at 0 over 6 to strong at 12 bits";
    await expect.element(screen.getByRole("img", { name })).toBeVisible();
  });

  test("marks 0 where a scale goes below it", async () => {
    const { legend, screen } = await colourBy("surprisal minus entropy");
    expect(legend.querySelector<HTMLElement>("i")?.style.insetInlineStart).toBe("50%");
    await screen.getByRole("combobox", { name: "Scale" }).selectOptions("fitted");
    await frame();
    const { left, width } = (legend.querySelector(".itw-ramp") as Element).getBoundingClientRect();
    const zero = legend.querySelector("i")?.getBoundingClientRect() as DOMRect;
    const numbers = [...legend.querySelectorAll(".itw-tick")].map((tick) =>
      Number(tick.textContent),
    );
    const [low = 0, , high = 0] = numbers;
    expect((zero.left - left) / width).toBeCloseTo(-low / (high - low), 1);
  });
});

describe("a scale fitted to the text", () => {
  test("ends at the text's own values, whatever a single outlier does", async () => {
    const kernel = new FakeKernel(["The"], [" cat"]);
    kernel.write(Array(199).fill(" cat"));
    for (const [index, row] of kernel.rows.entries()) row.surprisal = 2 + index / 100;
    (kernel.rows[100] as { surprisal: number }).surprisal = 1000;
    kernel.save();
    const { el, legend, screen } = await colourBy("surprisal", kernel);
    expect(legend.textContent).toBe("0612bits");
    await screen.getByRole("combobox", { name: "Scale" }).selectOptions("fitted to this text");
    await frame();
    expect(legend.textContent).toBe("234bits");
    expect(strength(tokens(el)[2] as HTMLElement)).toBeCloseTo(0.01, 1);
    expect(strength(tokens(el)[150] as HTMLElement)).toBeCloseTo(0.75, 1);
  });

  test("is fitted anew when the text has grown, and for another branch", async () => {
    const kernel = new FakeKernel(["The"], [" cat"]);
    kernel.write(Array(19).fill(" cat"));
    for (const row of kernel.rows) row.surprisal = row.position;
    kernel.save();
    const { legend, screen } = await colourBy("surprisal", kernel);
    await screen.getByRole("combobox", { name: "Scale" }).selectOptions("fitted");
    await frame();
    expect(legend.textContent).toBe("09.519bits");
    kernel.write(Array(20).fill(" cat"));
    for (const row of kernel.rows) row.surprisal = row.position;
    kernel.delta();
    await frame();
    expect(legend.textContent).toBe("119.538bits");
    kernel.delta({ head: 10 });
    await frame();
    expect(legend.textContent).toBe("0510bits");
  });
});

describe.each(THEMES)("in the %s theme", (theme) => {
  // The values that JupyterLab's own themes give, and those that stand in where there are none.
  const grounds = theme === "light" ? ["#ffffff", null] : ["#111111", "#212121", null];
  describe.each(grounds)("on the ground %s", (ground) => {
    test.each(["surprisal", "entropy", "cost", REGRET.title])(
      "text can be read at every strength of %s, which only grows",
      async (measure) => {
        wear(theme);
        const { el, root, list } = await colourBy(measure);
        if (ground !== null) el.style.setProperty("--jp-layout-color0", ground);
        const under = rgb(getComputedStyle(root).backgroundColor, [255, 255, 255]);
        const pair = ["prompt", "sampled"].map((origin) =>
          list.querySelector<HTMLElement>(`.itw-token.itw-${origin}`),
        ) as HTMLElement[];
        const [low, span] = ["--itw-low", "--itw-span"].map((name) =>
          Number(list.style.getPropertyValue(name)),
        ) as [number, number];
        let before = Number.NEGATIVE_INFINITY;
        const seen: Rgb[] = [];
        for (let step = 0; step <= 40; step++) {
          for (const token of pair) {
            token.style.setProperty("--itw-value", String(low + (span * step) / 40));
            const behind = rgb(getComputedStyle(token).backgroundColor, under);
            const ink = rgb(getComputedStyle(token).color, behind);
            expect(contrast(ink, behind), `${measure} ${step}`).toBeGreaterThanOrEqual(4.5);
            if (token !== pair[0]) seen.push(behind);
          }
          // One hue that only grows stronger can be told by everyone, and in print.
          const strong = contrast(seen.at(-1) as Rgb, under);
          expect(strong).toBeGreaterThanOrEqual(before - ROUNDING);
          before = strong;
        }
        expect(contrast(seen[0] as Rgb, under)).toBeCloseTo(1, 2);
        expect(before, "the two ends can be told apart").toBeGreaterThan(1.35);
        const hues = seen.slice(20).map(hue);
        expect(Math.max(...hues) - Math.min(...hues), "one hue").toBeLessThan(25);
      },
    );

    test("text of every origin can be read, and so can the key", async () => {
      wear(theme);
      const { el, root, list, legend } = await colourBy("origin");
      if (ground !== null) el.style.setProperty("--jp-layout-color0", ground);
      const under = rgb(getComputedStyle(root).backgroundColor, [255, 255, 255]);
      for (const origin of ORIGINS) {
        const [token, key] = [list, legend].map((part) => part.querySelector(`.itw-${origin}`));
        for (const part of [token, key] as Element[]) {
          const style = getComputedStyle(part);
          const behind = rgb(style.backgroundColor, under);
          expect(contrast(rgb(style.color, behind), behind), origin).toBeGreaterThanOrEqual(4.5);
        }
        const [mark, keyMark] = [token, key].map((part) => {
          const style = getComputedStyle(part as Element);
          return [style.fontWeight, style.textDecorationLine, style.textDecorationStyle].join(" ");
        });
        const [ground, keyGround] = ([token, key] as Element[]).map(
          (part) => getComputedStyle(part).backgroundColor,
        );
        expect(ground, origin).toBe(keyGround);
        // Each origin has a mark that needs no colour, and the key shows it.
        expect(mark).toBe(keyMark);
      }
      const marks = ORIGINS.map((origin) => {
        const style = getComputedStyle(list.querySelector(`.itw-${origin}`) as Element);
        return [style.fontWeight, style.textDecorationLine, style.textDecorationStyle].join(" ");
      });
      expect(new Set(marks).size).toBe(ORIGINS.length);
    });
  });
});

/** In degrees; those of the ramps are far from where the circle closes. */
function hue([r, g, b]: Rgb): number {
  const [most, least] = [Math.max(r, g, b), Math.min(r, g, b)];
  const range = most - least || 1;
  const sector =
    most === r ? (g - b) / range : most === g ? 2 + (b - r) / range : 4 + (r - g) / range;
  return (60 * sector + 360) % 360;
}
