import type { TargetedKeyboardEvent } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { count, plural } from "../format";
import { sameFields, useStore, useViewer } from "../hooks";
import { Button } from "./button";
import { History } from "./history";
import { refusal } from "./refusals";
import { Sampling, summary } from "./sampling";

/** The prompt, and the buttons that start and stop. */
export function Controls({ prefix }: { prefix: string }) {
  const viewer = useViewer();
  const refused = useStore(refusal);
  const readOnly = useStore((store) => store.readOnly !== null);
  const { settings } = useStore((store) => store.state);
  const { running, made, total, stopping } = useStore(
    ({ state: { job }, stopping }) => ({
      running: job?.kind ?? null,
      made: job?.made ?? 0,
      total: job?.total ?? 0,
      stopping: job !== null && (job.stopping || stopping !== "no"),
    }),
    sameFields,
  );
  const [open, setOpen] = useState(false);
  const [bad, setBad] = useState(false);
  // The field follows the text that is shown until the person writes something else into it.
  const shown = useStore((store) => store.state.prompt);
  const [draft, setDraft] = useState<string | null>(null);
  const fields = `${prefix}-sampling`;

  useLayoutEffect(() => {
    if (draft === shown) setDraft(null);
  }, [draft, shown]);

  function generate(): void {
    if (refused !== null) return;
    if (bad) setOpen(true);
    else viewer.generate(draft ?? shown);
  }

  return (
    <div class="itw-controls">
      <div class="itw-row">
        <Prompt text={draft ?? shown} readOnly={readOnly} onText={setDraft} onGenerate={generate} />
        <Button
          kind="primary"
          refused={refused}
          onPress={generate}
          title="Ctrl+Enter in the prompt"
        >
          Generate
        </Button>
        <Button
          refused={running !== null ? null : "Nothing is running."}
          onPress={() => viewer.stop()}
        >
          {stopping ? "Stopping…" : "Stop"}
        </Button>
      </div>
      <div class="itw-row itw-sampling-row">
        <button
          type="button"
          class="itw-disclosure"
          aria-expanded={open}
          aria-controls={fields}
          onClick={() => setOpen(!open)}
        >
          Sampling
        </button>
        <span class="itw-summary">{summary(settings)}</span>
        {running !== null && (
          <span class="itw-made">
            {running === "prompt"
              ? "reading the prompt"
              : `${count(made)} of ${plural(total, "token")}`}
          </span>
        )}
        <History />
      </div>
      <div id={fields} class="itw-fields" hidden={!open}>
        <Sampling prefix={prefix} onBad={setBad} />
      </div>
    </div>
  );
}

interface PromptProps {
  text: string;
  readOnly: boolean;
  onText: (text: string) => void;
  onGenerate: () => void;
}

function Prompt({ text, readOnly, onText, onGenerate }: PromptProps) {
  const field = useRef<HTMLTextAreaElement>(null);

  // The field grows with its text, by a script where the style sheet cannot have it so.
  useLayoutEffect(() => {
    const { current } = field;
    if (current === null || CSS.supports("field-sizing", "content")) return;
    current.style.blockSize = "auto";
    current.style.blockSize = `${current.scrollHeight + 2}px`;
  }, [text]);

  function onKeyDown(event: TargetedKeyboardEvent<HTMLTextAreaElement>): void {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    onGenerate();
  }

  return (
    <textarea
      ref={field}
      class="itw-input itw-prompt-field"
      aria-label="Prompt"
      placeholder="Write the beginning of a text"
      rows={1}
      dir="auto"
      spellcheck={false}
      readOnly={readOnly}
      value={text}
      onInput={(event) => onText(event.currentTarget.value)}
      onKeyDown={onKeyDown}
    />
  );
}
