// How numbers are written, everywhere alike.

const whole = new Intl.NumberFormat("en");
const exact = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });

const compact = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

// Formatting by locale takes long, and ten thousand tokens are named by their numbers.
export function count(value: number): string {
  return value < 1000 ? String(value) : whole.format(value);
}

export function bits(value: number): string {
  if (Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  // A hair below zero is rounding, and "-0.00" would look like a finding.
  const text = Math.abs(value) < 999 ? value.toFixed(2) : exact.format(value);
  return text === "-0.00" ? "0.00" : text;
}

export function probability(value: number): string {
  if (Number.isNaN(value)) return "–";
  if (value >= 0.001) return value.toFixed(3);
  if (value === 0) return "0";
  if (value >= 0.0001) return value.toFixed(4);
  // Six signs at most, which is what a column holds.
  return value.toExponential(value >= 1e-9 ? 1 : 0);
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

/** A number of a legend: as short as it can be and still tell its neighbours apart. */
export function short(value: number): string {
  return compact.format(value);
}

/** A number that may lie on either side of 0. */
export function signed(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "–" : value > 0 ? "+∞" : "−∞";
  const text = Math.abs(value).toFixed(2);
  // What is written as zero lies on neither side.
  if (text === "0.00") return text;
  return `${value < 0 ? "−" : "+"}${text}`;
}

export function plural(value: number, noun: string, nouns = `${noun}s`): string {
  return `${count(value)} ${value === 1 ? noun : nouns}`;
}

/** Bits of a probability that travels as a natural logarithm. */
export function bitsOf(logProbability: number): number {
  return -logProbability / Math.LN2;
}
