// A page that shows the widget with a made-up kernel, for work on its look: `node js/dev/screenshots.mjs`.

import widget from "../src/index";
import { FakeKernel, type Piece } from "../tests/fake_kernel";

const PROMPT = ["The", " most", " surprising", " thing", " about", " language", " is"];
const TEXT: Piece[] = [
  " how",
  " much",
  " it",
  " highlights",
  " cultural",
  " nuances",
  " and",
  " social",
  " contexts",
  ".",
  " What",
  " seems",
  " like",
  " a",
  " straightforward",
  " language",
  " to",
  " non",
  "-",
  "exper",
  "ts",
  " can",
  " have",
  " complex",
  " uses",
  " and",
  " uses",
  " to",
  " those",
  " with",
  " special",
  " regard",
  ".",
  "\n",
  "\n",
  "As",
  " a",
  " linguistic",
  " anthropologist",
  ",",
  " my",
  " work",
];
const STRANGE: Piece[] = [
  " ",
  [0xf0],
  [0x9f],
  [0x98],
  [0x80],
  " and",
  " שלום",
  " עולם",
  "\n",
  "<script>",
  "\t",
  "‮abc",
  [0x9f],
  [],
  "\u0007",
  "\n",
  "{\n",
  "    return",
  " 1;",
  "\n",
  "}",
];

declare global {
  interface Window {
    show: (name: string) => Promise<void>;
    kernel: FakeKernel;
  }
}

const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 30)));

function kernelFor(name: string): FakeKernel {
  if (name === "empty") return new FakeKernel([]);
  const kernel = new FakeKernel(PROMPT, [...new Set([...TEXT, ...STRANGE])], 3000);
  if (name === "prompt") return kernel;
  if (name === "stages") {
    kernel.intervene = (logProbs) => logProbs.map((x, id) => x + (id % 5 === 0 ? 1 : 0));
  }
  kernel.write(TEXT.slice(0, 30));
  const first = kernel.state.head;
  kernel.state.head = 9;
  kernel.write([" highlights"], "forced");
  kernel.write(TEXT.slice(4));
  const main = kernel.state.head;
  kernel.state.head = 40;
  kernel.write([" special"], "forced");
  kernel.write(TEXT.slice(20, 30));
  kernel.state.head = first;
  kernel.write([" with", " uses"]);
  kernel.state.head = main;
  if (name === "strange") kernel.write(STRANGE);
  if (name === "long") for (let i = 0; i < 60; i++) kernel.write(TEXT);
  kernel.state.can_undo = true;
  kernel.state.selected = name === "plain" ? null : 40;
  if (name === "read-only") {
    kernel.state.read_only =
      "This session was saved from another model: it can be read, and nothing can be added to it.";
  }
  return kernel;
}

window.show = async (name) => {
  document.body.replaceChildren();
  const kernel = kernelFor(name);
  kernel.save();
  window.kernel = kernel;
  const { signal } = new AbortController();
  const { initialize, render } = widget();
  const shared = { signal, model: kernel.model, experimental: {}, host: {} };
  initialize(shared as never);
  const el = document.createElement("div");
  document.body.append(el);
  render({ ...shared, el } as never);
  await frame();
  if (name === "busy") {
    kernel.model.emit({ kind: "nothing" });
    document.querySelector<HTMLElement>(".itw-button-primary")?.click();
    await frame();
    kernel.tick(12);
  }
  if (name === "error") {
    kernel.delta({
      notice: {
        id: 1,
        type: "ValueError",
        message: "The prompt has 9,120 tokens, and the model reads at most 8,192. Shorten it.",
      },
    });
    kernel.answers = false;
    document.querySelector<HTMLElement>(".itw-button-primary")?.click();
    await new Promise((done) => setTimeout(done, 1700));
  }
  if (name === "sampling") document.querySelector<HTMLElement>(".itw-disclosure")?.click();
  if (name === "next") {
    const tokens = document.querySelector<HTMLElement>(".itw-tokens");
    tokens?.focus();
    tokens?.dispatchEvent(new KeyboardEvent("keydown", { key: "End", bubbles: true }));
  }
  if (name === "stages") {
    document.querySelector<HTMLElement>(".itw-stages button")?.click();
    await frame();
    await frame();
    document.querySelectorAll<HTMLElement>(".itw-stage-table button")[1]?.click();
    document.querySelector<HTMLElement>('[aria-label="Order by s"]')?.click();
    await new Promise((done) => setTimeout(done, 400));
  }
  if (name === "typed") {
    const field = document.querySelector<HTMLInputElement>(".itw-force-text");
    if (field !== null) {
      field.value = "exper language is<script>";
      field.dispatchEvent(new InputEvent("input", { bubbles: true }));
    }
    await new Promise((done) => setTimeout(done, 400));
  }
  if (name === "deep") {
    const list = document.querySelector<HTMLElement>(".itw-alternatives");
    list?.scrollTo(0, 26 * 1234);
    await new Promise((done) => setTimeout(done, 400));
  }
  if (name === "search") {
    const field = document.querySelector<HTMLInputElement>(".itw-search");
    if (field !== null) {
      field.value = "l";
      field.dispatchEvent(new InputEvent("input", { bubbles: true }));
    }
    await new Promise((done) => setTimeout(done, 400));
    document.querySelectorAll<HTMLElement>(".itw-alternative")[2]?.click();
  }
  await frame();
  await frame();
};
