import type { TargetedPointerEvent } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { useStore, useViewer } from "../hooks";
import type { Range } from "../totals";
import { barWidth, drawChart, HEIGHT } from "./strip_chart";

/** Pixels that the pointer moves before a click becomes a brush. */
const SLACK = 4;

interface StripProps {
  range: Range | null;
  onChoose: (range: Range | null) => void;
  /** Called when a stretch was brushed: the keys that change or clear it are those of the text. */
  onBrushed: () => void;
}

/** Surprisal and entropy along the text. The listbox of tokens is its equal for who cannot see it. */
export function Strip({ range, onChoose, onBrushed }: StripProps) {
  const viewer = useViewer();
  const canvas = useRef<HTMLCanvasElement>(null);
  const pressed = useRef<{ x: number; place: number; brushing: boolean } | null>(null);
  const limit = useStore((store) => Math.ceil(Math.log2(store.state.model.vocabulary_size || 2)));

  useLayoutEffect(() => {
    const { store } = viewer;
    const board = canvas.current as HTMLCanvasElement;
    const redraw = () => drawChart(board, store, limit, range);
    redraw();
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
  }, [viewer, limit, range]);

  /** The token whose bar is at the pointer; one behind the last where there is none. */
  function placeAt({ clientX, currentTarget }: TargetedPointerEvent<HTMLElement>): number {
    const { length } = viewer.store.path;
    const box = currentTarget.getBoundingClientRect();
    const place = Math.floor((clientX - box.left) / barWidth(box.width, length));
    return Math.max(0, Math.min(length, place));
  }
  function onPointerDown(event: TargetedPointerEvent<HTMLElement>): void {
    if (event.button !== 0) return;
    event.currentTarget.setPointerCapture(event.pointerId);
    pressed.current = { x: event.clientX, place: placeAt(event), brushing: false };
  }
  function onPointerMove(event: TargetedPointerEvent<HTMLElement>): void {
    const press = pressed.current;
    if (press === null) return;
    press.brushing ||= Math.abs(event.clientX - press.x) >= SLACK;
    if (!press.brushing) return;
    const end = viewer.store.path.length - 1;
    const [from, to] = [press.place, placeAt(event)].map((place) => Math.min(place, end));
    const [first, last] = [
      Math.min(from as number, to as number),
      Math.max(from as number, to as number),
    ];
    if (first !== range?.first || last !== range.last) onChoose({ first, last });
  }
  function onPointerUp(event: TargetedPointerEvent<HTMLElement>): void {
    const press = pressed.current;
    pressed.current = null;
    if (press === null) return;
    if (press.brushing) onBrushed();
    else if (placeAt(event) < viewer.store.path.length) viewer.select(placeAt(event));
  }

  return (
    <div class="itw-strip" aria-hidden="true">
      <canvas
        ref={canvas}
        onPointerDown={onPointerDown}
        onPointerMove={onPointerMove}
        onPointerUp={onPointerUp}
        onPointerCancel={() => {
          pressed.current = null;
        }}
        style={{ blockSize: `${HEIGHT}px` }}
      />
      <div class="itw-caption">
        <span class="itw-key-surprisal">surprisal</span>
        <span class="itw-key-entropy">entropy</span>
        <span>
          0 – {limit} bits · prompt faint · click a bar to select its token · drag for the totals of
          a stretch{range !== null && ", Esc clears it"}
        </span>
      </div>
    </div>
  );
}
