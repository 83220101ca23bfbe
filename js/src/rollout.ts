// Alternatives of one place with what would follow each, as a `rollout-response` carries them.

import type { Reply } from "./connection";
import { decodeTokens, elements, type Tokens } from "./protocol";

/** One alternative, which is its first token, and what the model makes of it. */
export interface Continuation {
  ids: Int32Array;
  ranks: Int32Array;
  /** Of each token, in bits. */
  surprisals: Float32Array;
  /** Whether the model ended its text. */
  ended: boolean;
}

export interface Rollout {
  /** By which the kernel knows it. */
  id: number;
  continuations: Continuation[];
  tokens: Tokens;
}

export function decodeRollout({ message, buffers }: Reply): Rollout {
  const { rollout: id = -1, lengths = [], ended = [] } = message;
  const [ids, ranks, surprisals, ...dictionary] = buffers as [DataView, DataView, DataView];
  const columns = {
    ids: elements("<i4", ids),
    ranks: elements("<i4", ranks),
    surprisals: elements("<f4", surprisals),
  };
  let stop = 0;
  const continuations = lengths.map((length, index) => {
    const start = stop;
    stop += length;
    return {
      ids: columns.ids.subarray(start, stop),
      ranks: columns.ranks.subarray(start, stop),
      surprisals: columns.surprisals.subarray(start, stop),
      ended: ended[index] ?? false,
    };
  });
  return { id, continuations, tokens: decodeTokens(dictionary) };
}
