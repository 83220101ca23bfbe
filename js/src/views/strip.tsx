import type { TargetedMouseEvent } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { useStore, useViewer } from "../hooks";
import type { Store } from "../store";

const HEIGHT = 64;
const WIDEST_BAR = 22;

/** Surprisal and entropy along the text. The listbox of tokens is its equal for who cannot see it. */
export function Strip() {
  const viewer = useViewer();
  const canvas = useRef<HTMLCanvasElement>(null);
  const limit = useStore((store) => Math.ceil(Math.log2(store.state.model.vocabulary_size || 2)));

  useLayoutEffect(() => {
    const { store } = viewer;
    const board = canvas.current as HTMLCanvasElement;
    const redraw = () => draw(board, store, limit);
    const stop = store.listen(redraw);
    const sized = new ResizeObserver(redraw);
    sized.observe(board);
    // A host changes its theme by an attribute or a class of the page, the system by a media query.
    // At that moment it may hide the page, so the chart waits for the next frame.
    const themed = new MutationObserver(() => requestAnimationFrame(redraw));
    const filter = ["class", "data-jp-theme-light", "data-jp-theme-name", "data-theme", "theme"];
    for (const node of [document.documentElement, document.body]) {
      themed.observe(node, { attributeFilter: filter });
    }
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", redraw);
    return () => {
      stop();
      sized.disconnect();
      themed.disconnect();
      dark.removeEventListener("change", redraw);
    };
  }, [viewer, limit]);

  function onClick(event: TargetedMouseEvent<HTMLCanvasElement>): void {
    const { length } = viewer.store.path;
    const box = event.currentTarget.getBoundingClientRect();
    const place = Math.floor((event.clientX - box.left) / barWidth(box.width, length));
    if (place < length) viewer.select(place);
  }

  return (
    <div class="itw-strip" aria-hidden="true">
      <canvas ref={canvas} onClick={onClick} style={{ blockSize: `${HEIGHT}px` }} />
      <div class="itw-caption">
        <span class="itw-key-surprisal">surprisal</span>
        <span class="itw-key-entropy">entropy</span>
        <span>0 – {limit} bits · prompt faint · click a bar to select its token</span>
      </div>
    </div>
  );
}

function barWidth(width: number, tokens: number): number {
  return Math.min(WIDEST_BAR, width / Math.max(1, tokens));
}

function draw(canvas: HTMLCanvasElement, store: Store, limit: number): void {
  const { path, table, tree } = store;
  const ratio = devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const pen = canvas.getContext("2d");
  // A canvas that is not laid out keeps its picture until it is.
  if (pen === null || width === 0) return;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(HEIGHT * ratio);
  pen.scale(ratio, ratio);
  const style = getComputedStyle(canvas);
  const step = barWidth(width, path.length);
  const gap = step > 4 ? 1 : 0;
  const y = (bits: number) => HEIGHT * (1 - Math.min(1, bits / limit));

  // Where tokens are narrower than a pixel, the highest of each pixel stands for all in it.
  const stride = Math.max(1, Math.floor(1 / step));
  pen.fillStyle = style.color;
  for (let place = 0; place < path.length; place += stride) {
    let highest = Number.NaN;
    for (let i = place; i < Math.min(path.length, place + stride); i++) {
      const value = table.value("surprisal", path[i] as number);
      if (!(value <= highest)) highest = Number.isNaN(value) ? highest : value;
    }
    if (Number.isNaN(highest)) continue;
    const top = y(highest);
    const here = store.place !== null && store.place >= place && store.place < place + stride;
    pen.globalAlpha = here ? 1 : tree.given(path[place] as number) ? 0.3 : 0.6;
    pen.fillRect(place * step, top, Math.max(1, step * stride - gap), HEIGHT - top);
  }

  pen.globalAlpha = 1;
  pen.strokeStyle = style.caretColor;
  pen.lineWidth = 1.5;
  pen.beginPath();
  let down = false;
  for (let place = 0; place < path.length; place += stride) {
    const value = table.value("entropy", path[place] as number);
    if (Number.isNaN(value)) {
      down = false;
      continue;
    }
    const x = (place + stride / 2) * step;
    if (down) pen.lineTo(x, y(value));
    else pen.moveTo(x, y(value));
    down = true;
  }
  pen.stroke();

  const { place } = store;
  if (place !== null && place < path.length) {
    pen.fillStyle = style.caretColor;
    pen.fillRect(place * step, HEIGHT - 2, Math.max(3, step - gap), 2);
  }
}
