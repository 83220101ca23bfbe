import { useRef } from "preact/hooks";
import { download } from "../files";
import { useStore, useViewer } from "../hooks";
import type { FileFormat } from "../protocol";
import { Button } from "./button";

const BY_KERNEL: readonly { format: FileFormat; title: string; name: string }[] = [
  { format: "html", title: "HTML page", name: "session.html" },
  { format: "session", title: "Session file", name: "session.itw.json" },
  { format: "csv", title: "CSV table", name: "tokens.csv" },
];

/** Files of the session, which the kernel writes. */
export function SaveAs() {
  const viewer = useViewer();
  const frame = useRef<HTMLDetailsElement>(null);
  const refused = useStore(({ offline }) =>
    offline ? "No kernel answers, and it is the kernel that writes this file." : null,
  );

  function hand(name: string, file: Blob | null): void {
    if (file !== null && frame.current !== null) download(name, file, frame.current);
  }

  return (
    <details ref={frame} class="itw-save">
      <summary>Save as …</summary>
      <div class="itw-row">
        {BY_KERNEL.map(({ format, title, name }) => (
          <Button
            key={format}
            refused={refused}
            onPress={() => void viewer.file(format).then((file) => hand(name, file))}
          >
            {title}
          </Button>
        ))}
      </div>
    </details>
  );
}
