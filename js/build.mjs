// Bundles the page half into the files that the Python package carries:
//
//   js/src/index.tsx         -> itwidgets/static/widget.js
//   js/src/styles/index.css  -> itwidgets/static/widget.css
//   js/src/picture.ts        -> itwidgets/static/picture.js, which a page asks for when it is first wanted
//
// One ESM file without code splitting: anywidget loads it from a blob URL, which has no folder to
// load further chunks from. `--watch` rebuilds on every change, with an inline source map.

import { readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import * as esbuild from "esbuild";

// Every widget instance carries its own copy of both, so their size is its speed.
const LIMIT_BYTES = {
  "itwidgets/static/widget.js": 120_000,
  "itwidgets/static/widget.css": 30_000,
};

const root = fileURLToPath(new URL("..", import.meta.url));
const watch = process.argv.includes("--watch");

/** @type {esbuild.BuildOptions} */
const options = {
  absWorkingDir: root,
  outdir: "itwidgets/static",
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: !watch,
  charset: "utf8",
  sourcemap: watch ? "inline" : false,
  legalComments: "none",
  logLevel: watch ? "info" : "warning",
};

/** @type {esbuild.BuildOptions[]} */
const bundles = [
  {
    ...options,
    entryPoints: [
      { in: "js/src/index.tsx", out: "widget" },
      { in: "js/src/styles/index.css", out: "widget" },
    ],
    // tsconfig.json has JSX as the type checker needs it.
    tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } },
    jsx: "transform",
    jsxFactory: "h",
    jsxFragment: "Fragment",
    inject: ["js/src/jsx.ts"],
  },
  { ...options, entryPoints: ["js/src/picture.ts"] },
];

for (const bundle of bundles) {
  if (watch) await (await esbuild.context(bundle)).watch();
  else await esbuild.build(bundle);
}
if (!watch) {
  for (const [file, limit] of Object.entries(LIMIT_BYTES)) checkSize(file, limit);
}

/**
 * @param {string} file
 * @param {number} limit
 */
function checkSize(file, limit) {
  const bytes = statSync(root + file).size;
  const zipped = gzipSync(readFileSync(root + file)).length;
  console.log(`${file}  ${kilobytes(bytes)}  (${kilobytes(zipped)} gzipped)`);
  if (bytes > limit) {
    console.error(`build: ${file} is over its limit of ${kilobytes(limit)}`);
    process.exit(1);
  }
}

/** @param {number} bytes */
function kilobytes(bytes) {
  return `${(bytes / 1000).toFixed(1)} kB`;
}
