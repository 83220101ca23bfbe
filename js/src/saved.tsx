// A page of its own, without a kernel: what `session.to_html` writes. `itwidgets/widgets/html.py` is
// the other half.

import { render } from "preact";
import type { Slice, State, Traits } from "./protocol";
import { Viewer } from "./viewer";
import { App } from "./views/app";

/** The first line of the data; the buffers of the table follow it, one after the other. */
interface Head {
  state: State;
  header: Slice;
  sizes: number[];
}

/** Show a viewer over a model that stands still; `pictures` is the code of the part that draws them. */
export function showSaved(el: HTMLElement, data: ArrayBuffer, pictures: ArrayBuffer): void {
  const traits = traitsOf(data);
  const model = {
    get: <Name extends keyof Traits>(name: Name) => traits[name],
    on() {},
    off() {},
    send() {},
  };
  const viewer = new Viewer(model, new AbortController().signal, pictures);
  viewer.store.setOffline(true);
  render(<App viewer={viewer} />, el);
}

function traitsOf(data: ArrayBuffer): Traits {
  const bytes = new Uint8Array(data);
  let offset = bytes.indexOf("\n".charCodeAt(0)) + 1;
  const line = new TextDecoder().decode(bytes.subarray(0, offset));
  const { state, header, sizes } = JSON.parse(line) as Head;
  const buffers = sizes.map((size) => {
    const view = new DataView(data, offset, size);
    offset += size;
    return view;
  });
  return { state, table: { seq: state.seq, header, buffers } };
}
