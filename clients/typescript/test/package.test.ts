/** The package: its size, tree shaking, dependencies, exports and README. */

import { execFileSync, spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { describe, expect, it } from "vitest";
import * as all from "../src/index.js";
import { serve, V1, wholeStream } from "./server.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const manifest = JSON.parse(readFileSync(`${root}package.json`, "utf8"));

async function bundled(names: string): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: `export { ${names} } from "./src/index.ts";`, resolveDir: root },
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: "es2022",
    platform: "neutral",
  });
  return outputFiles[0]?.text ?? "";
}

describe("size, minified and gzipped", () => {
  it.each([
    ["the codec", "encodeFrame, FrameDecoder", 3072],
    ["the stream layer", "StreamDecoder, jsonCoder", 5 * 1024],
    ["everything", Object.keys(all).join(", "), 10 * 1024],
  ])("%s is within its budget", async (_, names, budget) => {
    const size = gzipSync(await bundled(names), { level: 9 }).length;
    console.info(`${names.slice(0, 60)}: ${size} bytes`);
    expect(size).toBeLessThanOrEqual(budget);
  });

  it("unused code is not in the bundle", async () => {
    expect(await bundled("encodeFrame, FrameDecoder")).not.toMatch(/ReadableStream|audioType|\$stream|AbortController/);
    expect(await bundled("StreamDecoder, jsonCoder")).not.toMatch(/ReadableStream|audioType|AbortController/);
    expect((await bundled("MEDIA_TYPE")).length).toBeLessThan(100);
  });
});

describe("the package", () => {
  it("needs no other package, and no API of Node", async () => {
    expect(manifest.dependencies).toBeUndefined();
    expect(manifest.peerDependencies).toBeUndefined();
    const code = await bundled(Object.keys(all).join(", ")); // with platform "neutral" an import of node: fails the build
    expect(code).not.toMatch(/\b(Buffer|process|require|setImmediate|__dirname)\b/);
  });

  it("exports these names", () => {
    expect(Object.keys(all).sort()).toEqual(
      [
        "ACCEPT ContentTypeError EncodeError Frame FrameDecoder FrameDecoderStream FrameError HTTP_STATUS",
        "IdleTimeoutError MEDIA_TYPE MessageDecoderStream MessageStream ObjectStreamError PLAIN_MEDIA_TYPE PayloadError",
        "ProtocolError ResponseError ResponseStream StreamDecoder StreamEncoder StreamError StreamIncompleteError",
        "decodeStream encodeFrame isControlFrame isStreamErrorCode jsonCoder openStream rawCoder talAudio talCoder",
      ]
        .join(" ")
        .split(" "),
    );
  });

  it("has the build, the types and the sources, and no tests", () => {
    const [packed] = JSON.parse(
      execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], { cwd: root, stdio: "pipe" }).toString(),
    );
    const files: string[] = packed.files.map(({ path }: { path: string }) => path);
    expect(files).toEqual(
      expect.arrayContaining(["dist/index.js", "dist/index.d.ts", "src/index.ts", "LICENSE", "README.md"]),
    );
    expect(
      files.filter((path) => !/^(dist|src)\/|^(LICENSE|README\.md|CHANGELOG\.md|package\.json)$/.test(path)),
    ).toEqual([]);
  });

  it("has no internal names in its types", () => {
    expect(readFileSync(`${root}dist/frames.d.ts`, "utf8")).not.toMatch(/\b(startsWith|toBytes|iterate)\(/);
  });

  it.each(["tsconfig.json", "tsconfig.node.json"])("has types that compile alone (%s)", (config) => {
    const tsc = spawnSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", `test/consumer/${config}`], {
      cwd: root,
    });
    expect(tsc.stdout.toString()).toBe("");
    expect(tsc.status).toBe(0);
  });

  it("names no registry in the lock files", () => {
    for (const lock of ["package-lock.json", "bench/package-lock.json"]) {
      expect(readFileSync(root + lock, "utf8")).not.toMatch(/"resolved"/);
    }
  });

  it("loads as an ES module by its name", () => {
    const code = 'import * as all from "@objectstreaming/client"; console.log(Object.keys(all).length);';
    const { stdout } = spawnSync(process.execPath, ["--input-type=module", "--eval", code], { cwd: root });
    expect(stdout.toString().trim()).toBe(String(Object.keys(all).length));
  });
});

describe("the README", () => {
  const text = readFileSync(`${root}README.md`, "utf8");
  const examples = [...text.matchAll(/```js\n(.*?)```/gs)].map((match) => match[1] ?? "");

  it("has examples", () => {
    expect(examples.length).toBeGreaterThan(2);
  });

  it.each(examples.map((code) => [code.split("\n").find((line) => !line.startsWith("import")) ?? "", code]))(
    "has an example that runs: %s",
    async (_, code) => {
      const server = await serve((response) => response.writeHead(200, V1).end(wholeStream()));
      try {
        const local = code.replaceAll("http://localhost:8000/", server.url);
        const { stderr, status } = await run(local);
        expect(stderr).toBe("");
        expect(status).toBe(0);
      } finally {
        await server.close();
      }
    },
  );

  it("names only files that exist", () => {
    const names = new Set(readdirSync(root));
    for (const [, path = ""] of text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)) {
      if (!path.startsWith("..")) expect([...names]).toContain(path.split("/")[0]);
    }
  });
});

async function run(code: string): Promise<{ stderr: string; status: number | null }> {
  const { spawn } = await import("node:child_process");
  const child = spawn(process.execPath, ["--input-type=module", "--eval", code], { cwd: root, stdio: "pipe" });
  let stderr = "";
  child.stderr.on("data", (part) => {
    stderr += part;
  });
  const status = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { stderr, status };
}
