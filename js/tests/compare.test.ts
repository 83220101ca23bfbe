import { expect, test } from "vitest";
import { userEvent } from "vitest/browser";
import { FakeKernel } from "./fake_kernel";
import { selectedToken, show } from "./mount";

/** Three branches: of the second every token is another, the third has the first one's last again. */
function kernelWith(length = 3): FakeKernel {
  const kernel = new FakeKernel(["The", " cat"], [" sat", " down", " on", " ran", " off", "!"]);
  for (const text of [
    [" sat", " down", " on"],
    [" ran", " off", "!"],
    [" off", "!", " on"],
  ]) {
    kernel.state.head = 1;
    kernel.write([...text, ...Array(length - 3).fill("!")]);
  }
  kernel.save();
  return kernel;
}

function tableOf(el: Element, name = "Aligned tokens"): string[][] {
  const rows = el.querySelectorAll<HTMLTableRowElement>(`[aria-label="${name}"] tbody tr`);
  return [...rows].map((row) => [...row.cells].map(({ textContent }) => textContent.trim()));
}

async function opened(kernel: FakeKernel) {
  const shown = show(kernel);
  await shown.screen.getByRole("button", { name: "Compare branches" }).click();
  return shown;
}

test("the branch that is shown stands beside the one that it parted from, difference by difference", async () => {
  const kernel = kernelWith();
  const { el, screen } = await opened(kernel);
  await expect.poll(() => tableOf(el)[0]?.at(-1)).toBe("0.50");
  expect(kernel.model.last("compare")).toMatchObject({ tips: [4, 10] });
  await expect.element(screen.getByText(/^They share 2 tokens and part at 2; /)).toBeVisible();
  const bits = (row: number) => kernel.rows[row]?.surprisal ?? Number.NaN;
  for (const [index, line] of tableOf(el).entries()) {
    const [first, other] = [2 + index, 8 + index];
    const difference = bits(other) - bits(first);
    const signed = `${difference < 0 ? "−" : "+"}${Math.abs(difference).toFixed(2)}`;
    expect(line[2]).toBe(bits(first).toFixed(2));
    expect(line.slice(4)).toEqual([bits(other).toFixed(2), signed, "0.50"]);
  }
  expect(tableOf(el).map(([at]) => at)).toEqual(["2 part", "3", "4 meet"]);
});

test("totals are those of the tokens after the shared ones", async () => {
  const kernel = kernelWith();
  const { el } = await opened(kernel);
  const name = "Totals from where they part";
  await expect.poll(() => tableOf(el, name)).toHaveLength(2);
  for (const [branch, rows] of [
    [2, 3, 4],
    [8, 9, 10],
  ].entries()) {
    const bits = rows.reduce((sum, row) => sum + (kernel.rows[row]?.surprisal ?? 0), 0);
    const bytes = rows.reduce((sum, row) => {
      return sum + (kernel.vocabulary[kernel.rows[row]?.token_id ?? 0]?.length ?? 0);
    }, 0);
    const [, tokens, total, perByte] = tableOf(el, name)[branch] ?? [];
    expect([tokens, total]).toEqual(["3", bits.toFixed(2)]);
    expect(Number(perByte)).toBeCloseTo(bits / bytes, 1);
  }
});

test("branches are chosen, two to six", async () => {
  const kernel = kernelWith();
  const { el, screen } = await opened(kernel);
  await screen.getByRole("checkbox", { name: "Branch 2" }).click();
  await expect.poll(() => kernel.model.last("compare")).toMatchObject({ tips: [4, 10, 7] });
  await expect.poll(() => tableOf(el)[0]).toHaveLength(11);
  await screen.getByRole("checkbox", { name: "Branch 2" }).click();
  await screen.getByRole("checkbox", { name: "Branch 3" }).click();
  await expect.poll(() => tableOf(el)).toHaveLength(0);
});

test("the alignment is shown at once, and divergences when the model has them", async () => {
  const kernel = kernelWith();
  const { el, screen } = await opened(kernel);
  await expect.poll(() => tableOf(el)).toHaveLength(3);
  const { onSend } = kernel.model;
  kernel.model.onSend = (message) => message.kind !== "divergences" && onSend(message);
  await screen.getByRole("checkbox", { name: "Branch 2" }).click();
  await expect.element(screen.getByText("KL: asking the kernel …")).toBeVisible();
  expect(tableOf(el)[0]?.at(-1)).toBe("…");
  // What is not wanted any more is given up.
  await screen.getByRole("button", { name: "Compare branches" }).click();
  const asked = kernel.model.last("divergences");
  await expect.poll(() => kernel.model.last("divergences-cancel")?.id).toBe(asked?.id);
});

test("a token is shown in its branch, by click and by keys", async () => {
  const kernel = kernelWith();
  const { el, screen } = await opened(kernel);
  await screen.getByRole("button", { name: '" down" in Branch 1' }).click();
  expect(kernel.model.last("switch")).toMatchObject({ row: 4 });
  await expect.poll(() => selectedToken(el)).toContain('" down"');
  await userEvent.keyboard("{ArrowRight}{ArrowDown}{Enter}");
  await expect.poll(() => kernel.model.last("switch")).toMatchObject({ row: 10 });
  await expect.poll(() => selectedToken(el)).toContain('" on"');
});

test("a long comparison is drawn a hundred lines at a time", async () => {
  const kernel = kernelWith(260);
  const { el, screen } = await opened(kernel);
  await expect.poll(() => tableOf(el)).toHaveLength(100);
  const more = screen.getByRole("button", { name: "Show more of 260 lines" });
  await more.click();
  expect(tableOf(el)).toHaveLength(200);
  (more.element() as HTMLElement).focus();
  await userEvent.keyboard("{Enter}");
  expect(tableOf(el)).toHaveLength(260);
  // The button is gone, and the keyboard goes on in the lines that it brought.
  expect(document.activeElement?.closest("tr")?.rowIndex).toBe(2 + 200);
});

test("branches that part at the first token part at 0", async () => {
  const kernel = kernelWith();
  kernel.state.head = -1;
  kernel.write([" sat", " down"], "prompt");
  kernel.save();
  const { el } = await opened(kernel);
  await expect.poll(() => tableOf(el)[0]?.[0]).toBe("0 part");
});

test("of many branches some are offered, and the others are found", async () => {
  const kernel = new FakeKernel(["The", " cat"], [" sat", " down"]);
  for (let branch = 1; branch <= 1000; branch++) {
    kernel.state.head = 1;
    kernel.write([" sat", " down"]);
  }
  const start = (branch: number) => 2 * branch;
  const label = { name: null, colour: null, hidden: true };
  kernel.state.labels = [{ start: start(3), ...label }];
  kernel.save();
  const { screen } = await opened(kernel);
  const offered = () =>
    screen
      .getByRole("region", { name: "Compare" })
      .getByRole("checkbox")
      .elements()
      .map((box) => (box as HTMLInputElement).labels?.[0]?.textContent?.trim());
  // The first twenty that are not hidden, and that which is shown.
  await expect.poll(() => offered()).toHaveLength(21);
  expect(offered()).not.toContain("Branch 3");
  await expect.element(screen.getByText("20 of 999 branches")).toBeVisible();
  await screen.getByRole("searchbox", { name: "Find a branch to compare" }).fill("branch 777");
  await expect.poll(() => offered()).toEqual(["Branch 1", "Branch 777", "Branch 1000"]);
  await screen.getByRole("checkbox", { name: "Branch 777" }).click();
  await expect
    .poll(() => kernel.model.last("compare"))
    .toMatchObject({ tips: [3, 2001, start(777) + 1] });
  // What is given up can be chosen again, and keeps the focus.
  const first = screen.getByRole("checkbox", { name: "Branch 1", exact: true });
  await first.click();
  await expect.element(first).toHaveFocus();
});

test("another session is compared anew", async () => {
  const kernel = kernelWith();
  const { screen } = await opened(kernel);
  await screen.getByRole("checkbox", { name: "Branch 2" }).click();
  await expect.element(screen.getByRole("checkbox", { name: "Branch 2" })).toBeChecked();
  kernel.restart("second", ["A", " dog"]);
  for (const piece of [" sat", " down", " on"]) {
    kernel.state.head = 1;
    kernel.write([piece]);
  }
  kernel.delta();
  await expect.element(screen.getByRole("checkbox", { name: "Branch 2" })).not.toBeChecked();
  await expect.element(screen.getByRole("checkbox", { name: "Branch 3" })).toBeChecked();
});
