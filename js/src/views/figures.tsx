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
      // A token without a context has no rank.
      rank: of("rank") || Number.NaN,
      cost: of("cost"),
      expected: of("expected_cost"),
      vocabulary: state.model.vocabulary_size,
    };
  }, sameFields);
  const { bits, count, figure } = format;
  const figures: [number, (value: number) => string, string, string][] = [
    [surprisal, bits, "surprisal, bits", "-log2 p of the token"],
    [rank, count, `rank of ${count(vocabulary)}`, "1 is the most probable token of p"],
    [entropy, bits, "entropy, bits", "Entropy of p: its mean surprisal"],
    [
      2 ** entropy,
      figure,
      "effective choices",
      "2 to the entropy: as many equals would be as uncertain",
    ],
    [varentropy, bits, "varentropy, bits²", "Variance of the surprisal under p"],
    [cost, bits, "cost, bits", "log2 q - log2 p of the token; the surprisal of a forced one"],
    [
      expected,
      bits,
      "expected cost D, bits",
      "KL(q‖p): what the interventions cost here on average",
    ],
  ];
  return (
    <div class="itw-figures">
      {figures.map(
        ([value, write, unit, title]) =>
          !Number.isNaN(value) && (
            <div key={unit} title={title}>
              <b>{write(value)}</b> <span>{unit}</span>
            </div>
          ),
      )}
    </div>
  );
}
