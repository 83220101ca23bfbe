import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { plural } from "../format";
import { useStore, useViewer } from "../hooks";
import type { Settings } from "../protocol";

interface Field {
  name: keyof Settings;
  label: string;
  step: number;
  /** Whether an empty field switches the stage off. */
  optional: boolean;
  accepts: (value: number) => boolean;
  advice: string;
}

const FIELDS: readonly Field[] = [
  {
    name: "temperature",
    label: "Temperature",
    step: 0.1,
    optional: false,
    accepts: (value) => value >= 0,
    advice: "Temperature is 0 (greedy) or more.",
  },
  {
    name: "top_p",
    label: "Top-p",
    step: 0.05,
    optional: true,
    accepts: (value) => value > 0 && value <= 1,
    advice: "Top-p is above 0 and at most 1, or empty for off.",
  },
  {
    name: "top_k",
    label: "Top-k",
    step: 1,
    optional: true,
    accepts: (value) => Number.isInteger(value) && value >= 1,
    advice: "Top-k is a whole number from 1 on, or empty for off.",
  },
  {
    name: "min_p",
    label: "Min-p",
    step: 0.01,
    optional: true,
    accepts: (value) => value >= 0 && value <= 1,
    advice: "Min-p is between 0 and 1, or empty for off.",
  },
  {
    name: "seed",
    label: "Seed",
    step: 1,
    optional: false,
    accepts: (value) => Number.isSafeInteger(value) && value >= 0,
    advice: "Seed is a whole number from 0 on.",
  },
  {
    name: "max_new_tokens",
    label: "Tokens",
    step: 1,
    optional: false,
    accepts: (value) => Number.isSafeInteger(value) && value >= 1,
    advice: "Tokens is a whole number from 1 on.",
  },
];

/** The settings in one line. */
export function summary(settings: Settings): string {
  const { temperature, top_p, top_k, min_p, seed, max_new_tokens } = settings;
  const parts = temperature === 0 ? ["greedy"] : [`temperature ${temperature}`];
  if (temperature !== 0) {
    if (top_p !== null) parts.push(`top-p ${top_p}`);
    if (top_k !== null) parts.push(`top-k ${top_k}`);
    if (min_p !== null) parts.push(`min-p ${min_p}`);
    parts.push(`seed ${seed}`);
  }
  parts.push(plural(max_new_tokens, "token"));
  return parts.join(" · ");
}

/** The number fields. `onBad` hears whether one of them holds what cannot be used. */
export function Sampling({ prefix, onBad }: { prefix: string; onBad: (bad: boolean) => void }) {
  const [drafts, setDrafts] = useState<Partial<Record<keyof Settings, string>>>({});

  function setDraft(name: keyof Settings, draft: string | undefined): void {
    const next = { ...drafts, [name]: draft };
    setDrafts(next);
    onBad(
      FIELDS.some((field) => next[field.name] !== undefined && read(field, next) === undefined),
    );
  }

  return (
    <>
      {FIELDS.map((field) => (
        <NumberField
          key={field.name}
          field={field}
          id={`${prefix}-${field.name}`}
          draft={drafts[field.name]}
          onDraft={(draft) => setDraft(field.name, draft)}
        />
      ))}
    </>
  );
}

/** The number that a draft stands for, null for off, undefined for what cannot be used. */
function read(field: Field, drafts: Partial<Record<keyof Settings, string>>) {
  const draft = drafts[field.name]?.trim() ?? "";
  if (draft === "") return field.optional ? null : undefined;
  const value = Number(draft);
  return Number.isFinite(value) && field.accepts(value) ? value : undefined;
}

interface NumberFieldProps {
  field: Field;
  id: string;
  draft: string | undefined;
  onDraft: (draft: string | undefined) => void;
}

function NumberField({ field, id, draft, onDraft }: NumberFieldProps) {
  const viewer = useViewer();
  const value = useStore((store) => store.state.settings[field.name]);
  const readOnly = useStore((store) => store.readOnly !== null);
  const bad = draft !== undefined && read(field, { [field.name]: draft }) === undefined;
  const input = useRef<HTMLInputElement>(null);

  // While the person types, the field is theirs: a number field forgets what it is given and cannot read.
  useLayoutEffect(() => {
    if (draft === undefined && input.current !== null) input.current.value = String(value ?? "");
  }, [draft, value]);

  function commit(): void {
    if (draft === undefined || bad) return;
    const number = read(field, { [field.name]: draft });
    onDraft(undefined);
    if (number === value || number === undefined) return;
    viewer.changeSettings({ ...viewer.store.state.settings, [field.name]: number });
  }

  return (
    <label class="itw-field">
      {field.label}
      <input
        ref={input}
        type="number"
        class="itw-input"
        step={field.step}
        placeholder={field.optional ? "off" : ""}
        readOnly={readOnly}
        aria-invalid={bad}
        aria-describedby={bad ? `${id}-advice` : undefined}
        onInput={(event) => onDraft(typed(event.currentTarget))}
        onChange={commit}
        onBlur={commit}
        // The wheel scrolls the page and must not turn a number that happens to be under it.
        onWheel={(event) => event.currentTarget.blur()}
      />
      {bad && (
        <span id={`${id}-advice`} class="itw-advice" role="alert">
          {field.advice}
        </span>
      )}
    </label>
  );
}

/** What stands in the field. A number field hides text that is no number, which is not the same as empty. */
function typed(input: HTMLInputElement): string {
  return input.validity.badInput ? "?" : input.value;
}
