import type { ComponentChildren, TargetedKeyboardEvent } from "preact";
import * as format from "../format";
import { useStore, useViewer } from "../hooks";
import type { Alternative } from "../windows";
import { Button } from "./button";
import { Pieces, useTokenization } from "./pieces";
import { overruleRefusal } from "./refusals";
import { TokenLabel } from "./token_label";

interface ForceProps {
  place: number;
  parent: number | null;
  picked: Alternative | null;
  text: string;
  onText: (text: string) => void;
  onForce: () => void;
}

/** Overrule: force what is picked or typed. */
export function ForceForm(props: ForceProps) {
  const { place, parent, picked, text, onText, onForce } = props;
  const viewer = useViewer();
  const refused = useStore((store) => overruleRefusal(store, place));
  const tokenization = useTokenization(parent, text);
  const nothing = picked === null && text === "";
  const why = refused ?? (nothing ? "Choose an alternative or type a text first." : null);

  function onKeyDown(event: TargetedKeyboardEvent<HTMLInputElement>): void {
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    if (why === null) onForce();
  }

  let words: ComponentChildren = "The old continuation stays as a branch of its own.";
  if (refused !== null) words = refused;
  else if (text === "" && picked !== null) {
    const label = <TokenLabel bytes={viewer.store.table.tokens.get(picked.id)} />;
    words = (
      <>
        Forcing {label} costs {format.bits(picked.bits)} bits.
      </>
    );
  }
  return (
    <div class="itw-force">
      <div class="itw-force-row">
        <input
          type="text"
          class="itw-input itw-force-text"
          aria-label="Force text"
          placeholder="or type any text"
          autocomplete="off"
          spellcheck={false}
          dir="auto"
          value={text}
          onInput={(event) => onText(event.currentTarget.value)}
          onKeyDown={onKeyDown}
        />
        <Button kind="primary" refused={why} onPress={onForce}>
          Force
        </Button>
      </div>
      {tokenization !== null && <Pieces tokenization={tokenization} />}
      {(tokenization === null || refused !== null) && <p class="itw-hint">{words}</p>}
    </div>
  );
}
