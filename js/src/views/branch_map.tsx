import { useViewer } from "../hooks";
import type { Line } from "../lines";
import { ORIGINS } from "../protocol";
import { type Frame, mapPaths, ROW_HEIGHT } from "./map_paths";

interface MapProps {
  lines: readonly Line[];
  frame: Frame;
  /** The line of the branch that is shown; -1 when it is not listed. */
  current: number;
}

/** The lines of branches along the positions of their tokens. The options of the list say the same. */
export function BranchMap({ lines, frame, current }: MapProps) {
  const { store } = useViewer();
  const { labels, place, table } = store;
  const paths = mapPaths(lines, frame);
  const height = (frame.last - frame.first) * ROW_HEIGHT;
  const text = paths.along(current, table.value("position", store.head) + 1);
  const spot =
    place === null ? undefined : text.find(({ row }) => place >= (lines[row]?.from ?? 0));
  const x = place === null ? 0 : paths.x(place + 0.5);
  const drawn = lines.slice(frame.first, frame.last).map(({ branch, parent }, index) => ({
    row: frame.first + index,
    end: table.value("position", branch.tip) + 1,
    colour: labels.colourOf(branch),
    origin: ORIGINS[table.value("origin", branch.start)],
    parts: parent !== null,
  }));
  return (
    <svg
      class="itw-map"
      style={{ insetBlockStart: `${frame.first * ROW_HEIGHT}px` }}
      width={frame.width}
      height={height}
      aria-hidden="true"
    >
      {place !== null && <path class="itw-here" d={`M${x} 0V${height}`} />}
      <path class="itw-passing" d={paths.passing()} />
      <path d={drawn.map(({ row, end }) => paths.line(row, end)).join("")} />
      <path class="itw-shown" d={text.map(({ row, to }) => paths.line(row, to)).join("")} />
      {drawn.map(
        ({ row, end, colour }) =>
          colour !== null && (
            <path key={row} class={`itw-colour-${colour}`} d={paths.line(row, end)} />
          ),
      )}
      {drawn.map(
        ({ row, origin, parts }) =>
          parts && <path key={row} class={`itw-mark itw-${origin}`} d={paths.mark(row, origin)} />,
      )}
      {spot !== undefined && <circle class="itw-spot" cx={x} cy={paths.y(spot.row)} r="4" />}
    </svg>
  );
}
