import { stepOut } from "./step_out";

interface ReadingProps {
  failed: boolean;
  /** What there is to say while nothing has failed. */
  words: string;
  onRetry: () => void;
}

/** How the reading of something from the model stands. */
export function Reading({ failed, words, onRetry }: ReadingProps) {
  return (
    <div class="itw-rest">
      <span role="status">{failed ? "reading from the model failed" : words}</span>
      {failed && (
        <button
          type="button"
          class="itw-link"
          onClick={({ currentTarget }) => {
            stepOut(currentTarget);
            onRetry();
          }}
        >
          Try again
        </button>
      )}
    </div>
  );
}
