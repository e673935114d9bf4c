/** Headless Chromium. A page posts its results to the server of the test, so no driver is needed. */

import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, constants, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join as joinPath } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-dev-shm-usage",
];

function findChromium(): string | undefined {
  const candidates = ["chromium", "chromium-browser", "google-chrome", "chrome"].flatMap((name) =>
    (process.env.PATH ?? "").split(delimiter).map((folder) => joinPath(folder, name)),
  );
  return [process.env.CHROMIUM ?? "", ...candidates].find((path) => {
    try {
      if (path === "") return false;
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

const chromium = findChromium();
/** Without CI=true a missing browser is a skip, not a failure. */
export const chromiumMayBeMissing = chromium === undefined && process.env.CI !== "true";
if (chromiumMayBeMissing) {
  console.warn(
    "\n*** SKIPPED: chromium is not installed, so nothing was tested in a browser (CI=true makes this a failure) ***\n",
  );
}

/** A module of test/browser, with all that it imports. `replaced` are names of modules, and what to take instead. */
export async function script(entry: string, replaced: Record<string, string> = {}): Promise<string> {
  const entryPoints = [fileURLToPath(new URL(`./browser/${entry}`, import.meta.url))];
  const { outputFiles } = await build({
    entryPoints,
    bundle: true,
    write: false,
    format: "esm",
    target: "es2022",
    alias: replaced,
  });
  return outputFiles[0]?.text ?? "";
}

/** The code of a module that is in no file, as if it were in test/browser. */
export async function bundled(contents: string): Promise<string> {
  const resolveDir = fileURLToPath(new URL("./browser/", import.meta.url));
  const stdin = { contents, resolveDir, loader: "ts" as const };
  const { outputFiles } = await build({ stdin, bundle: true, write: false, format: "esm", target: "es2022" });
  return outputFiles[0]?.text ?? "";
}

/** A browser with one page. */
export class Chromium {
  readonly #profile = mkdtempSync(joinPath(tmpdir(), "objectstreaming-"));
  readonly #process: ChildProcess;

  constructor(url: string, ...flags: string[]) {
    if (chromium === undefined) throw new Error("chromium is not installed: it is required with CI=true");
    const all = [...FLAGS, ...flags, `--user-data-dir=${this.#profile}`, url];
    this.#process = spawn(chromium, all, { detached: true, stdio: "ignore" });
  }

  async close(): Promise<void> {
    const { pid, exitCode } = this.#process;
    if (pid !== undefined && exitCode === null) {
      const gone = new Promise((resolve) => this.#process.once("exit", resolve));
      process.kill(-pid, "SIGKILL"); // its process group: the browser and its children
      await gone;
    }
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
}
