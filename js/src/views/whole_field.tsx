import { useState } from "preact/hooks";

interface WholeFieldProps {
  label: string;
  value: number;
  most: number;
  onChange: (value: number) => void;
}

/** A field for a whole number from 1 on. What it holds counts as soon as it is one. */
export function WholeField({ label, value, most, onChange }: WholeFieldProps) {
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
        defaultValue={String(value)}
        aria-invalid={bad}
        onInput={({ currentTarget: { validity, valueAsNumber } }) => {
          setBad(!validity.valid);
          if (validity.valid) onChange(valueAsNumber);
        }}
        onWheel={(event) => event.currentTarget.blur()}
      />
      {bad && <span role="alert">{`a whole number from 1 to ${most}`}</span>}
    </label>
  );
}
