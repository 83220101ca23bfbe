import { useStore, useViewer } from "../hooks";
import { Button } from "./button";
import { refusal } from "./refusals";

/** The way back to where the head was, and forth again. */
export function History() {
  const viewer = useViewer();
  const refused = useStore(refusal);
  const canUndo = useStore((store) => store.state.can_undo);
  const canRedo = useStore((store) => store.state.can_redo);
  return (
    <span class="itw-buttons">
      <Button
        kind="icon"
        label="Undo"
        refused={refused ?? (canUndo ? null : "There is nothing to undo.")}
        title="Undo"
        onPress={() => viewer.undo()}
      >
        <Arrow />
      </Button>
      <Button
        kind="icon"
        label="Redo"
        refused={refused ?? (canRedo ? null : "There is nothing to redo.")}
        title="Redo"
        onPress={() => viewer.redo()}
      >
        <Arrow mirrored />
      </Button>
    </span>
  );
}

function Arrow({ mirrored = false }: { mirrored?: boolean }) {
  return (
    <svg
      class={mirrored ? "itw-icon itw-mirrored" : "itw-icon"}
      viewBox="0 0 16 16"
      aria-hidden="true"
    >
      <path d="M6.5 3 3 6.5 6.5 10M3.5 6.5H10a3.25 3.25 0 0 1 0 6.5H7" />
    </svg>
  );
}
