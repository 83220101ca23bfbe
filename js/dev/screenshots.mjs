// Screenshots of every state of the widget with a made-up kernel, light and dark, wide and narrow:
//
//   node js/dev/screenshots.mjs [folder] [state ...]
//
// They are to be looked at, and are not kept. The states are those of js/tests/states.ts.

import { mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";
import { chromium } from "playwright";

const root = fileURLToPath(new URL("../..", import.meta.url));
const THEMES = ["light", "dark"];
const WIDTHS = [1080, 420];

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
for (const [theme, width] of THEMES.flatMap((theme) => WIDTHS.map((width) => [theme, width]))) {
  const page = await browser.newPage({ viewport: { width, height: 600 }, colorScheme: theme });
  page.on("pageerror", (error) => console.error(error));
  const ground = theme === "dark" ? "#14161a" : "#fff";
  await page.setContent(`<style>${style}</style><body style="background:${ground}"></body>`);
  await page.addScriptTag({ content: script });
  const states = await page.evaluate(() => window.states);
  for (const state of asked.length > 0 ? asked : states) {
    await page.evaluate((name) => window.show(name), state);
    await page.screenshot({ path: join(folder, `${state}-${theme}-${width}.png`), fullPage: true });
  }
  await page.close();
}
await browser.close();
console.warn(`screenshots are in ${folder}`);
