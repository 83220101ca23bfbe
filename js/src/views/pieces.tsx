import type { ComponentChildren } from "preact";
import * as format from "../format";
import { useStore, useViewer } from "../hooks";
import type { Tokenization } from "../viewer";
import { TokenLabel } from "./token_label";
import { useAnswer } from "./use_answer";

const TYPING_PAUSE_MS = 150;
/** More than these are counted and not shown. */
const MOST_SHOWN = 40;

/** How a text would be forced after a row; null until the kernel has said so. */
export function useTokenization(parent: number | null, text: string): Tokenization | null {
  const viewer = useViewer();
  const readOnly = useStore((store) => store.readOnly !== null);
  const subject = parent === null || readOnly || text === "" ? null : text;
  const [answer] = useAnswer(
    subject,
    (text, signal) => viewer.tokenize(parent ?? -1, text, signal),
    TYPING_PAUSE_MS,
  );
  return typeof answer === "string" ? null : answer;
}

/** A typed text as the tokens that it would be forced as, with their price as far as it is known. */
export function Pieces({ tokenization }: { tokenization: Tokenization }) {
  const { token_ids, surprisals, joined } = tokenization;
  const { tokens } = useViewer().store.table;
  const more = token_ids.length - MOST_SHOWN;
  return (
    <div class="itw-pieces">
      <ul aria-label="Tokens of the text">
        {token_ids.slice(0, MOST_SHOWN).map((id, index) => (
          <li key={index} title={`id ${id}`}>
            <TokenLabel bytes={tokens.get(id)} /> <small>{priceOf(surprisals[index])}</small>
          </li>
        ))}
        {more > 0 && <li>and {format.plural(more, "more token", "more tokens")}</li>}
      </ul>
      <p class="itw-hint" role="status">
        {totalOf(surprisals)}
        {joined.length > 0 && (
          <>
            {" "}
            Written in one with the text before it, it would join to{" "}
            {joined.map(
              (id, index) =>
                [
                  index > 0 && " ",
                  <TokenLabel key={index} bytes={tokens.get(id)} />,
                ] as ComponentChildren,
            )}
            : the model seldom reads it cut like this.
          </>
        )}
      </p>
    </div>
  );
}

function priceOf(bits: number | null | undefined): string {
  return bits === null || bits === undefined ? "? bits" : `${format.bits(bits)} bits`;
}

function totalOf(surprisals: Tokenization["surprisals"]): string {
  const known = surprisals.filter((bits) => bits !== null);
  const bits = format.bits(known.reduce((sum, bits) => sum + bits, 0));
  const count = format.plural(surprisals.length, "token");
  if (known.length === surprisals.length) return `${count}: forcing it costs ${bits} bits.`;
  if (known.length === 0) return `${count}: what it costs is known when it is forced.`;
  return `${count}: the first ${known.length === 1 ? "one costs" : `${known.length} cost`} ${bits} bits; the others are priced when they are forced.`;
}
