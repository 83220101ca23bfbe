import type { TargetedKeyboardEvent } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { useViewer } from "../hooks";
import type { Branch } from "../tree";

interface NameProps {
  branch: Branch;
  top: number;
  /** Called when it was taken or given up; `back` when the keyboard shall go on in the list. */
  onDone: (back: boolean) => void;
}

/** The field in which a branch is renamed, in the place of its name. */
export function BranchName({ branch, top, onDone }: NameProps) {
  const viewer = useViewer();
  const { labels } = viewer.store;
  const field = useRef<HTMLInputElement>(null);
  const before = labels.isNamed(branch) ? labels.nameOf(branch) : "";
  // Leaving the field takes its name as Enter does, but not once more what Enter or Escape have settled.
  const settled = useRef(false);

  useLayoutEffect(() => {
    field.current?.focus();
    field.current?.select();
  }, []);

  async function take(back: boolean): Promise<void> {
    const input = field.current;
    if (input === null || settled.current) return;
    const name = input.value;
    settled.current = true;
    const accepted = name === before || (await viewer.label(branch.start, { name }));
    // Of what was refused the kernel's sentence is shown, and the name can be mended.
    settled.current = accepted;
    // An answer that comes late finds another field, or the keyboard somewhere else.
    if (accepted && field.current !== null) onDone(back && document.activeElement === input);
  }

  function onKeyDown(event: TargetedKeyboardEvent<HTMLInputElement>): void {
    // These keys are those of an input method while it composes.
    if (event.isComposing) return;
    if (event.key === "Enter") {
      void take(true);
    } else if (event.key === "Escape") {
      settled.current = true;
      onDone(true);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  return (
    <div class="itw-branch itw-renaming" style={{ insetBlockStart: `${top}px` }}>
      <span />
      <input
        ref={field}
        class="itw-input"
        aria-label={`Name of branch ${branch.number}`}
        placeholder={`Branch ${branch.number}`}
        dir="auto"
        spellcheck={false}
        autocomplete="off"
        defaultValue={before}
        onKeyDown={onKeyDown}
        onBlur={() => void take(false)}
      />
    </div>
  );
}
