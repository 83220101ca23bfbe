import { useRef, useState } from "preact/hooks";
import * as format from "../format";
import { useStore, useViewer } from "../hooks";
import { AlternativeList } from "./alternative_list";
import { ForceForm } from "./force";
import { overruleRefusal } from "./refusals";
import { type Alternative, useAlternatives } from "./use_alternatives";

interface AlternativesProps {
  prefix: string;
  place: number;
  row: number | null;
  parent: number | null;
}

/** The distribution in one place: its figures, its tokens by rank, a search in all of them. */
export function AlternativesPanel({ prefix, place, row, parent }: AlternativesProps) {
  const viewer = useViewer();
  const { table } = viewer.store;
  const alternatives = useAlternatives(place, parent);
  const { items, search, setSearch, entropy, readOnly, held } = alternatives;
  const [picked, setPicked] = useState<Alternative | null>(null);
  const [text, setText] = useState("");
  const searchField = useRef<HTMLInputElement>(null);
  const chosen = row === null ? null : chosenIn(table, row);

  async function force(choice: Alternative | string): Promise<void> {
    if (overruleRefusal(viewer.store, place) !== null) return;
    const taken = await viewer.force(
      place,
      typeof choice === "string" ? { text: choice } : { token_id: choice.id },
    );
    if (!taken) return;
    setPicked(null);
    setText("");
  }

  const form = (
    <ForceForm
      place={place}
      canRegenerate={row !== null}
      picked={picked}
      text={text}
      onText={(typed) => {
        setText(typed);
        setPicked(null);
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
      <Figures chosen={chosen} entropy={entropy} />
      <input
        ref={searchField}
        type="search"
        class="itw-input itw-search"
        aria-label="Search vocabulary"
        placeholder="Search vocabulary"
        value={search}
        onInput={(event) => setSearch(event.currentTarget.value)}
      />
      <AlternativeList
        prefix={prefix}
        items={items}
        chosen={chosen}
        ranked={search === ""}
        picked={picked}
        onPick={(item) => {
          setPicked(item);
          setText("");
        }}
        onForce={(item) => void force(item)}
        after={<Rest {...alternatives} />}
      />
      {form}
    </>
  );
}

/** Why there is nothing to list, or null. */
function missingOf(noContext: boolean, noModel: boolean): string | null {
  if (noContext) {
    return "There is no context here, so there is no distribution, and this token is not scored.";
  }
  return noModel ? "The alternatives here need the model, and there is none." : null;
}

function chosenIn(table: ReturnType<typeof useViewer>["store"]["table"], row: number) {
  const bits = table.value("surprisal", row);
  if (Number.isNaN(bits)) return null;
  return { rank: table.value("rank", row), id: table.value("token_id", row), p: 2 ** -bits, bits };
}

function Figures({ chosen, entropy }: { chosen: Alternative | null; entropy: number }) {
  const vocabulary = useStore((store) => store.state.model.vocabulary_size);
  return (
    <div class="itw-figures">
      {chosen !== null && (
        <>
          <Figure value={format.bits(chosen.bits)} unit="surprisal, bits" />
          <Figure value={format.count(chosen.rank)} unit={`rank of ${format.count(vocabulary)}`} />
        </>
      )}
      <Figure value={format.bits(entropy)} unit="entropy, bits" />
      <Figure value={format.figure(2 ** entropy)} unit="effective choices" />
    </div>
  );
}

function Figure({ value, unit }: { value: string; unit: string }) {
  return (
    <div>
      <b>{value}</b> <span>{unit}</span>
    </div>
  );
}

/** What is not listed, and the way to it. */
function Rest(props: ReturnType<typeof useAlternatives>) {
  const { asking, answered, more } = props;
  const failed = asking === "failed";
  const wait = useStore(({ busy, unanswered }) => {
    if (failed) return "reading more from the model failed";
    if (unanswered) return "the kernel does not answer";
    return busy ? "waiting for the kernel" : "asking the kernel …";
  });
  return (
    <div class="itw-rest">
      <span role="status">{restOf(props, wait)}</span>
      {more !== null && (failed || (answered && asking === "no")) && (
        <button type="button" class="itw-link" onClick={more}>
          {failed ? "Try again" : "Show more"}
        </button>
      )}
    </div>
  );
}

function restOf(props: ReturnType<typeof useAlternatives>, wait: string): string {
  const { items, search, total, next, held, asking, readOnly, answered } = props;
  if (search === "") {
    if (asking !== "no" || !answered) return wait;
    if (next >= total) return "";
    const mass = format.percent(1 - items.reduce((sum, { p }) => sum + p, 0));
    const [from, to] = [format.count(next + 1), format.count(total)];
    return `ranks ${from} – ${to} hold ${mass} of the mass`;
  }
  const matches = format.plural(items.length, "match", "matches");
  if (readOnly) return `${matches}; only the ${held} most probable are held in the file`;
  if (!answered) return items.length === 0 ? wait : `${matches} among the most probable; ${wait}`;
  if (asking !== "no") return wait;
  if (total === 0) return "no token contains this";
  return total === 1 ? "1 token matches" : `${format.count(total)} tokens match`;
}
