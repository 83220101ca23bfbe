// Measures the page half on a text of ten thousand tokens, with a made-up kernel in a real Chromium:
//
//   node js/dev/performance.mjs
//
// A text with a newline every few words and one without any; and a thousand branches. What counts is the time that the page's thread
// works, so that whatever else the machine does plays no part. It prints one table, and fails if a limit is
// missed.

import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";
import { chromium } from "playwright";

const FRAME = 50;
const CLICK = 100;
/** What is done, what of it counts, and its limit in milliseconds. */
const ACTS = [
  ["draw", "first drawing, all of it", sum, 500],
  ["scroll", "longest task, scrolling", longest, FRAME],
  ["stream", "longest task, 200 tokens a second", longest, FRAME],
  ["select", "ten clicks, each to its alternatives", sum, 10 * CLICK],
];
const BRANCH_ACTS = [
  ["draw", "first drawing, all of it", sum, 500],
  ["stream", "longest task, 200 tokens a second", longest, 16],
  ["walk", "longest task, a key in the list", longest, 16],
];
const MEGABYTES = 60;

const root = fileURLToPath(new URL("../..", import.meta.url));
const executablePath = process.env.ITWIDGETS_CHROMIUM || undefined;

/** @param {string} entry */
async function bundled(entry) {
  const options = { absWorkingDir: root, entryPoints: [entry], bundle: true, write: false };
  const built = await esbuild.build({
    ...options,
    jsx: "automatic",
    format: "iife",
    minify: true,
  });
  return built.outputFiles[0].text;
}

/** @param {number[]} times */
function sum(times) {
  return times.reduce((total, time) => total + time, 0);
}

/** @param {number[]} times */
function longest(times) {
  return times.reduce((most, time) => Math.max(most, time), 0);
}

/** Milliseconds that each task of a page's thread took of its processor while something was done. */
async function tasksOf(page, act) {
  await browser.startTracing(page, { categories: ["toplevel", "__metadata"] });
  await page.evaluate((name) => window.acts[name](), act);
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString());
  const tasks = traceEvents.filter(({ name, tdur }) => name.endsWith("RunTask") && tdur > 0);
  const main = traceEvents.filter(({ args }) => args?.name === "CrRendererMain");
  const ours = ({ pid, tid }) => main.some((thread) => thread.pid === pid && thread.tid === tid);
  return tasks.filter(ours).map(({ tdur }) => tdur / 1000);
}

/** Bytes of a page's objects, arrays and elements. */
async function memoryOf(page) {
  const tools = await page.context().newCDPSession(page);
  await tools.send("HeapProfiler.collectGarbage");
  const heap = await tools.send("Runtime.getHeapUsage");
  await tools.detach();
  return heap.usedSize + (heap.embedderHeapUsedSize ?? 0) + (heap.backingStorageSize ?? 0);
}

function print(title, value, unit, limit) {
  const holds = value <= limit;
  if (!holds) process.exitCode = 1;
  const figures = `${value.toFixed(1).padStart(7)} ${unit}, at most ${limit}`;
  process.stdout.write(`${title.padEnd(48)} ${figures}: ${holds ? "holds" : "MISSED"}\n`);
}

const script = await bundled("js/dev/performance.ts");
const style = await bundled("js/src/styles/index.css");
const browser = await chromium.launch({
  ...(executablePath === undefined ? {} : { executablePath }),
  args: ["--no-sandbox", "--disable-gpu"],
});
for (const [kind, acts] of [
  ["paragraphs", ACTS],
  ["one line", ACTS],
  ["a thousand branches", BRANCH_ACTS],
]) {
  const page = await browser.newPage({ viewport: { width: 1080, height: 800 } });
  page.on("pageerror", (error) => console.error(error));
  await page.setContent(`<style>${style}</style><body></body>`);
  await page.addScriptTag({ content: script });
  await page.evaluate((text) => window.prepare(text), kind);
  const before = await memoryOf(page);
  for (const [act, title, measure, limit] of acts) {
    print(`${title}, ${kind}`, measure(await tasksOf(page, act)), "ms", limit);
    if (act !== "draw") continue;
    const bytes = (await memoryOf(page)) - before;
    print(`memory above the empty page, ${kind}`, bytes / 1e6, "MB", MEGABYTES);
  }
  await page.close();
}
await browser.close();
