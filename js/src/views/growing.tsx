import { useState } from "preact/hooks";
import { useStore, useViewer } from "../hooks";
import { Button } from "./button";
import { overruleRefusal, refusal } from "./refusals";
import { acceptedUpTo, WholeField } from "./whole_field";

const MOST_SIBLINGS = 20;

interface GrowingProps {
  place: number;
  /** Whether a token stands there. */
  standing: boolean;
  onWhatIf: () => void;
}

/** What else can be made of a place: go on from it, let the model try again, or see what might come. */
export function Growing({ place, standing, onWhatIf }: GrowingProps) {
  const viewer = useViewer();
  const refused = useStore((store) => overruleRefusal(store, place));
  const still = useStore(refusal);
  const asking = useStore((store) => store.readOnly ?? (place === 0 ? refused : null));
  const greedy = useStore((store) => store.state.settings.temperature === 0);
  const [n, setN] = useState<number | null>(4);
  const again = greedy ? "Greedy decoding makes the same text again: set a temperature." : null;
  return (
    <div class="itw-row">
      <Button
        refused={asking}
        title="What would follow each of the most probable tokens (key w)"
        onPress={onWhatIf}
      >
        What if
      </Button>
      {standing && (
        <>
          <Button
            refused={still}
            title="Generate after this token; what follows it now stays"
            onPress={() => viewer.continueFrom(place)}
          >
            Continue from here
          </Button>
          <Button
            refused={refused ?? again}
            title="Another continuation in this place, with the next seed"
            onPress={() => viewer.regenerate(place)}
          >
            Regenerate from here
          </Button>
        </>
      )}
      <span class="itw-row">
        <Button
          refused={refused ?? again ?? (n === null ? acceptedUpTo(MOST_SIBLINGS) : null)}
          title="Several continuations in this place, each with the next seed"
          onPress={() => n !== null && viewer.growSiblings(place, n)}
        >
          Grow siblings
        </Button>
        <WholeField label="Siblings" initial={4} most={MOST_SIBLINGS} onChange={setN} />
      </span>
    </div>
  );
}
