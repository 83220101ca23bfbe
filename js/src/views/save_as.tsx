import { useRef } from "preact/hooks";
import { download } from "../files";
import { useStore, useViewer } from "../hooks";
import type { SessionFile } from "../protocol";
import type { Reading } from "../reading";
import { Button } from "./button";

const BY_KERNEL: readonly { format: SessionFile; title: string; name: string }[] = [
  { format: "html", title: "HTML page", name: "session.html" },
  { format: "session", title: "Session file", name: "session.itw.json" },
  { format: "csv", title: "CSV table", name: "tokens.csv" },
];

/** What can be taken away: files that the kernel writes, and pictures of the text as it is coloured here. */
export function SaveAs({ reading }: { reading: Reading }) {
  const viewer = useViewer();
  const { store } = viewer;
  const frame = useRef<HTMLDetailsElement>(null);
  const refused = useStore(({ offline }) =>
    offline ? "No kernel answers, and it is the kernel that writes this file." : null,
  );

  function hand(name: string, file: Blob | null): void {
    if (file !== null && frame.current !== null) download(name, file, frame.current);
  }

  async function draw(name: string, kind: "svgFile" | "pngFile"): Promise<void> {
    const list = frame.current?.closest(".itw-root")?.querySelector<HTMLElement>(".itw-tokens");
    try {
      const pictures = await viewer.pictures();
      if (list && pictures) hand(name, await pictures[kind](list, reading, store.state.model.name));
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      store.addError({ type: "PictureError", message });
    }
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
        <Button
          refused={viewer.canDraw ? null : refused}
          onPress={() => void draw("tokens.svg", "svgFile")}
        >
          SVG picture
        </Button>
        <Button
          refused={viewer.canDraw ? null : refused}
          onPress={() => void draw("tokens.png", "pngFile")}
        >
          PNG picture
        </Button>
      </div>
    </details>
  );
}
