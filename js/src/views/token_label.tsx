import { runsOf } from "../text";

/** One token by itself, with marks for what would not be seen. */
export function TokenLabel({ bytes }: { bytes: Uint8Array | undefined }) {
  return (
    <bdi class="itw-label">
      {runsOf(bytes ?? new Uint8Array()).map(({ text, mark }, index) =>
        mark ? <i key={index}>{text}</i> : text,
      )}
    </bdi>
  );
}
