// What `js/dev/performance.mjs` measures in the page.

import widget from "../src/index";
import { FakeKernel } from "../tests/fake_kernel";

type Figure = [what: string, value: number, limit: number, unit: string];

declare global {
  interface Window {
    prepare: (kind: "paragraphs" | "one line") => void;
    draw: () => Promise<Figure[]>;
    measure: () => Promise<Figure[]>;
  }
}

const TOKENS = 10_000;
const WORDS = [
  " how",
  " much",
  " it",
  " high",
  "lights",
  " cultural",
  " nu",
  "ances",
  " and",
  " so",
];
const STREAMED = 400;
const PER_SECOND = 200;
/** How often the kernel sends what is new, in milliseconds. */
const COALESCED = 40;
const FRAME_LIMIT = 50;

const frame = () => new Promise<number>((done) => requestAnimationFrame(done));
const drawn = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
const wait = (time: number) => new Promise((done) => setTimeout(done, time));

let kernel: FakeKernel;
let el: HTMLElement;

window.prepare = (kind) => {
  const line = kind === "paragraphs" ? [...WORDS, ".", "\n"] : [...WORDS, "."];
  kernel = new FakeKernel(["The"], line, 200);
  while (kernel.rows.length < TOKENS) kernel.write(line);
  kernel.save();
};

window.draw = async () => {
  const { signal } = new AbortController();
  const { initialize, render } = widget();
  const shared = { signal, model: kernel.model, experimental: {}, host: {} };
  el = document.createElement("div");
  document.body.append(el);
  // What the kernel does to answer is not measured.
  kernel.answers = false;
  const start = performance.now();
  initialize(shared as never);
  render({ ...shared, el } as never);
  await drawn();
  await drawn();
  const took = performance.now() - start;
  kernel.answers = true;
  return [[`first drawing of ${TOKENS} tokens`, took, 500, "ms"]];
};

/** The longest time between two frames while something goes on. */
async function longest(what: string, action: () => Promise<void>): Promise<Figure> {
  let worst = 0;
  let running = true;
  let last = await frame();
  const watch = (now: number) => {
    worst = Math.max(worst, now - last);
    last = now;
    if (running) requestAnimationFrame(watch);
  };
  requestAnimationFrame(watch);
  await action();
  await drawn();
  running = false;
  return [`longest frame, ${what}`, worst, FRAME_LIMIT, "ms"];
}

async function stream(): Promise<void> {
  kernel.delta({ job: { id: 1, kind: "generate", made: 0, total: STREAMED, stopping: false } });
  const start = performance.now();
  for (let made = 0; made < STREAMED; ) {
    await wait(COALESCED);
    const due = Math.floor(((performance.now() - start) * PER_SECOND) / 1000);
    const count = Math.min(STREAMED, due) - made;
    if (count > 0) kernel.tick(count);
    made += count;
  }
}

/** The longest time from a click on a token to its alternatives. */
async function toAlternatives(options: ArrayLike<HTMLElement>): Promise<Figure> {
  let worst = 0;
  for (let place = 500; place < options.length; place += 1000) {
    const heading = () => el.querySelector(".itw-heading")?.textContent;
    const before = heading();
    const start = performance.now();
    options[place]?.click();
    while (heading() === before) await frame();
    while (el.querySelector(".itw-alternatives [role=option]") === null) await frame();
    worst = Math.max(worst, performance.now() - start);
  }
  return ["click to alternatives", worst, 100, "ms"];
}

window.measure = async () => {
  const list = el.querySelector(".itw-tokens") as HTMLElement;
  const options = el.querySelectorAll<HTMLElement>(".itw-tokens [role=option]");
  list.scrollTop = list.scrollHeight;
  await drawn();
  return [
    await longest(`${PER_SECOND} tokens a second`, stream),
    await longest("scrolling", async () => {
      for (let step = 0; step <= 60; step++) {
        list.scrollTop = (list.scrollHeight * step) / 60;
        await frame();
      }
    }),
    await longest("selecting", async () => {
      for (let place = 0; place < options.length; place += 1000) {
        options[place]?.click();
        await drawn();
      }
    }),
    await toAlternatives(options),
  ];
};
