import { useEffect, useState } from "preact/hooks";
import * as format from "../format";
import { useViewer } from "../hooks";
import { type Alternative, WINDOW } from "../windows";
import { AlternativeList } from "./alternative_list";
import { Figures } from "./figures";
import { ForceForm } from "./force";
import { Reading } from "./reading_state";
import { overruleRefusal } from "./refusals";
import { type Listing, useAlternatives } from "./use_alternatives";
import { useWait } from "./use_answer";

interface AlternativesProps {
  prefix: string;
  place: number;
  row: number | null;
  parent: number | null;
}

/** What a person has picked: a row of the list, and the token that stood there. */
interface Pick {
  index: number;
  item: Alternative | undefined;
}

/** The distribution in one place: its figures, its tokens by rank, a search in all of them. */
export function AlternativesPanel({ prefix, place, row, parent }: AlternativesProps) {
  const viewer = useViewer();
  const alternatives = useAlternatives(place, row, parent);
  const { item, search, setSearch, entropy, varentropy, readOnly, held, key } = alternatives;
  const [pick, setPick] = useState<Pick | null>(null);
  const [text, setText] = useState("");
  const at = pick === null ? null : placeOf(pick, item);
  const picked = pick === null ? null : (pick.item ?? item(pick.index) ?? null);
  useEffect(() => setPick(null), [key]);

  async function force(choice: Alternative | string): Promise<void> {
    if (overruleRefusal(viewer.store, place) !== null) return;
    const taken = await viewer.force(
      place,
      typeof choice === "string" ? { text: choice } : { token_id: choice.id },
    );
    if (!taken) return;
    setPick(null);
    setText("");
  }

  const form = (
    <ForceForm
      place={place}
      parent={parent}
      picked={picked}
      text={text}
      onText={(typed) => {
        setText(typed);
        setPick(null);
      }}
      onForce={() => void (text !== "" ? force(text) : picked !== null && force(picked))}
    />
  );
  const missing = missingOf(parent === null, readOnly && held === 0);
  if (missing !== null) {
    return (
      <>
        <p class="itw-empty">{missing}</p>
        {form}
      </>
    );
  }
  return (
    <>
      <Figures row={row} entropy={entropy} varentropy={varentropy} />
      <input
        type="search"
        class="itw-input itw-search"
        aria-label="Search vocabulary"
        placeholder="Search vocabulary: a text, or #id"
        value={search}
        onInput={(event) => setSearch(event.currentTarget.value)}
      />
      <AlternativeList
        prefix={prefix}
        alternatives={alternatives}
        at={at}
        onPick={(index) => {
          setPick({ index, item: item(index) });
          setText("");
        }}
        onForce={(item) => void force(item)}
      />
      <Rest alternatives={alternatives} />
      {form}
    </>
  );
}

/** Where the token that was picked stands: of tokens that tie, what comes later may change the order. */
function placeOf({ index, item: picked }: Pick, item: Listing["item"]): number {
  if (picked === undefined) return index;
  for (let away = 0; away < WINDOW; away++) {
    for (const near of [index - away, index + away]) {
      if (item(near)?.id === picked.id) return near;
    }
  }
  return index;
}

/** Why there is nothing to list, or null. */
function missingOf(noContext: boolean, noModel: boolean): string | null {
  if (noContext) {
    return "There is no context here, so there is no distribution, and this token is not scored.";
  }
  return noModel ? "The alternatives here need the model, and there is none." : null;
}

/** What there is to say of the list as a whole, and why a part of it is not there. */
function Rest({ alternatives }: { alternatives: Listing }) {
  const { failed, retry } = alternatives;
  const words = restOf(alternatives, useWait());
  return <Reading failed={failed} words={words} onRetry={retry} />;
}

function restOf(alternatives: Listing, wait: string): string {
  const { search, total, held, item, order, lacking, readOnly, answered } = alternatives;
  if (search === "") {
    const last = Math.min(held > 0 ? held : WINDOW, total);
    const end = item(last - 1);
    if (lacking || (end === undefined && !answered)) return wait;
    if (end === undefined) return `${format.count(total)} tokens`;
    const mass = format.percent(end.mass);
    if (readOnly) return `only the ${held} most probable are held here: ${mass} of the mass`;
    return `${format.count(total)} tokens; the first ${last} hold ${mass} of ${order}`;
  }
  const matches = format.plural(total, "match", "matches");
  if (readOnly) return `${matches}; only the ${held} most probable are held here`;
  if (!answered) return total === 0 ? wait : `${matches} among the most probable; ${wait}`;
  if (lacking) return wait;
  if (total === 0) return "no token contains this";
  return total === 1 ? "1 token matches" : `${format.count(total)} tokens match`;
}
