// How one view of a text reads it: what the colours mean, tokens or words, and the stretch that is looked at.

import { useMemo, useRef, useState } from "preact/hooks";
import { Fitting, type Scale, type ScaleKind } from "./colour";
import { sameFields, useStore } from "./hooks";
import { type Measure, measuresOf, SURPRISAL } from "./measures";
import type { Range } from "./totals";

export interface Reading {
  measure: Measure;
  scale: Scale;
  scaleKind: ScaleKind;
  /** Whether tokens are read as the words that they make. */
  words: boolean;
  /** The stretch of text that is chosen, within the text that is shown. */
  range: Range | null;
}

export interface ReadingActions {
  colourBy: (measure: string) => void;
  scaleTo: (kind: ScaleKind) => void;
  joinWords: (words: boolean) => void;
  choose: (range: Range | null) => void;
}

export function useReading(): Reading & ReadingActions {
  const [name, colourBy] = useState(SURPRISAL.name);
  const [scaleKind, scaleTo] = useState<ScaleKind>("fixed");
  const [words, joinWords] = useState(false);
  const [chosen, choose] = useState<Range | null>(null);
  const fitting = useRef(new Fitting());

  const infos = useStore((store) => store.table.measures);
  // Another session may have other measures.
  const measure = useMemo(
    () => measuresOf(infos).find((one) => one.name === name) ?? SURPRISAL,
    [infos, name],
  );
  const scale = useStore(({ table, path, busy }): Scale => {
    if (scaleKind === "fixed") return { low: measure.low, high: measure.high };
    const { low, high } = fitting.current.scale(measure, table, path, busy);
    return { low, high };
  }, sameFields);

  const generation = useStore((store) => store.generation);
  const known = useRef(generation);
  const length = useStore((store) => (chosen === null ? 0 : store.path.length));
  if (known.current !== generation) {
    // Positions mean nothing in another text.
    known.current = generation;
    if (chosen !== null) choose(null);
  }
  const range = useMemo(
    () =>
      chosen === null || chosen.first >= length
        ? null
        : { first: chosen.first, last: Math.min(chosen.last, length - 1) },
    [chosen, length],
  );
  return { measure, scale, scaleKind, words, range, colourBy, scaleTo, joinWords, choose };
}
