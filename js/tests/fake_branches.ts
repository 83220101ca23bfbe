import type { Settings } from "../src/protocol";
import { encodeNumbers, encodeTokens } from "./encode";
import type { FakeKernel } from "./fake_kernel";
import type { Sent } from "./fake_model";
import { rankOf, sorted } from "./fake_places";

interface Continuation {
  ids: number[];
  ranks: number[];
  surprisals: number[];
}

/** What a rollout of the made-up kernel holds. */
export interface FakeRollout {
  parent: number;
  continuations: Continuation[];
}

/** Answer what a page asks about what might stand in a place, and about branches side by side. */
export function answerBranches(kernel: FakeKernel, request: Sent): boolean {
  if (request.kind === "rollout") rollout(kernel, request);
  else if (request.kind === "adopt") adopt(kernel, request);
  else if (request.kind === "siblings") siblings(kernel, request);
  else if (request.kind === "compare") compare(kernel, request);
  else if (request.kind === "divergences") divergences(kernel, request);
  else return false;
  return true;
}

function rollout(kernel: FakeKernel, request: Sent): void {
  const { parent, k } = request as unknown as { parent: number; k: number };
  const { max_new_tokens: length } = request.settings as Settings;
  const best = sorted(kernel.logProbs(parent)).slice(0, k);
  const continuations = best.map((id) => continuation(kernel, parent, id, length));
  kernel.rollouts.push({ parent, continuations });
  const all = (part: keyof Continuation) => continuations.flatMap((one) => one[part]);
  kernel.respond(
    request,
    {
      rollout: kernel.rollouts.length,
      lengths: continuations.map(({ ids }) => ids.length),
      ended: continuations.map((_, index) => index === 1),
    },
    [
      encodeNumbers("<i4", all("ids")),
      encodeNumbers("<i4", all("ranks")),
      encodeNumbers("<f4", all("surprisals")),
      ...encodeTokens(kernel.dictionary([...new Set(all("ids"))])),
    ],
  );
}

function continuation(kernel: FakeKernel, parent: number, id: number, length: number) {
  const made: Continuation = { ids: [], ranks: [], surprisals: [] };
  let scores = kernel.logProbs(parent);
  let next = id;
  for (let i = 0; i < length; i++) {
    made.ids.push(next);
    made.ranks.push(rankOf(next, scores));
    made.surprisals.push(-(scores[next] as number) / Math.LN2);
    scores = kernel.logProbsAfter(next, (kernel.rows[parent]?.position ?? 0) + 1 + i);
    next = sorted(scores)[i % 3] as number;
  }
  return made;
}

function adopt(kernel: FakeKernel, request: Sent): void {
  const { rollout: number, index } = request as unknown as { rollout: number; index: number };
  const held = kernel.rollouts[number - 1];
  const one = held?.continuations[index];
  if (held === undefined || one === undefined) {
    kernel.fail(request, "these continuations are no longer held: ask for them again");
    return;
  }
  kernel.remember();
  kernel.state.head = held.parent;
  for (const [i, id] of one.ids.entries()) kernel.append(id, i === 0 ? "forced" : "sampled");
  kernel.respond(request);
  kernel.delta({ can_undo: true, can_redo: false });
}

function siblings(kernel: FakeKernel, request: Sent): void {
  const { parent, n } = request as unknown as { parent: number; n: number };
  const settings = request.settings as Settings;
  const length = settings.max_new_tokens;
  kernel.state.settings = { ...settings, seed: settings.seed + n - 1 };
  kernel.respond(request);
  kernel.beforeToken = (made) => {
    if (made % length === 0) kernel.state.head = parent;
  };
  kernel.start("siblings", 0, n * length);
}

/** The real one aligns what is the same; here what is equally far from the beginning stands together. */
function compare(kernel: FakeKernel, request: Sent): void {
  const paths = pathsOf(kernel, request);
  const [first = []] = paths;
  const shared = sharedBy(paths);
  const meets = paths.map((path, branch) => {
    if (branch === 0) return null;
    const same = first.findIndex((row, at) => {
      return at > shared && kernel.rows[row]?.token_id === kernel.rows[path[at] ?? -1]?.token_id;
    });
    return same < 0 ? null : same;
  });
  const rows = linesOf(paths).flat();
  kernel.respond(request, { shared, meets_at: meets }, [encodeNumbers("<i4", rows)]);
}

function divergences(kernel: FakeKernel, request: Sent): void {
  const values = linesOf(pathsOf(kernel, request)).flatMap((line) =>
    line.map((row, branch) => (row < 0 || line[0] === -1 ? Number.NaN : branch * 0.5)),
  );
  kernel.respond(request, {}, [encodeNumbers("<f4", values)]);
}

function pathsOf(kernel: FakeKernel, request: Sent): number[][] {
  const { tips } = request as unknown as { tips: number[] };
  return tips.map((tip) => {
    const path: number[] = [];
    for (let row = tip; row >= 0; row = kernel.rows[row]?.parent ?? -1) path.unshift(row);
    return path;
  });
}

function sharedBy(paths: number[][]): number {
  const [first = []] = paths;
  const end = first.findIndex((row, at) => paths.some((path) => path[at] !== row));
  return end < 0 ? first.length : end;
}

function linesOf(paths: number[][]): number[][] {
  const lines: number[][] = [];
  const longest = Math.max(...paths.map(({ length }) => length));
  for (let at = sharedBy(paths); at < longest; at++) {
    lines.push(paths.map((path) => path[at] ?? -1));
  }
  return lines;
}
