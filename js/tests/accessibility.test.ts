import axe from "axe-core";
import { describe, expect, test } from "vitest";
import { FakeKernel } from "./fake_kernel";
import { frame, open, pause, THEMES, wear } from "./mount";

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
    el.querySelector<HTMLElement>(".itw-next")?.click();
    await expect.poll(() => kernel.model.last("distribution")).toMatchObject({ parent: 9 });
    kernel.fail(kernel.model.last("distribution") as never, "The model is out of memory.");
    await frame();
  },
  "alternatives that are being read": async (el, kernel) => {
    kernel.answers = false;
    el.querySelector(".itw-alternatives")?.scrollTo(0, 5000);
    await expect.poll(() => el.textContent).toContain("is being read");
  },
  "stages open": async (el) => {
    el.querySelector<HTMLElement>(".itw-stages button")?.click();
    await expect.poll(() => el.querySelector(".itw-stage-table button")).not.toBeNull();
    el.querySelector<HTMLElement>(".itw-stage-table button")?.click();
  },
  "a text typed": async (el) => {
    const field = el.querySelector<HTMLInputElement>(".itw-force-text");
    if (field !== null) field.value = " sat ran";
    field?.dispatchEvent(new Event("input", { bubbles: true }));
    await expect.poll(() => el.querySelector(".itw-pieces")).not.toBeNull();
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
});
