import { expect, onTestFinished, test, vi } from "vitest";
import { FakeKernel, type Piece } from "./fake_kernel";
import { frame, show, tokens } from "./mount";

interface Saved {
  name: string;
  file: Blob;
}

/** Press a button of "Save as", and take the file in the browser's place. */
async function saved(shown: ReturnType<typeof show>, button: string): Promise<Saved> {
  const { el, screen } = shown;
  const files: Saved[] = [];
  const blobs = new Map<string, Blob>();
  const create = URL.createObjectURL;
  vi.spyOn(URL, "createObjectURL").mockImplementation((file) => {
    const url = create(file);
    blobs.set(url, file as Blob);
    return url;
  });
  function take(event: Event): void {
    const link = (event.target as Element).closest("a");
    if (link === null) return;
    event.preventDefault();
    files.push({ name: link.download, file: blobs.get(link.href) as Blob });
  }
  el.addEventListener("click", take);
  onTestFinished(() => el.removeEventListener("click", take));
  const details = el.querySelector<HTMLDetailsElement>(".itw-save");
  if (details?.open === false) await screen.getByText("Save as …").click();
  await screen.getByRole("button", { name: button }).click();
  await expect.poll(() => files).toHaveLength(1);
  return files[0] as Saved;
}

function kernelOf(prompt: Piece[], pieces: Piece[] = []): FakeKernel {
  const kernel = new FakeKernel(prompt, pieces);
  kernel.write(pieces);
  kernel.save();
  return kernel;
}

async function pictureOf(shown: ReturnType<typeof show>): Promise<Document> {
  const { file, name } = await saved(shown, "SVG picture");
  expect([name, file.type]).toEqual(["tokens.svg", "image/svg+xml"]);
  const picture = new DOMParser().parseFromString(await file.text(), "image/svg+xml");
  expect(picture.querySelector("parsererror")?.textContent).toBeUndefined();
  return picture;
}

/** The lines of the text, between the numbers of the legend and the line about it. */
function linesOf(picture: Document): string[] {
  const lines = [...picture.querySelectorAll("text:not([font-size])")];
  return lines.map((line) => line.textContent ?? "");
}

test("a picture holds the text as text, its colours, and the numbers that they stand for", async () => {
  const words = Array.from({ length: 40 }, (_, i) => ` number ${i}`);
  const shown = show(kernelOf(["The", " cat"], [...words, "\n", "End & <b>"]));
  await frame();
  const picture = await pictureOf(shown);
  const lines = linesOf(picture);
  expect(lines.length).toBeGreaterThan(2);
  expect(lines.join("").replace("⏎", "")).toBe(`The cat${words.join("")}End & <b>`);
  const fills = [...picture.querySelectorAll("rect[rx]")].map((rect) => rect.getAttribute("fill"));
  expect(fills.length).toBeGreaterThan(30);
  expect(new Set(fills).size).toBeGreaterThan(5);
  expect(fills.every((fill) => /^(rgb\(\d+,\d+,\d+\)|url\(#itw-ramp\))$/.test(fill ?? ""))).toBe(
    true,
  );
  const legend = [...picture.querySelectorAll("text[font-size]")].map((text) => text.textContent);
  expect(legend).toEqual(["surprisal, bits", "0", "6", "12", "fake"]);
  expect(shown.el.querySelector(".itw-picture")).toBeNull();
});

test("each piece of a line stands over its colour", async () => {
  const picture = await pictureOf(show(kernelOf(["The", " cat"], [" sat", " down"])));
  // The first two are the ground and the ramp of the legend.
  const boxes = [...picture.querySelectorAll("rect")].slice(2);
  const pieces = [...picture.querySelectorAll("tspan")];
  expect([boxes.length, pieces.length]).toEqual([4, 4]);
  for (const [index, piece] of pieces.entries()) {
    const box = boxes[index] as Element;
    expect(Number(piece.getAttribute("x"))).toBeCloseTo(Number(box.getAttribute("x")), 0);
    const [baseline, top] = [piece.parentElement?.getAttribute("y"), box.getAttribute("y")].map(
      Number,
    );
    expect(baseline).toBeGreaterThan(top as number);
    expect(baseline).toBeLessThan((top as number) + Number(box.getAttribute("height")));
  }
});

test("a picture survives every odd text", async () => {
  const emoji: Piece[] = [[0xf0], [0x9f], [0x98], [0x80]];
  const odd: Piece[] = [...emoji, "\u0007", "\u0000", [0x9f], [], "\uFFFF", "]]>", "<!--", "\t"];
  const shown = show(kernelOf(["a"], [...odd, "\n", " שלום", " עולם"]));
  const lines = linesOf(await pictureOf(shown));
  expect(lines[0]).toBe("a😀⟨U+0007⟩⟨U+0000⟩⟨9F⟩∅\uFFFD]]><!--⇥⏎");
  // One piece, so that whoever shows it can put it in order.
  expect(lines[1]).toBe(" שלום עולם");
});

test("a choice of colours is in the picture", async () => {
  const kernel = kernelOf(["The"], [" cat"]);
  kernel.append(kernel.idOf(" cat"), "forced");
  kernel.save();
  const shown = show(kernel);
  await shown.screen.getByLabelText("Colour by").selectOptions("origin");
  await frame();
  const picture = await pictureOf(shown);
  const legend = [...picture.querySelectorAll("text[font-size]")].map((text) => text.textContent);
  expect(legend).toEqual(["origin", "prompt", "sampled", "forced", "edited", "fake"]);
  expect(picture.querySelectorAll("path")).toHaveLength(1);
});

test("a bitmap is the picture at twice its size", async () => {
  const { name, file } = await saved(show(kernelOf(["The", " cat"], [" sat"])), "PNG picture");
  expect([name, file.type]).toEqual(["tokens.png", "image/png"]);
  const bitmap = await createImageBitmap(file);
  expect(bitmap.width).toBe(2 * 792);
});

test("what the kernel writes is handed on as it comes", async () => {
  const kernel = kernelOf(["The"], [" cat"]);
  const shown = show(kernel);
  for (const [button, format, name] of [
    ["HTML page", "html", "session.html"],
    ["Session file", "session", "session.itw.json"],
    ["CSV table", "csv", "tokens.csv"],
  ] as const) {
    const given = await saved(shown, button);
    expect(given.name).toBe(name);
    expect(await given.file.text()).toBe(`a file of the format ${format}`);
    vi.restoreAllMocks();
  }
});

test("a failure to write a file is told of, and nothing is saved", async () => {
  const kernel = kernelOf(["The"], [" cat"]);
  const { el, screen } = show(kernel);
  await screen.getByText("Save as …").click();
  kernel.answers = false;
  await screen.getByRole("button", { name: "CSV table" }).click();
  kernel.fail(kernel.model.last("export") as never, "There is no memory for a table.");
  await expect.element(screen.getByRole("alert")).toHaveTextContent("There is no memory");
  expect(el.querySelector("a")).toBeNull();
  expect(tokens(el).length).toBeGreaterThan(1);
});
