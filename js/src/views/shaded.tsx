import { shareOf } from "../colour";
import * as format from "../format";
import { useViewer } from "../hooks";
import { SURPRISAL } from "../measures";
import type { Continuation } from "../rollout";
import { byteMark, markOf, nameOf, piecesOf } from "../text";

/** What follows the first token of a continuation, each token as dark as it is surprising. */
export function Shaded({ ids, ranks, surprisals }: Continuation) {
  const { tokens } = useViewer().store.table;
  const bytes = Array.from(ids, (id) => tokens.get(id) ?? new Uint8Array());
  return (
    <bdi class="itw-shaded itw-by-warm">
      {piecesOf(bytes.slice(1)).pieces.map(({ text, first, last, byte }, index) => {
        // A character that several tokens make has what they have together.
        const own = [first + 1, last + 2] as const;
        const bits = surprisals.slice(...own).reduce((sum, x) => sum + x, 0);
        const name = bytes
          .slice(...own)
          .map(nameOf)
          .join(" ");
        return (
          <span
            key={index}
            class="itw-shade"
            style={{ "--itw-share": shareOf(SURPRISAL, SURPRISAL, bits) }}
            title={`"${name}": ${format.bits(bits)} bits, rank ${ranks[own[0]]}`}
          >
            {byte === undefined
              ? text.replaceAll(/[^ ]/gu, (one) => markOf(one) ?? one)
              : byteMark(byte)}
          </span>
        );
      })}
    </bdi>
  );
}
