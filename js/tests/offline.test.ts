import { expect, onTestFinished, test, vi } from "vitest";
import { OFFLINE_MS } from "../src/connection";
import { FakeKernel } from "./fake_kernel";
import { frame, namesIn, show, tokens } from "./mount";

const SAVED = "No kernel answers. This is what was saved; what needs the model waits for a kernel.";
const REASON = "No kernel answers, and this needs the model.";

function savedKernel(): FakeKernel {
  const kernel = new FakeKernel(["The", " cat"], [" sat", " ran", " down"]);
  kernel.write([" sat", " down"]);
  kernel.state.head = 1;
  kernel.write([" ran"], "forced");
  kernel.save();
  kernel.answers = false;
  return kernel;
}

/** A view, and so much time gone by as a page waits for a kernel. */
function shownLong(kernel: FakeKernel, meanwhile = () => {}) {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const shown = show(kernel);
  meanwhile();
  vi.advanceTimersByTime(OFFLINE_MS);
  vi.useRealTimers();
  return shown;
}

async function shownWithout(kernel: FakeKernel) {
  const shown = shownLong(kernel);
  await expect.element(shown.screen.getByText(SAVED)).toBeVisible();
  return shown;
}

test("without a kernel everything that was saved can be read, and no more is asked for", async () => {
  const kernel = savedKernel();
  const { el, screen } = await shownWithout(kernel);
  expect(el.querySelector(".itw-alert")).toBeNull();

  await screen.getByRole("option", { name: /^" ran"/ }).click();
  await expect.poll(() => namesIn(el, "Alternatives").length).toBeGreaterThanOrEqual(12);
  await screen.getByLabelText("Search vocabulary").fill("down");
  await expect.element(screen.getByText(/only the 50 most probable/)).toBeVisible();

  await screen.getByRole("option", { name: /^Branch 1/ }).click();
  await expect
    .poll(() =>
      tokens(el)
        .map((token) => token.textContent)
        .join(""),
    )
    .toBe("The cat sat down");
  expect(kernel.model.last("distribution")).toBeUndefined();
  expect(el.textContent).not.toContain("does not answer");
});

test("without a kernel what needs the model is refused with the reason", async () => {
  const kernel = savedKernel();
  const { screen } = await shownWithout(kernel);
  await screen.getByRole("option", { name: /^" ran"/ }).click();
  for (const name of ["Generate", "Force", "Regenerate from here"]) {
    const button = screen.getByRole("button", { name, exact: true });
    await expect.element(button).toHaveAttribute("aria-disabled", "true");
    await expect.element(button).toHaveAttribute("title", REASON);
    await button.click({ force: true });
  }
  for (const name of ["Rename", "Hide"]) {
    const button = screen.getByRole("button", { name, exact: true });
    await expect
      .element(button)
      .toHaveAttribute("title", expect.stringMatching(/kernel that keeps names/));
    await button.click({ force: true });
  }
  expect(kernel.model.sent.map(({ kind }) => kind)).toEqual(["snapshot", "select"]);
});

test("a kernel that comes back makes the page live again, as the kernel has it", async () => {
  const kernel = savedKernel();
  const { el, screen } = await shownWithout(kernel);
  await screen.getByRole("option", { name: /^Branch 1/ }).click();
  await expect.poll(() => tokens(el)).toHaveLength(5);
  // Meanwhile a cell has gone on with the second branch.
  kernel.answers = true;
  kernel.write([" down"]);
  kernel.delta();
  await expect
    .poll(() =>
      tokens(el)
        .map((token) => token.textContent)
        .join(""),
    )
    .toBe("The cat ran down");
  expect(el.textContent).not.toContain(SAVED);
  await screen.getByRole("button", { name: "Generate" }).click();
  await frame();
  expect(kernel.state.job).not.toBeNull();
});

test("a kernel that streams is there, even if it answers nothing", async () => {
  const kernel = savedKernel();
  const { el } = shownLong(kernel, () => kernel.delta());
  await frame();
  expect(el.textContent).not.toContain(SAVED);
});
