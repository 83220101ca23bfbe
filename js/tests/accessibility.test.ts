import axe from "axe-core";
import { describe, expect, onTestFinished, test } from "vitest";
import { FakeKernel } from "./fake_kernel";
import { frame, open, pause } from "./mount";

/** Colours come back as whole numbers up to 255. */
const ROUNDING = 0.002;
const THEMES = ["light", "dark"] as const;

/** Show the page as JupyterLab does in one of its themes. */
function wear(theme: (typeof THEMES)[number]): void {
  document.body.setAttribute("data-jp-theme-light", String(theme === "light"));
  document.body.style.background = theme === "light" ? "#fff" : "#111";
  onTestFinished(() => {
    document.body.removeAttribute("data-jp-theme-light");
    document.body.style.background = "";
  });
}

function kernelWith(): FakeKernel {
  const emoji = [[0xf0], [0x9f], [0x98], [0x80]];
  const kernel = new FakeKernel(["The", " cat"], [" sat", " ran", "\n", ...emoji, [0x9f], []]);
  kernel.write([" sat", "\n", ...emoji, [0x9f], []]);
  kernel.state.head = 1;
  kernel.write([" ran"], "forced");
  kernel.write([" sat"], "edited");
  kernel.state.head = 9;
  kernel.state.selected = 2;
  kernel.state.can_undo = true;
  kernel.save();
  return kernel;
}

const STATES: Record<string, (el: HTMLElement, kernel: FakeKernel) => Promise<void> | void> = {
  "a token selected": () => {},
  "nothing selected": (_, kernel) => kernel.delta({ selected: null }),
  "an alternative picked": (el) => {
    el.querySelectorAll<HTMLElement>(".itw-alternative")[2]?.click();
  },
  "sampling open and refused": async (el) => {
    el.querySelector<HTMLElement>(".itw-disclosure")?.click();
    await frame();
    const field = el.querySelector<HTMLInputElement>(".itw-field input");
    if (field === null) throw new Error("there is no field");
    field.value = "-1";
    field.dispatchEvent(new Event("input", { bubbles: true }));
  },
  "a job running": (el, kernel) => {
    el.querySelector<HTMLElement>(".itw-button-primary")?.click();
    kernel.tick(3);
  },
  "a job stopping": async (el, kernel) => {
    el.querySelector<HTMLElement>(".itw-button-primary")?.click();
    kernel.answers = false;
    await frame();
    el.querySelector<HTMLElement>(".itw-button-plain")?.click();
    await pause(1100);
  },
  "an error and no answer": async (el, kernel) => {
    kernel.delta({ notice: { id: 1, type: "ValueError", message: "The prompt is too long." } });
    kernel.answers = false;
    el.querySelector<HTMLElement>(".itw-button-primary")?.click();
    await pause(1600);
  },
  "read only": (_, kernel) => kernel.delta({ read_only: "This was saved from another model." }),
  "another branch wanted while a job runs": async (el, kernel) => {
    kernel.delta({ job: { id: 1, kind: "generate", made: 0, total: 9, stopping: false } });
    await frame();
    el.querySelector<HTMLElement>('.itw-branch[aria-disabled="true"]')?.click();
  },
  "the first token": (el) => el.querySelector<HTMLElement>(".itw-token")?.click(),
  "read only, the next token": (el, kernel) => {
    kernel.delta({ read_only: "This was saved from another model." });
    el.querySelector<HTMLElement>(".itw-next")?.click();
  },
  "alternatives that failed": async (el, kernel) => {
    kernel.answers = false;
    el.querySelector<HTMLElement>(".itw-rest .itw-link")?.click();
    kernel.fail(kernel.model.last("distribution") as never, "The model is out of memory.");
    await frame();
  },
  "the next token": (el) => el.querySelector<HTMLElement>(".itw-next")?.click(),
};

describe.each(THEMES)("in the %s theme", (theme) => {
  test.each(Object.keys(STATES))("axe finds nothing in the state: %s", async (state) => {
    wear(theme);
    const kernel = kernelWith();
    const { el } = open(kernel).view();
    await frame();
    await STATES[state]?.(el, kernel);
    await frame();
    await frame();
    const { violations } = await axe.run(el, {
      // Parts of a widget are no landmarks of the page it is in.
      rules: { region: { enabled: false }, "heading-order": { enabled: false } },
    });
    const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html)}`);
    expect(found).toEqual([]);
  });

  test("axe finds nothing in an empty viewer, nor in a narrow one", async () => {
    wear(theme);
    open(new FakeKernel([])).view();
    const { el } = open(kernelWith()).view(400);
    await frame();
    const { violations } = await axe.run(document.body, { rules: { region: { enabled: false } } });
    expect(violations.map(({ id }) => id)).toEqual([]);
    expect(el.scrollWidth).toBeLessThanOrEqual(400);
  });

  // The values that JupyterLab's own themes give, and those that stand in where there are none.
  test.each(["#ffffff", "#111111", "#212121", null])(
    "text can be read at every colour value on the ground %s",
    async (ground) => {
      if (ground !== null && (ground === "#ffffff") !== (theme === "light")) return;
      wear(theme);
      const { el } = open(kernelWith()).view();
      if (ground !== null) el.style.setProperty("--jp-layout-color0", ground);
      await frame();
      const root = el.querySelector(".itw-root") as HTMLElement;
      const list = el.querySelector(".itw-tokens") as HTMLElement;
      const under = rgb(getComputedStyle(root).backgroundColor, [255, 255, 255]);
      for (const measure of ["itw-by-surprisal", "itw-by-entropy"]) {
        list.className = `itw-tokens ${measure}`;
        const plain = list.querySelector(".itw-token.itw-sampled") as HTMLElement;
        const faint = list.querySelector(".itw-token.itw-prompt") as HTMLElement;
        let before = Number.POSITIVE_INFINITY;
        for (let step = 0; step <= 40; step++) {
          for (const token of [plain, faint])
            token.style.setProperty("--itw-level", `${step / 40}`);
          const behind = rgb(getComputedStyle(plain).backgroundColor, under);
          for (const token of [plain, faint]) {
            const ink = rgb(getComputedStyle(token).color, behind);
            expect(contrast(ink, behind), `${measure} ${step}`).toBeGreaterThanOrEqual(4.5);
          }
          // One hue that only grows stronger can be read by everyone, and in print.
          const strength = theme === "light" ? luminance(behind) : -luminance(behind);
          expect(strength).toBeLessThan(before + ROUNDING);
          before = strength;
        }
      }
    },
  );
});

type Rgb = [number, number, number];

/** A computed colour as it comes out over another one. */
function rgb(colour: string, under: Rgb): Rgb {
  const canvas = new OffscreenCanvas(1, 1);
  const pen = canvas.getContext("2d") as OffscreenCanvasRenderingContext2D;
  pen.fillStyle = `rgb(${under.join(" ")})`;
  pen.fillRect(0, 0, 1, 1);
  pen.fillStyle = colour;
  pen.fillRect(0, 0, 1, 1);
  const [r = 0, g = 0, b = 0] = pen.getImageData(0, 0, 1, 1).data;
  return [r, g, b];
}

function luminance(colour: Rgb): number {
  const [r = 0, g = 0, b = 0] = colour.map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: Rgb, b: Rgb): number {
  const [low = 0, high = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}
