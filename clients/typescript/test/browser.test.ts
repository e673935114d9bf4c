/**
 * The vectors, and streams over fetch, in headless Chromium: in a page and in a worker. The page posts its results to the
 * server of the test, so that no browser driver is needed.
 */

import { readdirSync, readFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { jsonCoder } from "../src/index.js";
import type { Report } from "./browser/checks.js";
import { Chromium, chromiumMayBeMissing, script } from "./chromium.js";
import { type Served, serve, V1, wholeStream } from "./server.js";
import { SKIPPED_FLAGS, type Suite } from "./vectors.js";

const vectors = fileURLToPath(new URL("../../../objectstreaming/conformance/vectors/", import.meta.url));
const names = readdirSync(vectors);
function answer(response: ServerResponse, path: string, scripts: ReadonlyMap<string, string>): void {
  const [, first = "", second = ""] = path.split("/");
  const code = scripts.get(first);
  if (code !== undefined) response.writeHead(200, { "content-type": "text/javascript" }).end(code);
  else if (first === "vectors") response.end(readFileSync(vectors + decodeURIComponent(second).replaceAll("/", "")));
  else if (first === "vectors.json") {
    const binaries = names.filter((name) => !name.endsWith(".json"));
    response.end(JSON.stringify({ names: names.filter((name) => name.endsWith(".json")), binaries }));
  } else if (first === "whole") {
    const wire = wholeStream();
    response.writeHead(200, V1).write(wire.slice(0, 100));
    setTimeout(() => response.end(wire.slice(100)), 20);
  } else if (first === "cut") {
    response.writeHead(200, V1).flushHeaders();
    response.write(wholeStream().slice(0, Number(second)), () => setTimeout(() => response.socket?.destroy(), 2));
    if (second === "0") setTimeout(() => response.socket?.destroy(), 2);
  } else if (first === "stall") response.writeHead(200, V1).write(jsonCoder().encode({}, 1));
  else if (first === "problem") response.writeHead(429).end('{"code":"resource_exhausted","message":"slow down"}');
  else if (first === "") {
    response.writeHead(200, { "content-type": "text/html" });
    response.end('<!doctype html><link rel="icon" href="data:,"><script type="module" src="page.js"></script>');
  } else response.writeHead(404).end();
}

// With CI=true a missing browser is a failure, not a skip.
describe.skipIf(chromiumMayBeMissing)("headless Chromium", () => {
  let server: Served | undefined;
  let browser: Chromium | undefined;
  let report: Promise<{ page: Report; worker: Report }>;

  beforeAll(async () => {
    const scripts = new Map([
      ["page.js", await script("page.ts")],
      ["worker.js", await script("worker.ts")],
    ]);
    let give = (_: { page: Report; worker: Report }) => {};
    report = new Promise((resolve) => {
      give = resolve;
    });
    const served = await serve((response, request) => {
      if (request.url === "/result") {
        give(JSON.parse(served.requests.find(({ body }) => body.startsWith('{"page"'))?.body ?? ""));
        response.end();
      } else answer(response, request.url ?? "", scripts);
    });
    server = served;
    browser = new Chromium(server.url);
  }, 60_000);

  afterAll(async () => {
    await browser?.close();
    await server?.close();
  });

  const suites = names
    .filter((name) => name.endsWith(".json"))
    .map((name) => JSON.parse(readFileSync(vectors + name, "utf8")) as Suite);
  const asked = suites
    .flatMap(({ cases }) => cases)
    .filter(({ flags }) => !flags.some((flag) => SKIPPED_FLAGS.includes(flag))).length;

  it.each(["page", "worker"] as const)(
    "agrees with the vectors, and streams over fetch, in a %s",
    async (where) => {
      const { failures, passed } = (await report)[where];
      expect(failures).toEqual([]);
      expect(passed).toBe(asked + 8); // the checks of browser/checks.ts
    },
    120_000,
  );
});
