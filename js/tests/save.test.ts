import { expect, onTestFinished, test, vi } from "vitest";
import { FakeKernel, type Piece } from "./fake_kernel";
import { show, tokens } from "./mount";

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
