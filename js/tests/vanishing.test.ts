// Where the keyboard is when the button that it has pressed is gone.

import { expect, test } from "vitest";
import { userEvent } from "vitest/browser";
import { FakeKernel } from "./fake_kernel";
import { show } from "./mount";

function kernelWith(): FakeKernel {
  const kernel = new FakeKernel(["The", " cat"], [" sat", " down"], 3000);
  kernel.write([" sat", " down"]);
  kernel.state.selected = 3;
  kernel.save();
  return kernel;
}

type Screen = ReturnType<typeof show>["screen"];

async function press(screen: Screen, name: string): Promise<void> {
  const button = screen.getByRole("button", { name, exact: true });
  await expect.element(button).toBeVisible();
  (button.element() as HTMLElement).focus();
  await userEvent.keyboard("{Enter}");
  await expect.element(button).not.toBeInTheDocument();
}

test("after Try again it is in the part that is read again", async () => {
  const kernel = kernelWith();
  const { el, screen } = show(kernel);
  kernel.answers = false;
  el.querySelector('[aria-label="Alternatives"]')?.scrollTo(0, 26 * 1000);
  await expect.poll(() => kernel.model.last("distribution")).toBeDefined();
  kernel.fail(kernel.model.last("distribution") as never, "The model is out of memory.");
  await press(screen, "Try again");
  const panel = screen.getByRole("region", { name: "Selected token" });
  await expect.element(panel).toHaveFocus();
  // The part is no stop of its own on the way of the Tab key.
  await userEvent.keyboard("{Tab}");
  expect(panel.element().contains(document.activeElement)).toBe(true);
  await expect.element(panel).not.toHaveAttribute("tabindex");
});

test("after Dismiss it is in the widget", async () => {
  const kernel = kernelWith();
  const { el, screen } = show(kernel);
  kernel.delta({ notice: { id: 7, type: "ValueError", message: "The prompt is too long." } });
  await press(screen, "Dismiss");
  expect(document.activeElement?.className).toBe("itw-root");
  expect(el.contains(document.activeElement)).toBe(true);
});

test("a part of a list that could not be read is asked for again, whatever else was read", async () => {
  const kernel = kernelWith();
  const { el, screen } = show(kernel);
  kernel.answers = false;
  const asked = () => kernel.model.sent.filter(({ kind }) => kind === "distribution");
  // Rows 95 to 113 or so are of two windows.
  el.querySelector('[aria-label="Alternatives"]')?.scrollTo(0, 26 * 100);
  const starts = () => asked().map(({ offset }) => offset);
  await expect.poll(starts).toEqual(expect.arrayContaining([0, 100]));
  const [first, second] = [0, 100].map((start) => asked().find(({ offset }) => offset === start));
  kernel.fail(first as never, "The model is out of memory.");
  kernel.answers = true;
  kernel.model.onSend(second as never);
  await expect.element(screen.getByText("reading from the model failed")).toBeVisible();
  await press(screen, "Try again");
  await expect.element(screen.getByText(/tokens; the first \d+ hold/)).toBeVisible();
  expect(starts().filter((start) => start === 0)).toHaveLength(2);
});
