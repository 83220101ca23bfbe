import type { RefObject, TargetedPointerEvent } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { useViewer } from "../hooks";
import type { Range } from "../totals";
import { TokenText } from "./token_text";
import { Tooltip } from "./tooltip";

/** Milliseconds of rest before a tooltip shows, before the next takes its place, and before it goes. */
const REST = 300;
const NEXT = 80;
const LEAVE = 200;
/** Who walks by keys passes many tokens. */
const WALKED = 700;

interface Target {
  unit: Range;
  anchor: HTMLElement;
}

/** A tooltip for the token that the pointer or the keyboard rests on. */
export function useTooltip(text: RefObject<TokenText | null>) {
  const { store } = useViewer();
  const [shown, show] = useState<Target | null>(null);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  /** Where the pointer is: small movements on one token change nothing. */
  const under = useRef<number | null>(null);

  function after(delay: number, target: Target | null): void {
    clearTimeout(timer.current);
    timer.current = setTimeout(() => show(target), delay);
  }
  function rest(place: number | null, delay: number): void {
    const anchor = place === null ? undefined : text.current?.option(place);
    if (place === null || anchor === undefined || place >= (text.current?.length ?? 0)) {
      after(LEAVE, null);
      return;
    }
    after(delay, { unit: text.current?.unit(place) ?? { first: place, last: place }, anchor });
  }
  function hide(): void {
    clearTimeout(timer.current);
    show(null);
  }

  useEffect(() => () => clearTimeout(timer.current), []);
  useEffect(() => {
    if (shown === null) return;
    // What moves the text under it takes it away.
    addEventListener("scroll", hide, { capture: true });
    const stop = store.listen(() => shown.anchor.isConnected || hide());
    return () => {
      removeEventListener("scroll", hide, { capture: true });
      stop();
    };
  }, [shown]);

  const over = (event: TargetedPointerEvent<HTMLElement>) => {
    const place = TokenText.placeOf(event);
    if (event.pointerType === "touch" || event.buttons !== 0 || place === under.current) return;
    under.current = place;
    rest(place, shown === null ? REST : NEXT);
  };
  const leave = () => {
    under.current = null;
    after(LEAVE, null);
  };
  return {
    /** Takes it away; false when there was none. */
    dismiss(): boolean {
      hide();
      return shown !== null;
    },
    walkedTo: (place: number) => {
      hide();
      rest(place, WALKED);
    },
    handlers: { onPointerOver: over, onPointerLeave: leave, onPointerDown: hide, onBlur: hide },
    tooltip: shown && (
      <Tooltip {...shown} onEnter={() => clearTimeout(timer.current)} onLeave={leave} />
    ),
  };
}
