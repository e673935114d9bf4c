/** Packs the client, judges the package, and builds it with vite, webpack and Next.js as their users would. */

import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const out = mkdtempSync(join(tmpdir(), "objectstreaming-"));
const environment = { ...process.env, NEXT_TELEMETRY_DISABLED: "1", NO_UPDATE_NOTIFIER: "1" };

function run(program, args, cwd = here) {
  execFileSync(program, args, { cwd, env: environment, stdio: ["ignore", "inherit", "inherit"] });
}

function tool(name, args, cwd = here) {
  console.log(`== ${name}`);
  run(join(here, "node_modules", ".bin", name), args, cwd);
}

/** The built JavaScript names what it was built from: nothing was lost on the way. */
function hasTheClient(folder) {
  const built = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".js"))
    .map((file) => readFileSync(join(folder, file), "utf8"))
    .join("\n");
  for (const part of ["application/vnd.objectstreaming", "createBufferSource", "is not one of numbers or booleans"])
    if (!built.includes(part)) throw new Error(`${folder}: the bundle lacks ${part}`);
  console.log(`${built.length} characters of JavaScript`);
}

try {
  run("npm", ["pack", "--silent", "--pack-destination", out], join(here, ".."));
  const [tarball] = readdirSync(out).map((file) => join(out, file));
  tool("publint", ["run", tarball, "--strict"]);
  tool("attw", [tarball, "--profile", "esm-only"]);
  run("npm", ["install", "--no-save", "--no-audit", "--no-fund", "--silent", tarball]);
  tool("vite", ["build", "vite", "--outDir", join(out, "vite"), "--emptyOutDir"]);
  hasTheClient(join(out, "vite"));
  tool("webpack", ["--mode", "production", "--entry", "./webpack/page.js", "--output-path", join(out, "webpack")]);
  hasTheClient(join(out, "webpack"));
  tool("next", ["build", "next"]);
  hasTheClient(join(here, "next", ".next", "static"));
} finally {
  rmSync(out, { recursive: true });
  rmSync(join(here, "next", ".next"), { recursive: true, force: true });
}
