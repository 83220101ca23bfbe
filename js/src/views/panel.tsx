import type { TargetedKeyboardEvent } from "preact";
import * as format from "../format";
import { sameFields, useStore, useViewer } from "../hooks";
import { ORIGINS } from "../protocol";
import { textOf } from "../text";
import { AlternativesPanel } from "./alternatives";
import { Growing } from "./growing";
import { Stages } from "./stages";
import { TokenLabel } from "./token_label";

const CONTEXT_TOKENS = 6;

interface PanelProps {
  prefix: string;
  onLeave: () => void;
  onWhatIf: () => void;
}

/** The place that is looked at: what stands there, what might have, and how to overrule it. */
export function Panel({ prefix, onLeave, onWhatIf }: PanelProps) {
  const viewer = useViewer();
  const { place, row, parent, generation } = useStore((store) => {
    const place = store.place !== null && store.place <= store.path.length ? store.place : null;
    return {
      place,
      row: place === null ? null : (store.path[place] ?? null),
      parent: place === null ? null : viewer.parentOf(place),
      generation: store.generation,
    };
  }, sameFields);
  const empty = useStore((store) => store.path.length === 0);

  function onKeyDown(event: TargetedKeyboardEvent<HTMLElement>): void {
    if (event.key !== "Escape" || event.isComposing) return;
    event.preventDefault();
    onLeave();
  }

  if (place === null || empty) {
    if (empty) return null;
    return (
      <section class="itw-panel" aria-label="Selected token">
        <p class="itw-empty">
          Click a token, or walk with the arrow keys, to see what the model might have said there.
        </p>
      </section>
    );
  }
  return (
    <section class="itw-panel" aria-label="Selected token" onKeyDown={onKeyDown}>
      <Heading place={place} row={row} />
      <AlternativesPanel
        key={`${generation}/${parent}`}
        prefix={prefix}
        place={place}
        row={row}
        parent={parent}
      />
      <Growing place={place} standing={row !== null} onWhatIf={onWhatIf} />
      <Stages row={row} />
    </section>
  );
}

function Heading({ place, row }: { place: number; row: number | null }) {
  const { store } = useViewer();
  const { path, table, tree } = store;
  const origin = row === null ? undefined : ORIGINS[table.value("origin", row)];
  const given = row !== null && tree.given(row);
  const before = path.slice(Math.max(0, place - CONTEXT_TOKENS), place);
  const context = textOf(before.map((other) => table.bytes(other)));
  let title = "Next token";
  if (row !== null) {
    const number = given ? place : tree.sums(row).tokens - 1;
    title = `${given ? "Prompt token" : "Token"} ${format.count(number)}`;
  }
  return (
    <>
      <h4 class="itw-heading">
        {title} {row !== null && <TokenLabel bytes={table.bytes(row)} />}{" "}
        {origin !== undefined && <span class={`itw-origin itw-${origin}`}>{origin}</span>}
      </h4>
      <p class="itw-context">
        {place === 0 ? (
          "the first token: nothing comes before it"
        ) : (
          <>
            after{" "}
            <bdi>
              {before.length < place && "…"}
              {context}
            </bdi>
          </>
        )}
      </p>
    </>
  );
}
