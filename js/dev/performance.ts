// What goes on in the page while `js/dev/performance.mjs` measures.

import widget from "../src/index";
import { FakeKernel } from "../tests/fake_kernel";

declare global {
  interface Window {
    prepare: (kind: "paragraphs" | "one line" | "a thousand branches") => void;
    acts: Record<string, () => Promise<void>>;
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
const BRANCHES = 1000;
const STREAMED = 400;
const PER_SECOND = 200;
/** How often the kernel sends what is new, in milliseconds. */
const COALESCED = 40;

const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));

let kernel: FakeKernel;
let el: HTMLElement;

window.prepare = (kind) => {
  const line = kind === "paragraphs" ? [...WORDS, ".", "\n"] : [...WORDS, "."];
  kernel = new FakeKernel(["The"], line, 200);
  if (kind === "a thousand branches") branch();
  else while (kernel.rows.length < TOKENS) kernel.write(line);
  kernel.save();
  // What a kernel does to answer is not measured.
  kernel.answers = false;
};

/** Where a token has another after it already, one more is another branch. */
function branch(): void {
  kernel.write([...WORDS, ...WORDS]);
  for (let branch = 2; branch <= BRANCHES; branch++) {
    kernel.state.head = kernel.rows[2 + ((branch * 7919) % (kernel.rows.length - 2))]?.parent ?? 0;
    kernel.write(WORDS.slice(branch % 5));
  }
}

async function draw(): Promise<void> {
  const { signal } = new AbortController();
  const { initialize, render } = widget();
  const shared = { signal, model: kernel.model, experimental: {}, host: {} };
  el = document.createElement("div");
  document.body.append(el);
  initialize(shared as never);
  render({ ...shared, el } as never);
  for (let i = 0; i < 4; i++) await frame();
}

/** From the beginning to the end, where the text grows. */
async function scroll(): Promise<void> {
  const list = el.querySelector(".itw-tokens") as HTMLElement;
  for (let step = 0; step <= 60; step++) {
    list.scrollTop = (list.scrollHeight * step) / 60;
    await frame();
  }
}

async function stream(): Promise<void> {
  kernel.delta({ job: { id: 1, kind: "generate", made: 0, total: STREAMED, stopping: false } });
  const start = performance.now();
  for (let made = 0; made < STREAMED; ) {
    await new Promise((done) => setTimeout(done, COALESCED));
    const due = Math.floor(((performance.now() - start) * PER_SECOND) / 1000);
    const count = Math.min(STREAMED, due) - made;
    if (count > 0) kernel.tick(count);
    made += count;
  }
  await frame();
}

/** Ten clicks on tokens far from each other, each until its alternatives are there. */
async function select(): Promise<void> {
  const options = el.querySelectorAll<HTMLElement>(".itw-tokens [role=option]");
  const heading = () => el.querySelector(".itw-heading")?.textContent;
  for (let place = 500; place < TOKENS; place += TOKENS / 10) {
    const before = heading();
    options[place]?.click();
    while (heading() === before) await frame();
    while (el.querySelector(".itw-alternatives [role=option]") === null) await frame();
  }
}

/** From branch to branch by the keyboard. */
async function walk(): Promise<void> {
  const list = el.querySelector('[aria-label="Branches"]');
  for (const key of ["Home", ...Array(40).fill("ArrowDown"), "End"]) {
    list?.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    await frame();
  }
}

window.acts = { draw, scroll, stream, select, walk };
