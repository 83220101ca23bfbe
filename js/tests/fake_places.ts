import type { DistributionName, DistributionQuery, Stage } from "../src/protocol";
import { encodeAlternatives, encodeTokens } from "./encode";
import type { FakeKernel } from "./fake_kernel";
import type { Sent } from "./fake_model";

/** What the made-up kernel draws with after its interventions. */
const TEMPERATURE = 0.8;
const SAMPLED = 1;

/** Answer what a page asks about one place of the text, as the kernel does. */
export function answerPlace(kernel: FakeKernel, request: Sent): boolean {
  if (request.kind === "distribution") distribution(kernel, request);
  else if (request.kind === "stages") stages(kernel, request);
  else if (request.kind === "tokenize") tokenize(kernel, request);
  else return false;
  return true;
}

/** Natural log-probabilities of `p` and of what was made of it after a row. */
export function distributionsAfter(kernel: FakeKernel, parent: number) {
  const p = kernel.logProbs(parent);
  const q = kernel.intervene === null ? p : normalised(kernel.intervene(p));
  return { p, q, s: normalised(q.map((score) => score / TEMPERATURE)) };
}

/** Tokens that tie share the better rank. */
export function rankOf(id: number, scores: readonly number[]): number {
  return 1 + scores.filter((other) => other > (scores[id] as number)).length;
}

export function sorted(scores: readonly number[]): number[] {
  return [...scores.keys()].sort((a, b) => (scores[b] as number) - (scores[a] as number));
}

function normalised(scores: readonly number[]): number[] {
  const all = Math.log(scores.reduce((sum, score) => sum + Math.exp(score), 0));
  return scores.map((score) => score - all);
}

function namesFor(kernel: FakeKernel, row: number | undefined): DistributionName[] {
  if (row === undefined || kernel.rows[row]?.origin !== SAMPLED) return ["p"];
  return kernel.intervene === null ? ["p", "s"] : ["p", "q", "s"];
}

function distribution(kernel: FakeKernel, request: Sent): void {
  const query = request as unknown as DistributionQuery;
  const { parent, row, offset, count, search = "", order = "p" } = query;
  const all = distributionsAfter(kernel, parent);
  const names = namesFor(kernel, row);
  const ordered = sorted(all[order]);
  const masses = new Map<number, number>();
  let mass = 0;
  for (const id of ordered) {
    mass += Math.exp(all[order][id] as number);
    masses.set(id, mass);
  }
  const decoder = new TextDecoder();
  const named = /^#?(\d+)$/.exec(search.trim())?.[1];
  const found = ordered.filter(
    (id) => decoder.decode(kernel.vocabulary[id]).includes(search) && id !== Number(named),
  );
  if (named !== undefined && Number(named) < kernel.vocabulary.length) found.unshift(Number(named));
  const ids = found.slice(offset, offset + count);
  const chosen = found.indexOf(kernel.rows[row ?? -1]?.token_id ?? -1);
  const buffers = encodeAlternatives(
    ids.map((id) => rankOf(id, all.p)),
    ids,
    ids.map((id) => masses.get(id) as number),
    names.map((name) => ids.map((id) => all[name][id] as number)),
    kernel.dictionary(ids),
  );
  const fields = { parent, offset, total: found.length, distributions: names };
  const figures = { chosen: chosen < 0 ? null : chosen, entropy: 4.5, varentropy: 2.25 };
  kernel.respond(request, { ...fields, ...figures }, buffers);
}

function stages(kernel: FakeKernel, request: Sent): void {
  const row = request.row as number;
  const names = namesFor(kernel, row).slice(1) as ("q" | "s")[];
  const parent = kernel.rows[row]?.parent ?? -1;
  const all = { ...distributionsAfter(kernel, parent) };
  const shown = sorted(all.p).slice(0, 3);
  const made = names.map((name, index): Stage => {
    const before = all[index === 0 ? "p" : "q"];
    return {
      operator: name === "q" ? "Ban((7,))" : `Temperature(${TEMPERATURE})`,
      makes: name,
      kl_bits: name === "q" ? null : 0.25,
      entropy_change_bits: -0.5,
      mass_moved: 0.125,
      support_size: all[name].filter(Number.isFinite).length,
      moved: shown.map((id) => [id, Math.exp(before[id] ?? 0), Math.exp(all[name][id] ?? 0)]),
    };
  });
  kernel.respond(request, { row, stages: made }, encodeTokens(kernel.dictionary(shown)));
}

function tokenize(kernel: FakeKernel, request: Sent): void {
  const [parent, text] = [request.parent as number, request.text as string];
  const ids: number[] = [];
  for (let rest = text; rest !== ""; ) {
    let length = rest.length;
    while (length > 1 && kernel.find(rest.slice(0, length)) === undefined) length -= 1;
    ids.push(kernel.find(rest.slice(0, length)) ?? kernel.vocabulary.length - 1);
    rest = rest.slice(length);
  }
  const decoder = new TextDecoder();
  const before = decoder.decode(kernel.vocabulary[kernel.rows[parent]?.token_id ?? 0]);
  const joined = kernel.find(before + decoder.decode(kernel.vocabulary[ids[0] ?? 0]));
  const first = -(kernel.logProbs(parent)[ids[0] ?? 0] ?? 0) / Math.LN2;
  kernel.respond(
    request,
    {
      token_ids: ids,
      surprisals: ids.map((_, index) => (index === 0 ? first : null)),
      joined: joined === undefined ? [] : [joined],
    },
    encodeTokens(kernel.dictionary(joined === undefined ? ids : [...ids, joined])),
  );
}
