import axe from "axe-core";
import { expect, test } from "vitest";
import { open, wear } from "./mount";
import { reach, STATES } from "./states";

const NARROW = 400;
// Parts of a widget are no landmarks of the page it is in.
const rules = { region: { enabled: false }, "heading-order": { enabled: false } };

async function found(el: HTMLElement, options: axe.RunOptions): Promise<string[]> {
  const { violations } = await axe.run(el, options);
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html)}`);
}

test.each(Object.entries(STATES))("axe finds nothing in the state: %s", async (_, way) => {
  wear("light");
  const kernel = way.kernel();
  const { el } = open(kernel).view();
  await reach(way, { el, kernel });
  expect(await found(el, { rules })).toEqual([]);
  // All that another theme changes are colours.
  wear("dark");
  expect(await found(el, { runOnly: ["color-contrast"] })).toEqual([]);
  el.style.width = `${NARROW}px`;
  expect(el.scrollWidth).toBeLessThanOrEqual(NARROW);
});
