import { type Measure, measuresOf } from "../colour";
import * as format from "../format";
import { sameFields, useStore } from "../hooks";

/** What the colours mean, and what the text amounts to. */
export function MetaRow(props: { measure: Measure; onMeasure: (measure: Measure) => void }) {
  const { measure, onMeasure } = props;
  const infos = useStore((store) => store.table.measures);
  const measures = measuresOf(infos);
  return (
    <div class="itw-row itw-meta">
      <label class="itw-legend">
        Colour by
        <select
          class="itw-input"
          value={measure.name}
          onChange={({ currentTarget: { value } }) =>
            onMeasure(measures.find(({ name }) => name === value) ?? measure)
          }
        >
          {measures.map(({ name, title }) => (
            <option key={name} value={name}>
              {title}
            </option>
          ))}
        </select>
      </label>
      <span class={`itw-legend itw-by-${measure.ramp}`}>
        0 <span class="itw-ramp" role="img" aria-label="from pale to strong" /> {measure.limit}{" "}
        {measure.unit}
      </span>
      <Totals />
    </div>
  );
}

function Totals() {
  const { tokens, scored, bits, cost, branches } = useStore(
    (store) => ({ ...store.tree.sums(store.head), branches: store.tree.branches.length }),
    sameFields,
  );
  return (
    <span class="itw-totals">
      <Total value={format.count(tokens)} unit={tokens === 1 ? "new token" : "new tokens"} />
      <Total value={format.bits(bits)} unit="bits" title="Surprisal of the new tokens together" />
      <Total
        name="perplexity"
        value={scored === 0 ? "–" : format.figure(2 ** (bits / scored))}
        title="2 to the mean surprisal of the new tokens"
      />
      <Total
        name="steering cost"
        value={format.bits(cost)}
        unit="bits"
        title="What was paid in bits for every choice that the model did not make by itself"
      />
      <Total value={format.count(branches)} unit={branches === 1 ? "branch" : "branches"} />
    </span>
  );
}

function Total(props: { name?: string; value: string; unit?: string; title?: string }) {
  const { name, value, unit, title } = props;
  return (
    <span class="itw-total" title={title}>
      {name !== undefined && `${name} `}
      <b>{value}</b>
      {unit !== undefined && ` ${unit}`}
    </span>
  );
}
