import type { TargetedKeyboardEvent } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import * as format from "../format";
import { useStore, useViewer } from "../hooks";
import type { Rollout } from "../rollout";
import { nameOf } from "../text";
import { Button } from "./button";
import { Head } from "./head";
import { Reading } from "./reading_state";
import { refusal } from "./refusals";
import { Shaded } from "./shaded";
import { TokenLabel } from "./token_label";
import { useAnswer, useWait } from "./use_answer";
import { WholeField } from "./whole_field";

const MOST_ALTERNATIVES = 20;
const MOST_TOKENS = 200;
const TYPING_PAUSE_MS = 150;

/** A place that is asked about. */
export interface Question {
  /** The row before it. */
  parent: number;
  /** How often was asked: the same place may be asked about again. */
  number: number;
}

/** What would follow each of the best tokens in a place: side by side, and any of it kept as a branch. */
export function WhatIf(props: { question: Question; onClose: () => void }) {
  const { onClose } = props;
  const { parent, number } = props.question;
  const viewer = useViewer();
  const { table } = viewer.store;
  const [k, setK] = useState(5);
  const [length, setLength] = useState(12);
  const [rollout, again] = useAnswer(
    [parent, number, k, length].join(),
    (_, signal) => viewer.rollOut(parent, k, length, signal),
    TYPING_PAUSE_MS,
  );
  const wait = useWait();
  // Who asked goes on from the answer, unless they have turned to something else meanwhile.
  const asker = useRef<Element | null>(null);
  useLayoutEffect(() => {
    asker.current = document.activeElement;
  }, [number]);

  function lead(to: HTMLElement | null | undefined): void {
    if (document.activeElement === asker.current) to?.focus();
    asker.current = null;
  }

  function retry(): void {
    asker.current = document.activeElement;
    again();
  }

  return (
    <section
      class="itw-what-if"
      aria-label="What if"
      onKeyDown={(event) => event.key === "Escape" && onClose()}
    >
      <div class="itw-row">
        <h4 class="itw-heading">What if</h4>
        <span class="itw-context">
          another token stood after <TokenLabel bytes={table.bytes(parent)} /> at{" "}
          {table.value("position", parent) + 1}
        </span>
        <WholeField
          label="Alternatives"
          initial={k}
          most={MOST_ALTERNATIVES}
          onChange={(k) => k !== null && setK(k)}
        />
        <WholeField
          label="Tokens each"
          initial={length}
          most={MOST_TOKENS}
          onChange={(length) => length !== null && setLength(length)}
        />
        <Button onPress={onClose}>{rollout === "waiting" ? "Cancel" : "Close"}</Button>
      </div>
      {typeof rollout === "string" ? (
        <Reading failed={rollout === "failed"} words={wait} onRetry={retry} />
      ) : (
        <Continuations key={rollout.id} rollout={rollout} onShown={lead} />
      )}
    </section>
  );
}

interface ContinuationsProps {
  rollout: Rollout;
  /** Called with the first of its buttons. */
  onShown: (button: HTMLElement | null | undefined) => void;
}

/** A row for each alternative. The arrow keys walk from one button to the next. */
function Continuations({ rollout: { id, continuations }, onShown }: ContinuationsProps) {
  const viewer = useViewer();
  const body = useRef<HTMLTableSectionElement>(null);
  const refused = useStore(refusal);
  const [kept, setKept] = useState<readonly number[]>([]);

  useLayoutEffect(() => onShown(body.current?.querySelector("button")), []);

  async function keep(index: number): Promise<void> {
    if (await viewer.adopt(id, index)) setKept((before) => [...before, index]);
  }

  function onKeyDown(event: TargetedKeyboardEvent<HTMLElement>): void {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const buttons = [...(body.current?.querySelectorAll("button") ?? [])];
    buttons[buttons.indexOf(event.target as HTMLButtonElement) + step]?.focus();
  }

  return (
    <table class="itw-numbers" aria-label="Continuations" onKeyDown={onKeyDown}>
      <Head names={["rank", "token", "p", "and what follows", "bits, all", "keep"]} />
      <tbody ref={body}>
        {continuations.map((one, index) => {
          const word = kept.includes(index) ? "Kept" : "Keep";
          const bytes = viewer.store.table.tokens.get(one.ids[0] ?? -1) ?? new Uint8Array();
          return (
            <tr key={index}>
              <td>{format.count(one.ranks[0] ?? Number.NaN)}</td>
              <th scope="row">
                <TokenLabel bytes={bytes} />
              </th>
              <td>{format.probability(2 ** -(one.surprisals[0] ?? Number.NaN))}</td>
              <td class="itw-continuation">
                <Shaded {...one} />
                {one.ended && <small> end of text</small>}
              </td>
              <td>{format.bits(one.surprisals.reduce((sum, x) => sum + x, 0))}</td>
              <td>
                <Button
                  label={`${word} "${nameOf(bytes)}"`}
                  refused={refused}
                  title="Make it a branch; the model has nothing to do"
                  onPress={() => void keep(index)}
                >
                  {word}
                </Button>
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
