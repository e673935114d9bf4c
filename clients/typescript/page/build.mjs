/**
 * Builds the page into one file, objectstreaming/app/page.html, which is committed, so that the package has it without Node.
 * With `--check` it only compares, and fails if the file is not what the sources build to.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const path = (name) => fileURLToPath(new URL(name, import.meta.url));

const target = path("../../../objectstreaming/app/page.html");

async function bundled(entry, options) {
  const { outputFiles } = await build({
    entryPoints: [path(entry)],
    bundle: true,
    minify: true,
    write: false,
    legalComments: "none",
    charset: "utf8",
    ...options,
  });
  return outputFiles[0].text.trim();
}

const script = await bundled("page.ts", { format: "iife", target: "es2022" });
const style = await bundled("page.css", {});
const page = readFileSync(path("page.html"), "utf8")
  .replace("<style></style>", () => `<style>${style}</style>`)
  .replace("<script></script>", () => `<script>${script}</script>`);

if (!process.argv.includes("--check")) writeFileSync(target, page);
else if (readFileSync(target, "utf8") !== page) {
  console.error(`${target} is not what its sources build to: run \`make page\``);
  process.exitCode = 1;
}
