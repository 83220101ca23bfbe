// Token texts that would be markup, code, control or nonsense elsewhere: here they are text.

import { afterEach, beforeEach, expect, test } from "vitest";
import { userEvent } from "vitest/browser";
import HOSTILE from "../../tests/fixtures/hostile.json";
import { nameOf, textOf } from "../src/text";
import { bytesOf } from "./encode";
import { FakeKernel, type Piece } from "./fake_kernel";
import { copied, frame, namesIn, pause, show, tokens } from "./mount";

declare global {
  interface Window {
    itwRan: () => void;
  }
}

const PIECES: Piece[] = HOSTILE;
const BYTES = PIECES.map(bytesOf);
/** Long enough for a picture to fail and for a frame to load. */
const SETTLED_MS = 100;

let ran: string[];

beforeEach(() => {
  ran = [];
  window.itwRan = () => ran.push("itwRan");
  window.alert = () => ran.push("alert");
});

afterEach(() => {
  expect(ran).toEqual([]);
});

/** What the page is made of: elements by their names, and which attributes they have. */
function made(el: Element): Set<string> {
  const all = [...el.querySelectorAll("*")];
  return new Set(all.flatMap(({ tagName, attributes }) => [tagName, ...namesOf(attributes)]));
}

function namesOf(attributes: NamedNodeMap): string[] {
  return [...attributes].map(({ name }) => `[${name}]`);
}

/** A viewer with these tokens in the text, in the alternatives, and at the head of branches. */
function kernelWith(pieces: Piece[]): FakeKernel {
  const kernel = new FakeKernel(["The", " cat"], pieces, pieces.length + 3);
  kernel.write(pieces);
  const { head } = kernel.state;
  for (const piece of pieces.slice(0, 40)) {
    kernel.state.head = 1;
    kernel.write([piece, piece], "forced");
  }
  kernel.state.head = head;
  kernel.state.selected = 2;
  kernel.save();
  return kernel;
}

/** Walk through the alternatives, of which the page holds those in sight, and point at a token. */
async function everything(el: Element, look: () => void = () => {}): Promise<void> {
  await frame();
  const list = el.querySelector('[aria-label="Alternatives"]') as HTMLElement;
  for (let seen = 0; seen < list.scrollHeight; seen += list.clientHeight) {
    list.scrollTop = seen;
    await frame();
    await expect.poll(() => list.textContent).not.toContain("is being read");
    look();
  }
  // The pointer may rest there from the test before, and then does not come.
  await userEvent.hover(list);
  await userEvent.hover(tokens(el)[5] as HTMLElement);
  await expect.poll(() => el.querySelector("[role=tooltip]")).not.toBeNull();
  await pause(SETTLED_MS);
  look();
}

test("no token becomes an element or an attribute, and none runs", async () => {
  const tame = show(kernelWith(PIECES.map((_, index) => `\u0007\n ${index}`)));
  const known: string[] = [];
  await everything(tame.el, () => known.push(...made(tame.el)));
  tame.close();
  const { el } = show(kernelWith(PIECES));
  const found: string[] = [];
  await everything(el, () => found.push(...made(el)));
  expect([...new Set(found)].filter((name) => !known.includes(name))).toEqual([]);
  expect(tokens(el)).toHaveLength(PIECES.length + 3);
});

test("the text is the tokens' bytes, on the page and in a copy of it", async () => {
  const { el } = show(kernelWith(PIECES));
  await frame();
  const text = textOf([bytesOf("The cat"), ...BYTES]);
  expect(copied(el).clipboard).toBe(text);
  expect(text).toBe(decoded([bytesOf("The cat"), ...BYTES]));
});

test("each token is named by its text, and none by that of another", async () => {
  const { el } = show(kernelWith(PIECES));
  const listed = new Set<string>();
  await everything(el, () => {
    for (const name of namesIn(el, "Alternatives")) listed.add(name);
  });
  const names = namesIn(el, "Tokens");
  for (const [index, bytes] of BYTES.entries()) {
    expect(names[index + 2]?.startsWith(`"${nameOf(bytes)}", `)).toBe(true);
  }
  const alternatives = [...listed].join("\n");
  for (const bytes of BYTES) expect(alternatives).toContain(`"${nameOf(bytes)}"`);
});

test.each(PIECES.filter((piece) => typeof piece === "string").map((piece) => [piece]))(
  "what the kernel says of %j is read as it stands",
  async (text) => {
    const kernel = new FakeKernel(["The"]);
    const { model } = kernel.state;
    kernel.measures = [{ name: text, unit: text, title: text, limit: 4 }];
    kernel.state = { ...kernel.state, prompt: text, model: { ...model, name: text } };
    kernel.save();
    const { el } = show(kernel);
    kernel.delta({ notice: { id: 1, type: text, message: `!${text}!` }, read_only: `!${text}!` });
    await frame();
    expect(el.querySelector('[role="alert"] p')?.textContent).toBe(`!${text}!`);
    expect(el.querySelector('[role="note"]')?.textContent).toBe(`!${text}!`);
    expect(el.querySelector("script, img, svg script, iframe, [onerror], [onload]")).toBeNull();
  },
);

function decoded(pieces: Uint8Array[]): string {
  const all = pieces.flatMap((bytes) => [...bytes]);
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(new Uint8Array(all));
}
