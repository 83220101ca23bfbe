import { sameFields, useStore, useViewer } from "../hooks";
import { stepOut } from "./step_out";

/** What the person must know: why nothing can be changed, what failed, and that nobody answers. */
export function Notices() {
  const viewer = useViewer();
  const { store } = viewer;
  const readOnly = useStore((store) => store.state.read_only);
  const notice = useStore((store) => store.state.notice);
  const errors = useStore((store) => store.errors);
  const { offline, unanswered, stopping } = useStore(
    ({ offline, unanswered, stopping }) => ({ offline, unanswered, stopping }),
    sameFields,
  );
  // The kernel may tell of the same failure twice: as the answer to a request and for every page.
  const others = errors.filter(({ message }) => message !== notice?.message);

  function dismiss(): void {
    if (notice === null) return;
    for (const error of errors) if (error.message === notice.message) store.dropError(error.id);
    viewer.dismissNotice(notice.id);
  }

  return (
    <div class="itw-notices">
      {readOnly !== null && (
        <p class="itw-banner" role="note">
          {readOnly}
        </p>
      )}
      {notice !== null && <Alert message={notice.message} onDismiss={dismiss} />}
      {others.map(({ id, message }) => (
        <Alert key={id} message={message} onDismiss={() => store.dropError(id)} />
      ))}
      <div role="status">
        {offline && readOnly === null && (
          <p class="itw-banner">
            No kernel answers. This is what was saved; what needs the model waits for a kernel.
          </p>
        )}
        {unanswered && !offline && (
          <p class="itw-banner">
            The kernel does not answer: it is busy or gone. What is on this page can still be read.
          </p>
        )}
        {stopping === "hint" && (
          <p class="itw-banner">The kernel is busy: use Jupyter's interrupt button.</p>
        )}
      </div>
    </div>
  );
}

function Alert({ message, onDismiss }: { message: string; onDismiss: () => void }) {
  return (
    <div class="itw-alert" role="alert">
      <p>{message}</p>
      <button
        type="button"
        class="itw-button"
        onClick={({ currentTarget }) => {
          stepOut(currentTarget);
          onDismiss();
        }}
      >
        Dismiss
      </button>
    </div>
  );
}
