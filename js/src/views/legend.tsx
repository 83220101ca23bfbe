import { type Scale, shareOf, valueAt } from "../colour";
import * as format from "../format";
import type { Measure } from "../measures";
import { ORIGINS } from "../protocol";

/** So near to another number the number 0 is not written, only marked. */
const CLOSE = 0.14;

/** What the colours mean, in numbers; or in words, where they are no amounts. */
export function Legend({ measure, scale }: { measure: Measure; scale: Scale }) {
  if (measure.hue === "origin") return <Key />;
  const numbers = [0, 0.5, 1].map((share) => ({ share, value: valueAt(measure, scale, share) }));
  const zero = shareOf(measure, scale, 0);
  const crosses = scale.low < 0 && scale.high > 0;
  if (crosses && numbers.every(({ share }) => Math.abs(share - zero) > CLOSE)) {
    numbers.push({ share: zero, value: 0 });
  }
  const said = numbers.map(({ value }) => format.short(value));
  const { unit, about } = measure;
  return (
    <span
      class={`itw-legend itw-by-${measure.hue}`}
      role="img"
      aria-label={`The colours go from pale at ${said[0]} over ${said[1]} to strong at ${said[2]} ${unit}`}
      title={`${about}. What lies beyond an end has the colour of that end.`}
    >
      <span class="itw-scale" aria-hidden="true">
        <span class="itw-ramp">
          {crosses && <i style={{ insetInlineStart: `${100 * zero}%` }} />}
        </span>
        {numbers.map(({ share }, index) => (
          <span key={share} class="itw-tick" style={{ insetInlineStart: `${100 * share}%` }}>
            {said[index]}
          </span>
        ))}
      </span>
      {unit}
    </span>
  );
}

function Key() {
  return (
    <span class="itw-legend itw-by-origin">
      {ORIGINS.map((origin) => (
        <span key={origin} class={`itw-key itw-${origin}`}>
          {origin}
        </span>
      ))}
    </span>
  );
}
