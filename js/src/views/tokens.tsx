import type { TargetedClipboardEvent, TargetedKeyboardEvent, TargetedMouseEvent } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { along } from "../colour";
import { useStore, useViewer } from "../hooks";
import type { Reading, ReadingActions } from "../reading";
import type { Range } from "../totals";
import { placesOf } from "./selected_text";
import { TokenText } from "./token_text";
import { useTooltip } from "./use_tooltip";
import { Walk } from "./walk";

interface TokensProps {
  reading: Reading & ReadingActions;
  prefix: string;
  onEnter: () => void;
}

/** The text, as a listbox of its tokens. */
export function Tokens({ reading, prefix, onEnter }: TokensProps) {
  const { measure, scale, words, range, choose } = reading;
  const viewer = useViewer();
  const list = useRef<HTMLDivElement>(null);
  const text = useRef<TokenText>(null);
  const walk = useRef(new Walk());
  /** Where a stretch begins that is chosen by keys. */
  const anchor = useRef<number | null>(null);
  const busy = useStore((store) => store.busy);
  const empty = useStore((store) => store.path.length === 0);
  const { tooltip, dismiss, walkedTo, handlers } = useTooltip(text);

  useLayoutEffect(() => {
    const { store } = viewer;
    const drawn = new TokenText(list.current as HTMLElement, store, { measure, words }, prefix);
    text.current = drawn;
    drawn.draw();
    return store.listen(() => drawn.draw());
  }, [viewer]);
  useLayoutEffect(() => text.current?.show({ measure, words }), [measure, words]);
  useLayoutEffect(() => {
    text.current?.choose(range);
    if (range === null) anchor.current = null;
  }, [range]);

  function onClick(event: TargetedMouseEvent<HTMLElement>): void {
    // Who drags to copy a stretch of text does not mean to choose the token at its end.
    const places = placesOf(event.currentTarget);
    const place = TokenText.placeOf(event);
    if (places !== null) choose(places);
    else if (place !== null) viewer.select(text.current?.unit(place).first ?? place);
  }

  function onKeyDown(event: TargetedKeyboardEvent<HTMLElement>): void {
    if (event.ctrlKey || event.metaKey || event.altKey || text.current === null) return;
    const { place } = viewer.store;
    if (event.key === "Escape") {
      if (!dismiss()) choose(null);
    } else if (event.key === "Enter" && place !== null) onEnter();
    else {
      const next = walk.current.step(text.current, place, event.key);
      if (next === null) return;
      if (event.shiftKey) {
        anchor.current ??= place ?? next;
        choose(between(text.current, anchor.current, next));
      } else anchor.current = null;
      viewer.select(next);
      text.current.draw();
      text.current.option(next)?.scrollIntoView({ block: "nearest" });
      walkedTo(next);
    }
    event.preventDefault();
  }

  return (
    <div class="itw-text">
      {empty && <Empty />}
      <div
        ref={list}
        class={`itw-tokens itw-by-${measure.hue}${words ? " itw-words" : ""}`}
        style={{
          "--itw-low": along(measure, scale.low),
          "--itw-span": along(measure, scale.high) - along(measure, scale.low),
        }}
        role="listbox"
        aria-label="Tokens"
        aria-busy={busy}
        tabIndex={0}
        hidden={empty}
        onClick={onClick}
        onKeyDown={onKeyDown}
        onCopy={copyExactly}
        {...handlers}
      />
      {tooltip}
    </div>
  );
}

/** The stretch from one place to another, without the place of the next token. */
function between(text: TokenText, from: number, to: number): Range | null {
  const [low, high] = from < to ? [from, to] : [to, from];
  const last = Math.min(text.unit(high).last, text.length - 1);
  return low > last ? null : { first: text.unit(low).first, last };
}

function Empty() {
  const readOnly = useStore((store) => store.readOnly !== null);
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
