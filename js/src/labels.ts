import { COLOURS, type Label } from "./protocol";
import type { Branch } from "./tree";

/** What people call the branches of a session. */
export class Labels {
  readonly #written: string;
  readonly #labels: Map<number, Label>;

  constructor(labels: readonly Label[]) {
    this.#written = JSON.stringify(labels);
    this.#labels = new Map(labels.map((label) => [label.start, label]));
  }

  /** Whether these are the same labels. */
  hold(labels: readonly Label[]): boolean {
    return JSON.stringify(labels) === this.#written;
  }

  nameOf(branch: Branch): string {
    return this.#labels.get(branch.start)?.name ?? `Branch ${branch.number}`;
  }

  /** Whether it has a name of its own, and not its number alone. */
  isNamed(branch: Branch): boolean {
    return this.#labels.get(branch.start)?.name != null;
  }

  /** One of the colours of this release, or null. */
  colourOf(branch: Branch): Label["colour"] {
    return COLOURS.find((colour) => colour === this.#labels.get(branch.start)?.colour) ?? null;
  }

  isHidden(branch: Branch): boolean {
    return this.#labels.get(branch.start)?.hidden ?? false;
  }
}
