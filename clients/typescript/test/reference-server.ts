/** The reference server of this repository, as a process of its own: `objectstreaming serve`. */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const command = fileURLToPath(new URL("../../../.venv/bin/objectstreaming", import.meta.url));

export class ReferenceServer {
  /** Ends with a slash. */
  url = "";
  #process: ChildProcess | undefined;

  async start(...options: string[]): Promise<void> {
    if (!existsSync(command)) throw new Error(`${command} is missing: run \`make .venv/.dev\` in the repository`);
    const env = { ...process.env, PYTHONUNBUFFERED: "1" };
    const server = spawn(command, ["serve", "--port", "0", ...options], { env, stdio: ["ignore", "ignore", "pipe"] });
    this.#process = server;
    this.url = await new Promise((resolve, reject) => {
      let printed = "";
      server.on("exit", () => reject(new Error(`objectstreaming serve has ended: ${printed}`)));
      server.stderr.on("data", (part) => {
        printed += part;
        const [url] = /http:\/\/[\w.]+:\d+/.exec(printed) ?? [];
        if (url) resolve(`${url}/`);
      });
    });
  }

  async stop(): Promise<void> {
    const server = this.#process;
    if (server?.exitCode !== null) return;
    const gone = new Promise((resolve) => server.once("exit", resolve));
    server.kill();
    await gone;
  }
}
