import { describe, expect, test } from "vitest";
import { nameOf, piecesOf, runsOf, textOf } from "../src/text";
import { bytesOf } from "./encode";

const EMOJI = [[0xf0], [0x9f], [0x98], [0x80]].map(bytesOf);

function shown(bytes: Uint8Array): string {
  return runsOf(bytes)
    .map(({ text }) => text)
    .join("");
}

describe("pieces", () => {
  test("a character of four tokens is one piece that all four share", () => {
    const { pieces, clean } = piecesOf([bytesOf("a"), ...EMOJI, bytesOf("b")]);
    expect(pieces).toEqual([
      { kind: "text", text: "a", first: 0, last: 0 },
      { kind: "shared", text: "😀", first: 1, last: 4 },
      { kind: "text", text: "b", first: 5, last: 5 },
    ]);
    expect(clean).toEqual([true, true, false, false, false, true, true]);
  });

  test("a token can end one character and hold another", () => {
    const { pieces } = piecesOf([bytesOf([0x20, 0xc3]), bytesOf([0xa9, 0x21])]);
    expect(pieces.map(({ kind, text }) => [kind, text])).toEqual([
      ["text", " "],
      ["shared", "é"],
      ["text", "!"],
    ]);
  });

  test("the beginning of a character is shown as bytes and left open", () => {
    const { pieces, clean } = piecesOf([bytesOf("a"), ...EMOJI.slice(0, 2)]);
    expect(pieces.slice(1).map(({ kind, byte }) => [kind, byte])).toEqual([
      ["byte", 0xf0],
      ["byte", 0x9f],
    ]);
    expect(clean.at(-1)).toBe(false);
  });

  test.each([
    ["a lone continuation byte", [0x9f], "\uFFFD"],
    ["an overlong form", [0xe0, 0x80, 0x80], "\uFFFD\uFFFD\uFFFD"],
    ["a surrogate", [0xed, 0xa0, 0x80], "\uFFFD\uFFFD\uFFFD"],
    ["a cut character before another", [0xf0, 0x9f, 0x98, 0x61], "\uFFFDa"],
    ["what lies beyond Unicode", [0xf4, 0x90, 0x80, 0x80], "\uFFFD\uFFFD\uFFFD\uFFFD"],
    ["a byte that never occurs", [0x61, 0xff, 0x62], "a\uFFFDb"],
  ])("%s reads as the browser's own decoder reads it", (_, bytes, text) => {
    expect(textOf([bytesOf(bytes)])).toBe(text);
    expect(textOf(bytes.map((byte) => bytesOf([byte])))).toBe(text);
    expect(new TextDecoder().decode(bytesOf(bytes))).toBe(text);
  });

  test("any bytes in any cut give the text of the browser's own decoder", () => {
    let seed = 1;
    const random = (limit: number) => {
      seed = (seed * 48271) % 2147483647;
      return seed % limit;
    };
    const some = [0x41, 0x20, 0x80, 0x9f, 0xa0, 0xc3, 0xe2, 0xed, 0xf0, 0xf4, 0xff, 0x0a];
    for (let round = 0; round < 500; round++) {
      const bytes = Array.from({ length: random(12) }, () => some[random(some.length)] as number);
      const tokens: Uint8Array[] = [];
      for (let start = 0; start < bytes.length; ) {
        const stop = start + random(4);
        tokens.push(bytesOf(bytes.slice(start, stop)));
        start = stop;
      }
      expect(textOf(tokens)).toBe(
        new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytesOf(bytes)),
      );
    }
  });
});

describe("one token by itself", () => {
  test.each([
    [" cat", "·cat"],
    ["\n\t", "⏎⇥"],
    ["\u0007", "⟨U+0007⟩"],
    ["\u202Eabc", "⟨U+202E⟩abc"],
    ["\u00A0", "⟨U+00A0⟩"],
    ["\u200D", "⟨U+200D⟩"],
    ["<script>", "<script>"],
  ])("%j is shown as %s", (text, mark) => {
    expect(shown(bytesOf(text))).toBe(mark);
  });

  test("a byte that is no character is shown by its number, no byte at all by a word", () => {
    expect(shown(bytesOf([0x9f]))).toBe("⟨9F⟩");
    expect(shown(bytesOf(""))).toBe("empty");
  });

  test("its name keeps spaces as they are", () => {
    expect(nameOf(bytesOf(" a cat\n"))).toBe(" a cat⏎");
  });
});
