/** The package: its size, tree shaking, dependencies, exports and README. */

import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build, transform } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as all from "../src/index.js";
import { ReferenceServer } from "./reference-server.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const manifest = JSON.parse(readFileSync(`${root}package.json`, "utf8"));

async function bundled(names: string, from = "./src/index.ts"): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: `export { ${names} } from "${from}";`, resolveDir: root },
    bundle: true,
    minify: true,
    write: false,
    external: ["react"],
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
    ["everything", Object.keys(all).join(", "), 12 * 1024],
  ])("%s is within its budget", async (_, names, budget) => {
    const size = gzipSync(await bundled(names), { level: 9 }).length;
    console.info(`${names.slice(0, 60)}: ${size} bytes`);
    expect(size).toBeLessThanOrEqual(budget);
  });

  it("of the subpaths: the player, all with frames, server-sent events and WAV, the hook", async () => {
    for (const [names, budget, from = "./src/audio/index.ts"] of [
      ["AudioPlayer", 4.5 * 1024],
      ["AudioPlayer, streamChat, playBase64Audio", 16 * 1024],
      ["openChat", 12 * 1024],
      ["useStreamingChat", 17 * 1024, "./src/react/index.ts"],
      ["openDuplex, textSymbol, audioSymbol, symbolText", 9 * 1024, "./src/duplex/index.ts"],
    ] as const) {
      const size = gzipSync(await bundled(names, from), { level: 9 }).length;
      console.info(`/audio ${names}: ${size} bytes`);
      expect(size).toBeLessThanOrEqual(budget);
    }
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
    // A peer of a subpath only, which who does not import that need not have.
    for (const name of Object.keys(manifest.peerDependencies)) {
      expect(manifest.peerDependenciesMeta[name]).toEqual({ optional: true });
    }
    const code = await bundled(Object.keys(all).join(", ")); // with platform "neutral" an import of node: fails the build
    expect(code).not.toMatch(/\b(Buffer|process|require|setImmediate|__dirname)\b/);
  });

  it("exports these names", () => {
    expect(Object.keys(all).sort()).toEqual(
      [
        "ACCEPT ContentTypeError EncodeError Frame FrameDecoder FrameDecoderStream FrameError HTTP_STATUS",
        "IdleTimeoutError MEDIA_TYPE MessageDecoderStream MessageEncoderStream MessageStream ObjectStreamError PLAIN_MEDIA_TYPE",
        "PayloadError ProtocolError ResponseError ResponseStream StreamDecoder StreamEncoder StreamError StreamIncompleteError",
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

  it.each([
    ["typescript", "tsconfig.json"],
    ["typescript", "tsconfig.node.json"],
    ["typescript-minimum", "tsconfig.json"],
    ["typescript-minimum", "tsconfig.node.json"],
  ])(
    "has types that compile alone (%s, %s)",
    (compiler, config) => expect(compiled(compiler, ["-p", `test/consumer/${config}`])).toBe(""),
    60_000,
  );

  it("touches nothing of a browser when /audio is imported", () => {
    const code = 'import { AudioPlayer } from "@objectstreaming/client/audio"; new AudioPlayer(); console.log("ok")';
    const { stdout } = spawnSync(process.execPath, ["--input-type=module", "--eval", code], { cwd: root });
    expect(stdout.toString().trim()).toBe("ok");
  });

  it("names no registry in the lock files", () => {
    for (const lock of ["package-lock.json", "bench/package-lock.json", "test/react18/package-lock.json"]) {
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
  const docs = readFileSync(`${root}../../docs/chat.md`, "utf8");
  const blocks = [...(text + docs).matchAll(/```ts\n(.*?)```/gs)].map((match) => match[1] ?? "");
  const components = [...text.matchAll(/```tsx\n(.*?)```/gs)].map((match) => match[1] ?? ""); // react.test.ts runs them
  const inPage = blocks.filter((code) => code.includes("onclick")); // compiled here; they run in a browser
  const programs = blocks.filter((code) => code.startsWith("import") && !inPage.includes(code));
  const fragments = blocks.filter((code) => !code.startsWith("import"));
  const folder = `${root}test/readme/`; // in the package, so that its name and its development dependencies are found
  const reference = new ReferenceServer();

  beforeAll(async () => {
    mkdirSync(folder, { recursive: true });
    await reference.start("--store", "memory");
  }, 60_000);
  afterAll(async () => {
    rmSync(folder, { recursive: true });
    await reference.stop();
  });

  it("has examples, and no code that is not TypeScript", () => {
    expect(programs.length).toBeGreaterThan(3);
    expect(text).not.toContain("```js");
  });

  it.each([["typescript"], ["typescript-minimum"]])(
    "has only examples that compile (%s)",
    (compiler) => {
      programs.forEach((code, n) => writeFileSync(`${folder}program${n}.ts`, code));
      const names = Object.keys(all).filter((name) => fragments.some((code) => code.includes(name)));
      fragments.forEach((code, n) => {
        const imports = `import { ${names.join(", ")} } from "@objectstreaming/client";\n`;
        writeFileSync(`${folder}fragment${n}.ts`, imports + DECLARATIONS + code);
      });
      components.forEach((code, n) => writeFileSync(`${folder}component${n}.tsx`, code));
      inPage.forEach((code, n) => writeFileSync(`${folder}page${n}.ts`, code + PAGE));
      expect(compiled(compiler, ["-p", "test/consumer/tsconfig.readme.json"])).toBe("");
    },
    120_000,
  );

  it.each(programs.map((code) => [code.split("\n").find((line) => line && !line.startsWith("import")) ?? "", code]))(
    "has an example that runs against the reference server: %s",
    async (_, code) => {
      const local = code.replaceAll("http://localhost:8000/", reference.url);
      const { code: program } = await transform(local, { loader: "ts", target: "es2022", format: "esm" });
      const { stdout, stderr, status } = await run(program);
      expect(stderr).toBe("");
      expect(status).toBe(0);
      expect(stdout).toMatch(/frame/i); // the answer
    },
  );

  it("names only files that exist", () => {
    const names = new Set(readdirSync(root));
    for (const [, path = ""] of text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)) {
      if (!path.startsWith("..")) expect([...names]).toContain(path.split("/")[0]);
    }
  });

  it("states the versions that are tested", () => {
    expect(text).toContain("TypeScript 5.7 or later");
    expect(manifest.devDependencies["typescript-minimum"]).toMatch(/~5\.7\./);
    expect(text).toContain("Node 20 and later");
    expect(manifest.engines.node).toBe(">=20");
  });
});

/** What the fragments of the README use without a declaration. */
const DECLARATIONS = `
interface Status { status: string }
interface Answer { answer: string }
declare const answerSchema: { parse(value: unknown): Answer };
declare const wavFile: Blob;
declare const context: AudioContext;
`;

const PAGE = `
declare const button: HTMLButtonElement, stop: HTMLButtonElement, output: HTMLElement;
`;

/** What the compiler prints. Empty if there is no error. */
function compiled(compiler: string, options: string[]): string {
  return spawnSync(process.execPath, [`node_modules/${compiler}/bin/tsc`, ...options], { cwd: root }).stdout.toString();
}

const WEB_SOCKET = process.version.startsWith("v20.") ? ["--no-warnings", "--experimental-websocket"] : [];

async function run(code: string): Promise<{ stdout: string; stderr: string; status: number | null }> {
  const child = spawn(process.execPath, [...WEB_SOCKET, "--input-type=module", "--eval", code], {
    cwd: root,
    stdio: "pipe",
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (part) => (stdout += part));
  child.stderr.on("data", (part) => (stderr += part));
  const status = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { stdout, stderr, status };
}
