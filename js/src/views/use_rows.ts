import type { RefObject } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

/** Rows that are drawn beyond what is in view, on either side. */
const MARGIN = 2;
/** As many as are drawn before it is known how many are in view. */
const FIRST = 12;

interface Rows {
  /** The element that scrolls. */
  scroller: RefObject<HTMLDivElement | null>;
  /** Which rows are to be drawn: `first .. last`, without the last. */
  first: number;
  last: number;
  measure: () => void;
  reveal: (row: number) => void;
}

/** Which rows of a long list, all of one height in pixels, are to be drawn. */
export function useRows(count: number, height: number): Rows {
  const scroller = useRef<HTMLDivElement>(null);
  const [span, setSpan] = useState({ first: 0, last: FIRST });

  function measure(): void {
    const { current } = scroller;
    if (current === null || current.clientHeight === 0) return;
    const first = Math.max(0, Math.floor(current.scrollTop / height) - MARGIN);
    const last = Math.ceil((current.scrollTop + current.clientHeight) / height) + MARGIN;
    setSpan((known) => (known.first === first && known.last === last ? known : { first, last }));
  }

  function reveal(row: number): void {
    const { current } = scroller;
    if (current === null || row < 0) return;
    const top = row * height;
    const bottom = top + height - current.clientHeight;
    if (top < current.scrollTop) current.scrollTop = top;
    else if (bottom > current.scrollTop) current.scrollTop = bottom;
    measure();
  }

  useLayoutEffect(() => {
    measure();
    const sized = new ResizeObserver(measure);
    if (scroller.current !== null) sized.observe(scroller.current);
    return () => sized.disconnect();
  }, []);

  const first = Math.min(span.first, Math.max(0, count - 1));
  return { scroller, first, last: Math.min(count, span.last), measure, reveal };
}
