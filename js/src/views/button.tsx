import type { ComponentChildren } from "preact";

interface ButtonProps {
  onPress: () => void;
  /** Why it cannot be pressed now; null when it can. */
  refused?: string | null;
  title?: string;
  label?: string;
  kind?: "primary" | "plain" | "small" | "icon";
  children: ComponentChildren;
}

/** A button that, while it cannot be pressed, stays within reach of the keyboard and says why. */
export function Button(props: ButtonProps) {
  const { onPress, refused = null, title, label, kind = "plain", children } = props;
  return (
    <button
      type="button"
      class={`itw-button itw-button-${kind}`}
      aria-label={label}
      aria-disabled={refused !== null}
      title={refused ?? title}
      onClick={() => {
        if (refused === null) onPress();
      }}
    >
      {children}
    </button>
  );
}
