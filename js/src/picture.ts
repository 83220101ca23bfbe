// The coloured text as a picture. A module of its own, which the kernel or the page hands over when a picture
// is first wanted: every viewer carries the bundle, and few are asked for one.
//
// The text is laid out once more, out of sight and in full, and read off the page:
// so it breaks into lines, joins characters and runs from right to left as the browser has it.

import { valueAt } from "./colour";
import * as format from "./format";
import { ORIGINS } from "./protocol";
import type { Reading } from "./reading";

interface Picture {
  /** The text of an SVG file. */
  svg: string;
  width: number;
  height: number;
}

const WIDTH = 760;
const MARGIN = 16;
/** The room that the legend takes above the text. */
const LEGEND = 78;
/** Pixels of a bitmap for each of the picture. */
const SCALE = 2;
/** No browser draws a bitmap that is much higher. */
const MOST_PIXELS = 16_000;
const RAMP = 200;
const STOPS = 8;
const RIGHT_TO_LEFT = /[\u0590-\u08FF\uFB1D-\uFDFF\uFE70-\uFEFC]/;
/** What means something in XML or has no place in it, when control characters are marks. */
const NO_XML = /[&<>"\uFFFE\uFFFF]/g;

/** A stretch of text in one line. */
interface Fragment {
  words: string;
  box: DOMRect;
  /** Its attributes, beyond where it stands. */
  look: string;
}

/** How a picture is made: of the text of a view as it is coloured there, with a line about it. */
export type Draw = (list: HTMLElement, reading: Reading, about: string) => Blob | Promise<Blob>;

export const svgFile: Draw = (list, reading, about) => fileOf(pictureOf(list, reading, about));

export const pngFile: Draw = async (list, reading, about) => {
  const picture = pictureOf(list, reading, about);
  const { width, height } = picture;
  if (height > MOST_PIXELS) {
    throw new Error("The text is too long for a bitmap: save it as an SVG picture.");
  }
  const scale = Math.min(SCALE, MOST_PIXELS / height);
  const image = new Image(width, height);
  image.src = URL.createObjectURL(fileOf(picture));
  await image.decode();
  const canvas = new OffscreenCanvas(width * scale, height * scale);
  canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(image.src);
  return canvas.convertToBlob({ type: "image/png" });
};

function fileOf({ svg }: Picture): Blob {
  return new Blob([svg], { type: "image/svg+xml" });
}

function pictureOf(list: HTMLElement, reading: Reading, about: string): Picture {
  const copy = list.cloneNode(true) as HTMLElement;
  copy.classList.add("itw-picture");
  copy.style.inlineSize = `${WIDTH}px`;
  for (const part of copy.querySelectorAll(".itw-selected, .itw-ranged")) {
    part.classList.remove("itw-selected", "itw-ranged");
  }
  list.parentElement?.append(copy);
  try {
    return drawn(copy, reading, about);
  } finally {
    copy.remove();
  }
}

function drawn(copy: HTMLElement, reading: Reading, about: string): Picture {
  const { font, fontFamily, color } = getComputedStyle(copy);
  const paint = painter(getComputedStyle(copy.closest(".itw-root") ?? copy).backgroundColor);
  const frame = copy.getBoundingClientRect();
  const x = (left: number) => rounded(left - frame.left + MARGIN);
  const y = (top: number) => rounded(top - frame.top + LEGEND);
  const width = WIDTH + 2 * MARGIN;
  const height = Math.ceil(LEGEND + copy.scrollHeight + 2 * MARGIN);

  function boxes(): string {
    let shapes = "";
    for (const token of copy.querySelectorAll("[data-place]:not(.itw-next)")) {
      const style = getComputedStyle(token);
      const fill = paint(style.backgroundColor);
      const slice = token.matches(".itw-slice");
      const pin = paint(slice ? style.borderBlockEndColor : style.textDecorationColor);
      const dashed = token.matches(".itw-edited") ? ' stroke-dasharray="5 3"' : "";
      for (const { left, top, width, height, bottom } of token.getClientRects()) {
        shapes += rectangle(x(left), y(top), rounded(width), rounded(height), fill);
        if (!token.matches(".itw-forced, .itw-edited")) continue;
        const path = `M${x(left)} ${y(bottom)}h${rounded(width)}`;
        shapes += `<path d="${path}" stroke="${pin}" stroke-width="2.5"${dashed}/>`;
      }
    }
    return shapes;
  }

  const pen = penOf(font);
  function line(parts: readonly Fragment[]): string {
    const { fontBoundingBoxAscent: up, fontBoundingBoxDescent: down } = pen.measureText("x");
    // Marks are smaller than the text of their line.
    const { top, height } = parts.reduce(
      (a, b) => (a.box.height < b.box.height ? b : a),
      parts[0] as Fragment,
    ).box;
    const at = `y="${rounded(y(top) + (height * up) / (up + down))}"`;
    const text = parts.map(({ words }) => words).join("");
    if (!RIGHT_TO_LEFT.test(text)) {
      return `<text ${at}>${parts.map((part) => piece(part, ` x="${x(part.box.left)}"`)).join("")}</text>`;
    }
    // Whoever shows the picture puts the line in order, as a whole: its pieces depend on each other.
    const backwards = RIGHT_TO_LEFT.test(text.match(/\p{L}/u)?.[0] ?? "");
    const edge = backwards
      ? `${x(Math.max(...parts.map(({ box }) => box.right)))}" direction="rtl"`
      : `${x(Math.min(...parts.map(({ box }) => box.left)))}"`;
    return `<text ${at} x="${edge}>${parts.map((part) => piece(part)).join("")}</text>`;
  }

  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" xml:space="preserve"` +
    ` viewBox="0 0 ${width} ${height}" font-family="${escaped(fontFamily)}" font-size="16"` +
    ` fill="${paint(color)}"><title>${escaped(about)}</title>${rectangle(0, 0, width, height, paint("#0000"))}` +
    `${legend(reading, (name, share) => paint(tint(copy, name, share)))}${boxes()}` +
    `${linesOf(fragmentsOf(copy)).map(line).join("")}${label(MARGIN, height - MARGIN / 2, about)}</svg>`;
  return { svg, width, height };
}

function legend(
  { measure, scale }: Reading,
  colour: (name: string, share: number) => string,
): string {
  const { title, unit, hue } = measure;
  const name = label(MARGIN, MARGIN + 4, unit === "" ? title : `${title}, ${unit}`);
  if (hue === "origin") {
    const key = (origin: string, index: number) => {
      const x = MARGIN + 90 * index;
      return rectangle(x, 26, 12, 12, colour(`itw-${origin}`, 1)) + label(x + 17, 37, origin);
    };
    return name + ORIGINS.map(key).join("");
  }
  const shares = Array.from({ length: STOPS + 1 }, (_, stop) => stop / STOPS);
  const stops = shares.map(
    (share) => `<stop offset="${share}" stop-color="${colour("", share)}"/>`,
  );
  const numbers = [0, 0.5, 1].map((share) => {
    const number = format.short(valueAt(measure, scale, share));
    return label(MARGIN + share * RAMP, 50, number, "middle");
  });
  return (
    `<linearGradient id="itw-ramp">${stops.join("")}</linearGradient>${name}` +
    `${rectangle(MARGIN, 26, RAMP, 10, "url(#itw-ramp)")}${numbers.join("")}`
  );
}

/** The colour of a token at a share of the scale. */
function tint(copy: HTMLElement, name: string, share: number): string {
  const token = document.createElement("span");
  token.className = `itw-token ${name}`;
  token.style.cssText = `--itw-low: 0; --itw-span: 1; --itw-value: ${share}`;
  copy.append(token);
  const { backgroundColor } = getComputedStyle(token);
  token.remove();
  return backgroundColor;
}

function penOf(font: string): OffscreenCanvasRenderingContext2D {
  const pen = new OffscreenCanvas(1, 1).getContext("2d") as OffscreenCanvasRenderingContext2D;
  pen.font = font;
  return pen;
}

/** Gives a colour of the page as it comes out over the ground, in a notation that every program knows. */
function painter(ground: string): (colour: string) => string {
  const pen = penOf("");
  const known = new Map<string, string>();
  return (colour) => {
    let paint = known.get(colour);
    if (paint === undefined) {
      for (const layer of ["#fff", ground, colour]) {
        pen.fillStyle = layer;
        pen.fillRect(0, 0, 1, 1);
      }
      paint = `rgb(${pen.getImageData(0, 0, 1, 1).data.slice(0, 3).join()})`;
      known.set(colour, paint);
    }
    return paint;
  };
}

function fragmentsOf(copy: HTMLElement): Fragment[] {
  const fragments: Fragment[] = [];
  const walker = document.createTreeWalker(copy, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT);
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    if (node instanceof Element) {
      const mark =
        node.getAttribute("data-mark") ?? (node.matches(".itw-token:empty") ? "∅" : null);
      const look = ' font-size="13" opacity=".7"';
      if (mark !== null) fragments.push({ words: mark, box: node.getBoundingClientRect(), look });
    } else if (node.parentElement?.hasAttribute("data-mark") === false) {
      const { fontWeight } = getComputedStyle(node.parentElement);
      const look = fontWeight === "400" ? "" : ` font-weight="${fontWeight}"`;
      fragments.push(...broken(node as Text, look));
    }
  }
  return fragments;
}

/** The text of a node, cut where it goes on in another line. */
function broken(node: Text, look: string): Fragment[] {
  const range = document.createRange();
  range.selectNodeContents(node);
  const whole = range.getBoundingClientRect();
  if (range.getClientRects().length <= 1) return [{ words: node.data, box: whole, look }];
  const fragments: Fragment[] = [];
  let start = 0;
  for (const words of node.data) {
    range.setStart(node, start);
    start += words.length;
    range.setEnd(node, start);
    const box = range.getBoundingClientRect();
    const last = fragments.at(-1);
    if (last !== undefined && (box.width === 0 || besides(last.box, box))) {
      last.words += words;
      last.box = around(last.box, box);
    } else fragments.push({ words, box, look });
  }
  return fragments;
}

function around(a: DOMRect, b: DOMRect): DOMRect {
  if (b.width === 0) return a;
  const left = Math.min(a.left, b.left);
  return new DOMRect(left, a.top, Math.max(a.right, b.right) - left, a.height);
}

function linesOf(fragments: readonly Fragment[]): Fragment[][] {
  const lines: Fragment[][] = [];
  for (const one of fragments) {
    const line = lines.at(-1);
    if (line?.[0] !== undefined && besides(line[0].box, one.box)) line.push(one);
    else lines.push([one]);
  }
  return lines;
}

/** Whether a box stands in the line of another one. */
function besides(one: DOMRect, { top, height }: DOMRect): boolean {
  const middle = top + height / 2;
  return one.top <= middle && middle <= one.bottom;
}

function piece({ words, look }: Fragment, at = ""): string {
  return `<tspan${at}${look}>${escaped(words)}</tspan>`;
}

function label(x: number, y: number, words: string, anchor = "start"): string {
  return `<text x="${x}" y="${y}" font-size="12" text-anchor="${anchor}">${escaped(words)}</text>`;
}

function rectangle(x: number, y: number, width: number, height: number, fill: string): string {
  return `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="3" fill="${fill}"/>`;
}

function escaped(words: string): string {
  return words.replaceAll(NO_XML, (character) =>
    character > "\uFFFD" ? "\uFFFD" : `&#${character.charCodeAt(0)};`,
  );
}

function rounded(value: number): number {
  return Math.round(100 * value) / 100;
}
