interface FindProps {
  label: string;
  query: string;
  onFind: (query: string) => void;
}

/** The field by which branches are found among many. */
export function FindBranch({ label, query, onFind }: FindProps) {
  return (
    <input
      type="search"
      class="itw-input itw-find"
      aria-label={label}
      placeholder="Find branch"
      spellcheck={false}
      value={query}
      onInput={({ currentTarget }) => onFind(currentTarget.value)}
    />
  );
}
