// What a stretch of text amounts to, in the sums that `itwidgets/information/sequences.py` defines.

import type { Store } from "./store";
import type { Table } from "./table";

/** Positions of a text, both ends included. */
export interface Range {
  first: number;
  last: number;
}

export function within(range: Range | null, place: number): boolean {
  return range !== null && place >= range.first && place <= range.last;
}

/** Sums over tokens. What has no value, as a first token without context, is left out. */
export class Sums {
  tokens = 0;
  /** Tokens that have a surprisal, its sum in bits, and the bytes that they spell. */
  scored = 0;
  bits = 0;
  bytes = 0;
  /** What the interventions cost in bits. */
  cost = 0;
  #entropy = 0;
  #open = 0;
  #excess = 0;
  #variance = 0;

  add(table: Table, row: number): void {
    const surprisal = table.value("surprisal", row);
    const entropy = table.value("entropy", row);
    const varentropy = table.value("varentropy", row);
    const cost = table.value("cost", row);
    this.tokens += 1;
    if (!Number.isNaN(surprisal)) {
      this.scored += 1;
      this.bits += surprisal;
      this.bytes += table.bytes(row).length;
    }
    if (!Number.isNaN(entropy)) {
      this.#open += 1;
      this.#entropy += entropy;
    }
    if (!Number.isNaN(surprisal + entropy + varentropy)) {
      this.#excess += surprisal - entropy;
      this.#variance += varentropy;
    }
    if (!Number.isNaN(cost)) this.cost += cost;
  }

  get bitsPerByte(): number {
    return this.bits / this.bytes;
  }

  get perplexity(): number {
    return 2 ** (this.bits / this.scored);
  }

  get meanEntropy(): number {
    return this.#entropy / this.#open;
  }

  /** `calibration_z`: `sum(I - H) / sqrt(sum V)`. */
  get typicality(): number {
    return this.#excess / Math.sqrt(this.#variance);
  }
}

/** Sums along a text. While the text grows only what is new is added. */
export class RunningSums {
  #sums = new Sums();
  #generation = -1;
  #first = 0;
  #next = 0;
  #lastRow = -1;

  between({ generation, path, table }: Store, { first, last }: Range): Sums {
    const grown =
      generation === this.#generation &&
      first === this.#first &&
      last >= this.#next - 1 &&
      // A node has one path to the root, so where it stands all before it is as it was.
      (this.#next === first || path[this.#next - 1] === this.#lastRow);
    if (!grown) {
      this.#sums = new Sums();
      this.#generation = generation;
      this.#first = first;
      this.#next = first;
    }
    for (; this.#next <= last; this.#next++) {
      this.#lastRow = path[this.#next] as number;
      this.#sums.add(table, this.#lastRow);
    }
    return this.#sums;
  }
}
