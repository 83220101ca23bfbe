import { createContext } from "preact";
import { useContext, useLayoutEffect, useReducer, useRef } from "preact/hooks";
import type { Store } from "./store";
import type { Viewer } from "./viewer";

export const ViewerContext = createContext<Viewer | null>(null);

/** The viewer that the page shows. */
export function useViewer(): Viewer {
  const viewer = useContext(ViewerContext);
  if (viewer === null) throw new Error("There is no viewer around this part of the page.");
  return viewer;
}

/** A value read from the store. The part is drawn again only when that value changes. */
export function useStore<Value>(
  read: (store: Store) => Value,
  same: (a: Value, b: Value) => boolean = Object.is,
): Value {
  const { store } = useViewer();
  const [, redraw] = useReducer((drawn: number) => drawn + 1, 0);
  const value = read(store);
  const latest = useRef({ read, value, same });
  latest.current = { read, value, same };
  useLayoutEffect(() => {
    const check = () => {
      const { read, value, same } = latest.current;
      if (!same(read(store), value)) redraw(undefined);
    };
    check();
    return store.listen(check);
  }, [store]);
  return value;
}

/** Whether two plain objects or arrays hold the same values. */
export function sameFields<Value extends object>(a: Value, b: Value): boolean {
  const before = Object.entries(a);
  const after = new Map(Object.entries(b));
  return before.length === after.size && before.every(([key, value]) => after.get(key) === value);
}
