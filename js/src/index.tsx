import type { AnyWidget } from "@anywidget/types";
import { render } from "preact";
import type { Traits } from "./protocol";
import { Viewer } from "./viewer";
import { App } from "./views/app";

export { showSaved } from "./saved";

/** Called once for each model: what is made here is shared by all views of it. */
export default function widget() {
  let viewer: Viewer | null = null;
  return {
    initialize({ model, signal }) {
      viewer = new Viewer(model, signal);
    },
    render({ el, signal }) {
      if (viewer === null) throw new Error("A view was asked for before its model was there.");
      // JupyterLab is told by an attribute not to take keys from here; other hosts listen further out.
      el.addEventListener("keydown", (event) => event.stopPropagation(), { signal });
      render(<App viewer={viewer} />, el);
      signal.addEventListener("abort", () => render(null, el));
    },
  } satisfies Awaited<ReturnType<Extract<AnyWidget<Traits>, () => unknown>>>;
}
