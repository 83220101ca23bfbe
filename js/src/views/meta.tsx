import type { ScaleKind } from "../colour";
import { useStore } from "../hooks";
import { measuresOf } from "../measures";
import type { Reading, ReadingActions } from "../reading";
import { Choice } from "./choice";
import { Legend } from "./legend";
import { Totals } from "./totals";

const SCALES: [ScaleKind, string][] = [
  ["fixed", "fixed"],
  ["fitted", "fitted to this text"],
];

/** What the colours mean, and what the text amounts to. */
export function MetaRow({ reading }: { reading: Reading & ReadingActions }) {
  const { measure, scale, scaleKind, words } = reading;
  const measures = measuresOf(useStore((store) => store.table.measures));
  return (
    <div class="itw-meta">
      <div class="itw-row">
        <Choice
          label="Colour by"
          value={measure.name}
          options={measures.map(({ name, title }) => [name, title])}
          onChoose={reading.colourBy}
        />
        {measure.hue !== "origin" && (
          <Choice
            label="Scale"
            value={scaleKind}
            options={SCALES}
            onChoose={(kind) => reading.scaleTo(kind as ScaleKind)}
          />
        )}
        <Legend measure={measure} scale={scale} />
        <label class="itw-legend" title="Read the tokens as the words that they make">
          <input
            type="checkbox"
            checked={words}
            onChange={({ currentTarget }) => reading.joinWords(currentTarget.checked)}
          />
          Words
        </label>
      </div>
      <Totals range={reading.range} onChoose={reading.choose} />
    </div>
  );
}
