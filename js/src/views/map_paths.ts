import type { Line } from "../lines";
import type { Origin } from "../protocol";

export const ROW_HEIGHT = 28;
/** How round a line turns off from another. */
const TURN = 7;

export interface Frame {
  /** Which lines are drawn: `first .. last`, without the last. */
  first: number;
  last: number;
  /** In pixels. */
  width: number;
  /** Tokens at the end of the axis. */
  axis: number;
}

/** The shapes of the map in the pixels of what is in view of it. */
export function mapPaths(lines: readonly Line[], { first, last, width, axis }: Frame) {
  /** Where the token after so many begins. */
  const x = (position: number) => Math.round((10 * position * width) / axis) / 10;
  const y = (row: number) => (row - first + 0.5) * ROW_HEIGHT;
  const startOf = (row: number) => x(lines[row]?.from ?? 0);

  /** From the line above, where it parts, along its own tokens up to a position. */
  function line(row: number, to: number): string {
    const [start, parent] = [startOf(row), lines[row]?.parent ?? null];
    const end = `H${Math.max(x(to), start + TURN)}`;
    if (parent === null) return `M${start} ${y(row)}${end}`;
    return `M${start} ${y(parent)}V${y(row) - TURN}q0 ${TURN} ${TURN} ${TURN}${end}`;
  }

  /** Lines that part in view or above and end below it. Of those on one another, one is drawn. */
  function passing(): string {
    const tops = new Map<number, number>();
    for (const { parent, from } of lines.slice(last)) {
      if (parent === null || parent >= last) continue;
      const across = Math.round(x(from));
      tops.set(across, Math.min(tops.get(across) ?? last, Math.max(parent, first - 1)));
    }
    return [...tops].map(([across, top]) => `M${across} ${y(top)}V${y(last)}`).join("");
  }

  /** The lines that a text runs along, the last first, each with where the text leaves it. */
  function along(row: number, end: number): { row: number; to: number }[] {
    const line = lines[row];
    if (line === undefined) return [];
    const before = line.parent === null ? [] : along(line.parent, line.from);
    return [{ row, to: end }, ...before];
  }

  /** The mark of why a branch parted, where its own line begins: a diamond, a ring or a square. */
  function mark(row: number, origin: Origin | undefined): string {
    const start = `M${startOf(row) + TURN} ${y(row)}`;
    if (origin === "forced") return `${start}l4.5-4.5 4.5 4.5-4.5 4.5z`;
    if (origin === "sampled") return `${start}a3.5 3.5 0 1 1 7 0a3.5 3.5 0 1 1-7 0z`;
    return `${start}v-3.5h7v7h-7z`;
  }

  return { x, y, line, passing, along, mark };
}
