import type { Store } from "../store";
import type { Range } from "../totals";

export const HEIGHT = 64;
const WIDEST_BAR = 22;

export function barWidth(width: number, tokens: number): number {
  return Math.min(WIDEST_BAR, width / Math.max(1, tokens));
}

interface Chart {
  pen: CanvasRenderingContext2D;
  store: Store;
  /** Width of a bar, and how many tokens stand in it. */
  step: number;
  stride: number;
  gap: number;
  y: (bits: number) => number;
}

/** Draw surprisal and entropy along the text that is shown. */
export function drawChart(
  canvas: HTMLCanvasElement,
  store: Store,
  limit: number,
  range: Range | null,
): void {
  const ratio = devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const pen = canvas.getContext("2d");
  // A canvas that is not laid out keeps its picture until it is.
  if (pen === null || width === 0) return;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(HEIGHT * ratio);
  pen.scale(ratio, ratio);
  const step = barWidth(width, store.path.length);
  // Where tokens are narrower than a pixel, the highest of each pixel stands for all in it.
  const stride = Math.max(1, Math.floor(1 / step));
  const y = (bits: number) => HEIGHT * (1 - Math.max(0, Math.min(1, bits / limit)));
  const chart: Chart = { pen, store, step, stride, gap: step > 4 ? 1 : 0, y };
  const { color, caretColor } = getComputedStyle(canvas);
  if (range !== null) drawRange(chart, range, caretColor);
  drawBars(chart, color);
  drawLine(chart, caretColor);
  const { place } = store;
  if (place !== null && place < store.path.length) {
    pen.fillStyle = caretColor;
    pen.fillRect(place * step, HEIGHT - 2, Math.max(3, step - chart.gap), 2);
  }
}

function drawRange({ pen, step, gap }: Chart, { first, last }: Range, colour: string): void {
  const [left, right] = [first * step, Math.max((last + 1) * step - gap, first * step + 2)];
  pen.fillStyle = colour;
  pen.globalAlpha = 0.16;
  pen.fillRect(left, 0, right - left, HEIGHT);
  pen.globalAlpha = 1;
  for (const edge of [left, right - 1]) pen.fillRect(edge, 0, 1, HEIGHT);
}

/** The highest value of a column in the bar that begins at a place; NaN where no token has one. */
function highest({ store, stride }: Chart, column: "surprisal" | "entropy", place: number): number {
  const values = store.path
    .slice(place, place + stride)
    .map((row) => store.table.value(column, row))
    .filter((value) => !Number.isNaN(value));
  return values.length === 0 ? Number.NaN : Math.max(...values);
}

function drawBars(chart: Chart, colour: string): void {
  const { pen, store, step, stride, gap, y } = chart;
  const { path, tree } = store;
  pen.fillStyle = colour;
  for (let place = 0; place < path.length; place += stride) {
    const bits = highest(chart, "surprisal", place);
    if (Number.isNaN(bits)) continue;
    const top = y(bits);
    const here = store.place !== null && store.place >= place && store.place < place + stride;
    pen.globalAlpha = here ? 1 : tree.given(path[place] as number) ? 0.3 : 0.6;
    pen.fillRect(place * step, top, Math.max(1, step * stride - gap), HEIGHT - top);
  }
  pen.globalAlpha = 1;
}

function drawLine(chart: Chart, colour: string): void {
  const { pen, store, step, stride, y } = chart;
  pen.strokeStyle = colour;
  pen.lineWidth = 1.5;
  pen.beginPath();
  for (let place = 0; place < store.path.length; place += stride) {
    const bits = highest(chart, "entropy", place);
    // The first of these points is where the line begins.
    if (!Number.isNaN(bits)) pen.lineTo((place + stride / 2) * step, y(bits));
  }
  pen.stroke();
}
