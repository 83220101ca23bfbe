// A page that shows the widget with a made-up kernel, for work on its look: `node js/dev/screenshots.mjs`.

import widget from "../src/index";
import type { FakeKernel } from "../tests/fake_kernel";
import { reach, STATES } from "../tests/states";

declare global {
  interface Window {
    states: string[];
    show: (name: string) => Promise<void>;
    kernel: FakeKernel;
  }
}

window.states = Object.keys(STATES);

window.show = async (name) => {
  const way = STATES[name];
  if (way === undefined) throw new Error(`there is no state "${name}"`);
  document.body.replaceChildren();
  const kernel = way.kernel();
  window.kernel = kernel;
  const { signal } = new AbortController();
  const { initialize, render } = widget();
  const shared = { signal, model: kernel.model, experimental: {}, host: {} };
  initialize(shared as never);
  const el = document.createElement("div");
  document.body.append(el);
  render({ ...shared, el } as never);
  await reach(way, { el, kernel });
};
