import { useStore, useViewer } from "../hooks";
import { COLOURS, type Colour } from "../protocol";
import type { Branch } from "../tree";
import { Button } from "./button";
import { labelRefusal } from "./refusals";

interface ToolsProps {
  prefix: string;
  branch: Branch;
  onRename: () => void;
  onHide: () => void;
}

/** What can be said of one branch: a name, a colour, and that lists shall leave it out. */
export function BranchTools({ prefix, branch, onRename, onHide }: ToolsProps) {
  const viewer = useViewer();
  const refused = useStore(labelRefusal);
  const { labels } = viewer.store;
  const name = labels.nameOf(branch);
  const hidden = labels.isHidden(branch);
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset in a fieldset would say too much
    <div class="itw-row itw-tools" role="group" aria-label={name}>
      <bdi class="itw-target" aria-hidden="true">
        {name}
      </bdi>
      <Button kind="small" refused={refused} title="F2 in the list" onPress={onRename}>
        Rename
      </Button>
      <Swatches
        group={`${prefix}-colour`}
        chosen={labels.colourOf(branch)}
        refused={refused}
        onChoose={(colour) => void viewer.label(branch.start, { colour })}
      />
      <Button
        kind="small"
        refused={refused}
        title={
          hidden ? "List this branch again" : "Leave this branch out of the list; its text is kept"
        }
        onPress={() => {
          void viewer.label(branch.start, { hidden: !hidden });
          if (!hidden) onHide();
        }}
      >
        {hidden ? "Unhide" : "Hide"}
      </Button>
    </div>
  );
}

interface SwatchesProps {
  group: string;
  chosen: Colour | null;
  refused: string | null;
  onChoose: (colour: Colour | null) => void;
}

function Swatches({ group, chosen, refused, onChoose }: SwatchesProps) {
  return (
    <fieldset class="itw-choices" disabled={refused !== null} title={refused ?? undefined}>
      <legend class="itw-aloud">Colour</legend>
      {[null, ...COLOURS].map((colour) => (
        <input
          key={colour}
          type="radio"
          name={group}
          class={colour === null ? "itw-choice" : `itw-choice itw-colour-${colour}`}
          aria-label={colour ?? "no colour"}
          title={colour ?? "no colour"}
          checked={colour === chosen}
          onChange={() => onChoose(colour)}
        />
      ))}
    </fieldset>
  );
}
