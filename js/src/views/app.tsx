import { useMemo, useRef } from "preact/hooks";
import { useStore, ViewerContext } from "../hooks";
import { useReading } from "../reading";
import type { Viewer } from "../viewer";
import { Branches } from "./branches";
import { Controls } from "./controls";
import { MetaRow } from "./meta";
import { Notices } from "./notices";
import { Panel } from "./panel";
import { Progress } from "./progress";
import { Strip } from "./strip";
import { Tokens } from "./tokens";

/** One view of a viewer. */
export function App({ viewer }: { viewer: Viewer }) {
  return (
    <ViewerContext.Provider value={viewer}>
      <Frame />
    </ViewerContext.Provider>
  );
}

function Frame() {
  const reading = useReading();
  // Each view has ids of its own: the same viewer may be on the page twice, and so may its bundle.
  const prefix = useMemo(() => `itw-${Math.random().toString(36).slice(2, 10)}`, []);
  const root = useRef<HTMLDivElement>(null);
  const hasRows = useStore((store) => store.path.length > 0);

  function focus(part: string): void {
    root.current?.querySelector<HTMLElement>(part)?.focus();
  }

  return (
    <div ref={root} class="itw-root" data-lm-suppress-shortcuts="true">
      <Notices />
      <Controls prefix={prefix} />
      <MetaRow reading={reading} />
      <div class="itw-main">
        <Tokens
          reading={reading}
          prefix={prefix}
          onEnter={() => focus(".itw-alternatives, .itw-force-text")}
        />
        <Panel prefix={prefix} onLeave={() => focus(".itw-tokens")} />
      </div>
      {hasRows && (
        <Strip
          range={reading.range}
          onChoose={reading.choose}
          onBrushed={() => focus(".itw-tokens")}
        />
      )}
      {hasRows && <Branches prefix={prefix} />}
      <Progress />
    </div>
  );
}
