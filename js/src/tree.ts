import type { Table } from "./table";

export interface Branch {
  /** The oldest is 1. It stays, since rows are appended alone. */
  number: number;
  /** The row that made it a branch of its own: the second or later child of its parent. */
  start: number;
  /** Its last row: from the start, first children only. */
  tip: number;
  /** The branch that it parted from, or null for a text of its own. */
  parent: Branch | null;
}

export interface Sums {
  /** New tokens: those that are not part of the prompt. */
  tokens: number;
  /** New tokens that have a surprisal, and the sum of it. */
  scored: number;
  bits: number;
  /** What the interventions cost in bits. */
  cost: number;
}

const PROMPT = 0;
const EDITED = 3;

/** What follows from the column `parent`: children, branches, and sums along each path. */
export class Tree {
  readonly branches: Branch[] = [];
  readonly #table: Table;
  readonly #roots: number[] = [];
  readonly #children = new Map<number, number[]>();
  readonly #branch: Branch[] = [];
  readonly #given: boolean[] = [];
  readonly #sums: Sums[] = [];
  #path: number[] = [];

  constructor(table: Table) {
    this.#table = table;
  }

  /** Take in the rows that the table has grown by. */
  grow(): void {
    for (let row = this.#branch.length; row < this.#table.length; row++) this.#add(row);
  }

  children(row: number): readonly number[] {
    return row < 0 ? this.#roots : (this.#children.get(row) ?? []);
  }

  /** The rows from the root to a row, both included. The array is shared: copy it to keep it. */
  path(head: number): readonly number[] {
    const fresh: number[] = [];
    let row = Math.min(head, this.#branch.length - 1);
    // Rows of the path asked for last are kept: while a text grows this walks its new rows only.
    while (row >= 0 && this.#path[this.#table.value("position", row)] !== row) {
      fresh.push(row);
      row = this.#table.value("parent", row);
    }
    const kept = row < 0 ? 0 : this.#table.value("position", row) + 1;
    if (kept < this.#path.length || fresh.length > 0) {
      this.#path = this.#path.slice(0, kept).concat(fresh.reverse());
    }
    return this.#path;
  }

  branchOf(row: number): Branch | undefined {
    return this.#branch[row];
  }

  /** Whether a row belongs to the prompt: nothing on its path was made by the model or by force. */
  given(row: number): boolean {
    return this.#given[row] ?? false;
  }

  /** Sums over the new tokens from the root to a row. */
  sums(row: number): Sums {
    return this.#sums[row] ?? { tokens: 0, scored: 0, bits: 0, cost: 0 };
  }

  /** Sums over the tokens that a branch does not share with the one it parted from. */
  ownSums(branch: Branch): Sums {
    const all = this.sums(branch.tip);
    const shared = this.sums(this.#table.value("parent", branch.start));
    return {
      tokens: all.tokens - shared.tokens,
      scored: all.scored - shared.scored,
      bits: all.bits - shared.bits,
      cost: all.cost - shared.cost,
    };
  }

  /**
   * The branches as they are listed: each below the one it parted from, and of several the last to
   * part first, so that their lines do not cross.
   */
  ordered(): Branch[] {
    const position = ({ start }: Branch) => this.#table.value("position", start);
    const byPosition = (a: Branch, b: Branch) => position(b) - position(a) || a.number - b.number;
    const below = new Map<Branch | null, Branch[]>();
    for (const branch of this.branches) {
      const siblings = below.get(branch.parent);
      if (siblings) siblings.push(branch);
      else below.set(branch.parent, [branch]);
    }
    const list: Branch[] = [];
    const stack = (below.get(null) ?? []).reverse();
    for (let branch = stack.pop(); branch; branch = stack.pop()) {
      list.push(branch);
      stack.push(...(below.get(branch) ?? []).sort(byPosition).reverse());
    }
    return list;
  }

  #add(row: number): void {
    const parent = this.#table.value("parent", row);
    const siblings = parent < 0 ? this.#roots : (this.#children.get(parent) ?? []);
    if (parent >= 0 && siblings.length === 0) this.#children.set(parent, siblings);
    const above = this.branchOf(parent);
    if (siblings.length > 0 || above === undefined) {
      const number = this.branches.length + 1;
      const branch = { number, start: row, tip: row, parent: above ?? null };
      this.branches.push(branch);
      this.#branch.push(branch);
    } else {
      above.tip = row;
      this.#branch.push(above);
    }
    siblings.push(row);

    const origin = this.#table.value("origin", row);
    const given = (origin === PROMPT || origin === EDITED) && (parent < 0 || this.given(parent));
    this.#given.push(given);
    const sums = this.sums(parent);
    const surprisal = this.#table.value("surprisal", row);
    const cost = this.#table.value("cost", row);
    const scored = !given && !Number.isNaN(surprisal);
    this.#sums.push({
      tokens: sums.tokens + (given ? 0 : 1),
      scored: sums.scored + (scored ? 1 : 0),
      bits: sums.bits + (scored ? surprisal : 0),
      cost: sums.cost + (given || Number.isNaN(cost) ? 0 : cost),
    });
  }
}
