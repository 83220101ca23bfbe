import { useState } from "preact/hooks";

interface WholeFieldProps {
  label: string;
  initial: number;
  most: number;
  /** Called with null while what the field holds is not accepted. */
  onChange: (value: number | null) => void;
}

/** What a field for a whole number accepts, in words. */
export function acceptedUpTo(most: number): string {
  return `a whole number from 1 to ${most}`;
}

/** A field for a whole number from 1 on. What it holds counts as soon as it is one. */
export function WholeField({ label, initial, most, onChange }: WholeFieldProps) {
  const [bad, setBad] = useState(false);
  return (
    <label class="itw-whole">
      {label}
      <input
        type="number"
        class="itw-input"
        min={1}
        max={most}
        required
        defaultValue={String(initial)}
        aria-invalid={bad}
        onInput={({ currentTarget: { validity, valueAsNumber } }) => {
          setBad(!validity.valid);
          onChange(validity.valid ? valueAsNumber : null);
        }}
        onWheel={(event) => event.currentTarget.blur()}
      />
      {bad && <span role="alert">{acceptedUpTo(most)}</span>}
    </label>
  );
}
