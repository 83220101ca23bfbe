// Screenshots of every state of the widget with a made-up kernel, to look at while working on it.
//
//   node js/dev/screenshots.mjs [folder] [state ...]

import { mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";
import { chromium } from "playwright";

const root = fileURLToPath(new URL("../..", import.meta.url));
const STATES = ["plain", "chosen", "empty", "prompt", "busy", "error", "read-only", "sampling"];
STATES.push("next", "search", "strange", "long", "stages", "typed", "deep");

const [folder = join(tmpdir(), "itwidgets-screenshots"), ...asked] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const bundle = async (entry) => {
  const options = { absWorkingDir: root, entryPoints: [entry], bundle: true, write: false };
  return (await esbuild.build({ ...options, jsx: "automatic", format: "iife" })).outputFiles[0]
    .text;
};
const script = await bundle("js/dev/page.tsx");
const style = await bundle("js/src/styles/index.css");

const executablePath = process.env.ITWIDGETS_CHROMIUM || undefined;
const browser = await chromium.launch({
  ...(executablePath === undefined ? {} : { executablePath }),
  args: ["--no-sandbox", "--disable-gpu"],
});
for (const [theme, width] of [
  ["light", 1080],
  ["dark", 1080],
  ["light", 420],
]) {
  const page = await browser.newPage({ viewport: { width, height: 600 }, colorScheme: theme });
  page.on("pageerror", (error) => console.error(error));
  const ground = theme === "dark" ? "#14161a" : "#fff";
  await page.setContent(`<style>${style}</style><body style="background:${ground}"></body>`);
  await page.addScriptTag({ content: script });
  for (const state of asked.length > 0 ? asked : STATES) {
    await page.evaluate((name) => window.show(name), state);
    await page.screenshot({ path: join(folder, `${state}-${theme}-${width}.png`), fullPage: true });
  }
  await page.close();
}
await browser.close();
console.warn(`screenshots are in ${folder}`);
