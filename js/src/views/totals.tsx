import { useRef, useState } from "preact/hooks";
import * as format from "../format";
import { sameFields, useStore } from "../hooks";
import type { Store } from "../store";
import { nameOf } from "../text";
import { type Range, RunningSums } from "../totals";
import { Choice } from "./choice";

const CHOSEN = "chosen";
/** Characters of a token's name in the title of a stretch. */
const LONGEST_NAME = 16;

/** What the text amounts to, or the part of it that is chosen. */
export function Totals(props: { range: Range | null; onChoose: (range: null) => void }) {
  const { range, onChoose } = props;
  const [part, setPart] = useState("all");
  const running = useRef(new RunningSums());
  const title = useStore((store) => (range === null ? "" : titleOf(store, range)));
  const totals = useStore((store) => {
    const sums = running.current.between(store, range ?? rangeOf(store, part));
    return {
      tokens: format.count(sums.tokens),
      bits: format.bits(sums.bits),
      perByte: format.figure(sums.bitsPerByte),
      perplexity: format.figure(sums.perplexity),
      entropy: format.bits(sums.meanEntropy),
      typicality: format.signed(sums.typicality),
      cost: format.bits(sums.cost),
    };
  }, sameFields);
  const parts: [string, string][] = [
    ["all", "the whole text"],
    ["prompt", "the prompt"],
    ["new", "the new tokens"],
  ];
  if (range !== null) parts.push([CHOSEN, title]);
  return (
    <div class="itw-row itw-totals">
      <Choice
        label="Totals of"
        value={range === null ? part : CHOSEN}
        options={parts}
        onChoose={(value) => {
          if (value === CHOSEN) return;
          setPart(value);
          onChoose(null);
        }}
      />
      <Total after={totals.tokens === "1" ? "token" : "tokens"} value={totals.tokens} />
      <Total
        after="bits"
        value={totals.bits}
        title="Surprisal of all of it: -log2 of its probability"
      />
      <Total
        after="bits/byte"
        value={totals.perByte}
        title="Bits over UTF-8 bytes: compares models with different tokens"
      />
      <Total
        before="perplexity"
        value={totals.perplexity}
        title="2 to the mean surprisal of a token"
      />
      <Total
        before="mean entropy"
        value={totals.entropy}
        after="bits"
        title="How open it was, on average, which token comes"
      />
      <Total
        before="typicality z"
        value={totals.typicality}
        title="Sum of surprisal - entropy over the root of the summed varentropy: within ±2 for most text sampled at temperature 1, below where it is too predictable, above where it surprises"
      />
      <Total
        before="steering cost"
        value={totals.cost}
        after="bits"
        title="Bits paid for choices that the model did not make by itself"
      />
    </div>
  );
}

function rangeOf({ path, tree, head }: Store, part: string): Range {
  const begins = path.length - tree.sums(head).tokens;
  return {
    first: part === "new" ? begins : 0,
    last: (part === "prompt" ? begins : path.length) - 1,
  };
}

/** A stretch of text by the tokens at its ends. */
function titleOf({ path, table }: Store, { first, last }: Range): string {
  const ends = first === last ? [first] : [first, last];
  const names = ends.map((place) => nameOf(table.bytes(path[place] ?? -1)).trim());
  return names
    .map((name) => `“${name.slice(0, LONGEST_NAME)}${name.length > LONGEST_NAME ? "…" : ""}”`)
    .join(" to ");
}

function Total(props: { before?: string; value: string; after?: string; title?: string }) {
  const { before = "", value, after = "", title } = props;
  return (
    <span class="itw-total" title={title}>
      {before} <b>{value}</b> {after}
    </span>
  );
}
