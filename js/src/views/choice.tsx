/** A choice of a few things, by their names. */
export function Choice(props: {
  label: string;
  value: string;
  options: Iterable<readonly [value: string, title: string]>;
  onChoose: (value: string) => void;
}) {
  const { label, value, options, onChoose } = props;
  return (
    <label class="itw-legend">
      {label}
      <select
        class="itw-input"
        value={value}
        onChange={({ currentTarget }) => onChoose(currentTarget.value)}
      >
        {[...options].map(([value, title]) => (
          <option key={value} value={value}>
            {title}
          </option>
        ))}
      </select>
    </label>
  );
}
