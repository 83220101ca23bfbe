// How numbers are written, everywhere alike.

const whole = new Intl.NumberFormat("en");
const exact = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });

export function count(value: number): string {
  return whole.format(value);
}

export function bits(value: number): string {
  if (Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return "∞";
  // A hair below zero is rounding, and "-0.00" would look like a finding.
  const text = exact.format(value);
  return text === "-0.00" ? "0.00" : text;
}

export function probability(value: number): string {
  if (Number.isNaN(value)) return "–";
  if (value >= 0.001) return value.toFixed(3);
  if (value === 0) return "0";
  return value >= 0.0001 ? value.toFixed(4) : value.toExponential(1);
}

export function percent(share: number): string {
  const value = 100 * Math.min(1, Math.max(0, share));
  if (value > 0 && value < 0.1) return "< 0.1 %";
  return `${value.toFixed(1)} %`;
}

/** A plain number of three digits or so: perplexity, effective choices. */
export function figure(value: number): string {
  if (Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return "∞";
  if (value >= 100) return count(Math.round(value));
  return value.toFixed(value >= 10 ? 1 : 2);
}

export function plural(value: number, noun: string, nouns = `${noun}s`): string {
  return `${count(value)} ${value === 1 ? noun : nouns}`;
}

/** Bits of a probability that travels as a natural logarithm. */
export function bitsOf(logProbability: number): number {
  return -logProbability / Math.LN2;
}
