import * as format from "../format";
import { sameFields, useStore } from "../hooks";

interface FiguresProps {
  /** The token that stands in the place, if there is one. */
  row: number | null;
  entropy: number;
  varentropy: number;
}

/** The figures of one place and, where a token stands there, those of the token. */
export function Figures({ row, entropy, varentropy }: FiguresProps) {
  const { surprisal, rank, cost, expected, vocabulary } = useStore(({ table, state }) => {
    const of = (name: Parameters<typeof table.value>[0]) =>
      row === null ? Number.NaN : table.value(name, row);
    return {
      surprisal: of("surprisal"),
      rank: of("rank"),
      cost: of("cost"),
      expected: of("expected_cost"),
      vocabulary: state.model.vocabulary_size,
    };
  }, sameFields);
  const bits = format.bits;
  return (
    <div class="itw-figures">
      <Figure value={surprisal} unit="surprisal, bits" title="-log2 p of the token" write={bits} />
      <Figure
        value={Number.isNaN(surprisal) ? Number.NaN : rank}
        unit={`rank of ${format.count(vocabulary)}`}
        title="1 is the most probable token of p"
        write={format.count}
      />
      <Figure
        value={entropy}
        unit="entropy, bits"
        title="Entropy of p: its mean surprisal"
        write={bits}
      />
      <Figure
        value={2 ** entropy}
        unit="effective choices"
        title="2 to the entropy: as many equally probable tokens would be as uncertain"
        write={format.figure}
      />
      <Figure
        value={varentropy}
        unit="varentropy, bits²"
        title="Variance of the surprisal under p"
        write={bits}
      />
      <Figure
        value={cost}
        unit="cost, bits"
        title="Realised cost: log2 q - log2 p of the token; its surprisal if it was forced"
        write={bits}
      />
      <Figure
        value={expected}
        unit="expected cost D, bits"
        title="D = KL(q‖p): what the interventions cost here on average"
        write={bits}
      />
    </div>
  );
}

interface FigureProps {
  value: number;
  unit: string;
  title: string;
  write: (value: number) => string;
}

/** One figure with its unit; nothing where there is none. */
function Figure({ value, unit, title, write }: FigureProps) {
  if (Number.isNaN(value)) return null;
  return (
    <div title={title}>
      <b>{write(value)}</b> <span>{unit}</span>
    </div>
  );
}
