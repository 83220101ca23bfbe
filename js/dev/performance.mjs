// Measures the page half on a text of ten thousand tokens, with a made-up kernel in a real Chromium:
//
//   node js/dev/performance.mjs
//
// A text with a newline every few words and one without any. It prints one table, and fails if a limit is
// missed.

import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";
import { chromium } from "playwright";

const ROUNDS = 3;

const root = fileURLToPath(new URL("../..", import.meta.url));
const executablePath = process.env.ITWIDGETS_CHROMIUM || undefined;

/** @param {string} entry */
async function bundled(entry) {
  const built = await esbuild.build({
    absWorkingDir: root,
    entryPoints: [entry],
    bundle: true,
    write: false,
    jsx: "automatic",
    format: "iife",
    minify: true,
  });
  return built.outputFiles[0].text;
}

const script = await bundled("js/dev/performance.ts");
const style = await bundled("js/src/styles/index.css");
const browser = await chromium.launch({
  ...(executablePath === undefined ? {} : { executablePath }),
  args: ["--no-sandbox", "--disable-gpu"],
});

/** Bytes of the page's objects, arrays and elements. @param {import("playwright").CDPSession} tools */
async function memory(tools) {
  await tools.send("HeapProfiler.collectGarbage");
  const heap = await tools.send("Runtime.getHeapUsage");
  return heap.usedSize + (heap.embedderHeapUsedSize ?? 0) + (heap.backingStorageSize ?? 0);
}

/** @param {"paragraphs" | "one line"} kind */
async function measure(kind) {
  const page = await browser.newPage({ viewport: { width: 1080, height: 800 } });
  page.on("pageerror", (error) => console.error(error));
  await page.setContent(`<style>${style}</style><body></body>`);
  await page.addScriptTag({ content: script });
  const tools = await page.context().newCDPSession(page);
  await page.evaluate((text) => window.prepare(text), kind);
  const before = await memory(tools);
  const first = await page.evaluate(() => window.draw());
  const megabytes = ((await memory(tools)) - before) / 1e6;
  const figures = [...first, ["memory above the empty page", megabytes, 60, "MB"]];
  figures.push(...(await page.evaluate(() => window.measure())));
  await page.close();
  return figures;
}

// What else the machine does at the time is no part of it: the best of the rounds counts.
const best = new Map();
for (let round = 0; round < ROUNDS; round++) {
  for (const kind of ["paragraphs", "one line"]) {
    for (const [what, value, limit, unit] of await measure(kind)) {
      const title = `${what}, ${kind}`;
      const known = best.get(title)?.value ?? Number.POSITIVE_INFINITY;
      best.set(title, { value: Math.min(value, known), limit, unit });
    }
  }
}
await browser.close();

for (const [title, { value, limit, unit }] of best) {
  const holds = value <= limit;
  if (!holds) process.exitCode = 1;
  const columns = [title.padEnd(58), value.toFixed(1).padStart(7), unit.padEnd(3)];
  process.stdout.write(`${columns.join(" ")} at most ${limit}: ${holds ? "holds" : "MISSED"}\n`);
}
