import type { TargetedClipboardEvent, TargetedKeyboardEvent, TargetedMouseEvent } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { Measure } from "../colour";
import { useStore, useViewer } from "../hooks";
import { TokenText } from "./token_text";
import { Walk } from "./walk";

/** The text, as a listbox of its tokens. */
export function Tokens(props: { measure: Measure; prefix: string; onEnter: () => void }) {
  const { measure, prefix, onEnter } = props;
  const viewer = useViewer();
  const list = useRef<HTMLDivElement>(null);
  const text = useRef<TokenText | null>(null);
  const walk = useRef(new Walk());
  const busy = useStore((store) => store.busy);
  const empty = useStore((store) => store.path.length === 0);

  useLayoutEffect(() => {
    const { store } = viewer;
    const drawn = new TokenText(list.current as HTMLElement, store, measure, prefix);
    text.current = drawn;
    drawn.draw();
    return store.listen(() => drawn.draw());
  }, [viewer]);
  useLayoutEffect(() => text.current?.recolour(measure), [measure]);

  function onClick(event: TargetedMouseEvent<HTMLElement>): void {
    // Who drags to copy a stretch of text does not mean to choose the token at its end.
    if (getSelection()?.isCollapsed === false) return;
    const place = TokenText.placeOf(event);
    if (place !== null) viewer.select(place);
  }

  function onKeyDown(event: TargetedKeyboardEvent<HTMLElement>): void {
    if (event.ctrlKey || event.metaKey || event.altKey || text.current === null) return;
    const { place } = viewer.store;
    if (event.key === "Enter" && place !== null) onEnter();
    else {
      const next = walk.current.step(text.current, place, event.key);
      if (next === null) return;
      viewer.select(next);
      text.current.draw();
      text.current.option(next)?.scrollIntoView({ block: "nearest" });
    }
    event.preventDefault();
  }

  return (
    <div class="itw-text">
      {empty && <Empty />}
      <div
        ref={list}
        class={`itw-tokens itw-by-${measure.ramp}`}
        role="listbox"
        aria-label="Tokens"
        aria-busy={busy}
        tabIndex={0}
        hidden={empty}
        onClick={onClick}
        onKeyDown={onKeyDown}
        onCopy={copyExactly}
      />
    </div>
  );
}

function Empty() {
  const readOnly = useStore((store) => store.state.read_only !== null);
  return (
    <p class="itw-empty">
      {readOnly
        ? "There is no text in here."
        : "Write the beginning of a text above and press Generate. Each token will show how the model decided on it."}
    </p>
  );
}

// The browser would drop a newline at the very end, and paragraphs are no part of the text.
function copyExactly(event: TargetedClipboardEvent<HTMLElement>): void {
  const selection = getSelection();
  const range = selection?.rangeCount === 1 ? selection.getRangeAt(0) : null;
  if (range === null || range.collapsed || event.clipboardData === null) return;
  if (!event.currentTarget.contains(range.commonAncestorContainer)) return;
  event.clipboardData.setData("text/plain", range.cloneContents().textContent ?? "");
  event.preventDefault();
}
