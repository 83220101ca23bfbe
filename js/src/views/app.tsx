import type { TargetedKeyboardEvent } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { useStore, useViewer, ViewerContext } from "../hooks";
import { useReading } from "../reading";
import type { Viewer } from "../viewer";
import { Branches } from "./branches";
import { Compare } from "./compare";
import { Controls } from "./controls";
import { MetaRow } from "./meta";
import { Notices } from "./notices";
import { Panel } from "./panel";
import { Progress } from "./progress";
import { SaveAs } from "./save_as";
import { Strip } from "./strip";
import { Tokens } from "./tokens";
import { type Question, WhatIf } from "./what_if";

/** One view of a viewer. */
export function App({ viewer }: { viewer: Viewer }) {
  return (
    <ViewerContext.Provider value={viewer}>
      <Frame />
    </ViewerContext.Provider>
  );
}

function Frame() {
  const viewer = useViewer();
  const reading = useReading();
  // Each view has ids of its own: the same viewer may be on the page twice, and so may its bundle.
  const prefix = useMemo(() => `itw-${Math.random().toString(36).slice(2, 10)}`, []);
  const root = useRef<HTMLDivElement>(null);
  const [question, setQuestion] = useState<Question | null>(null);
  // Other rows have the same numbers.
  const generation = useStore((store) => store.generation);
  useEffect(() => setQuestion(null), [generation]);
  const hasRows = useStore((store) => store.path.length > 0);

  function focus(part: string): void {
    root.current?.querySelector<HTMLElement>(part)?.focus();
  }

  function onKeyDown(event: TargetedKeyboardEvent<HTMLElement>): void {
    const { key, ctrlKey, metaKey, altKey, target } = event;
    if (key !== "w" || ctrlKey || metaKey || altKey) return;
    if (!(target instanceof Element && target.role === "listbox")) return;
    event.preventDefault();
    whatIf();
  }

  /** Ask about the place that is looked at. */
  function whatIf(): void {
    const { store } = viewer;
    const parent = store.place === null ? null : viewer.parentOf(store.place);
    if (parent === null || store.readOnly !== null) return;
    setQuestion({ parent, number: (question?.number ?? 0) + 1 });
  }

  return (
    <div ref={root} class="itw-root" data-lm-suppress-shortcuts="true">
      <Notices />
      <Controls prefix={prefix} />
      <MetaRow reading={reading} />
      {/* biome-ignore lint/a11y/noStaticElementInteractions: the listboxes in it hear the key */}
      <div class="itw-main" onKeyDown={onKeyDown}>
        <Tokens
          reading={reading}
          prefix={prefix}
          onEnter={() => focus(".itw-alternatives, .itw-force-text")}
        />
        <Panel prefix={prefix} onLeave={() => focus(".itw-tokens")} onWhatIf={whatIf} />
      </div>
      {question !== null && (
        <WhatIf
          question={question}
          onClose={() => {
            setQuestion(null);
            focus(".itw-tokens");
          }}
        />
      )}
      {hasRows && (
        <Strip
          range={reading.range}
          onChoose={reading.choose}
          onBrushed={() => focus(".itw-tokens")}
        />
      )}
      {hasRows && <Branches prefix={prefix} />}
      <Compare />
      {hasRows && <SaveAs reading={reading} />}
      <Progress />
    </div>
  );
}
