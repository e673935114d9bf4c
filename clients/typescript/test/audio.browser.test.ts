/**
 * AudioPlayer and useStreamingChat in headless Chromium: in an OfflineAudioContext, and as the snippets of the original's document
 * use them. One browser: the page of the player opens that of the snippets when it is done, and that opens the page of the hook.
 */

import { readFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AudioReport } from "./browser/audio.js";
import type { HookReport } from "./browser/hook.js";
import { bundled, Chromium, chromiumMayBeMissing, script } from "./chromium.js";
import { rawCoder, StreamEncoder } from "../src/index.js";
import { type Served, serve } from "./server.js";
import { join } from "./vectors.js";

const RAW = { "content-type": "application/vnd.objectstreaming;v=1;coder=raw" };

/** Two sentences of 0.2 s each. */
function answer(): Uint8Array {
  const encoder = new StreamEncoder(rawCoder());
  const sound = { kind: "audio", format: "s16le", rate: 22_050, channels: 1, samples: 4410 };
  const pcm = new Uint8Array(Int16Array.from({ length: 4410 }, (_, n) => 8000 * Math.sin(n / 9)).buffer);
  return join([
    encoder.open(),
    encoder.data({ kind: "text" }, new TextEncoder().encode("Hello. ")),
    encoder.data({ ...sound, sentence: 1, text: "Hello. ", at: 0 }, pcm),
    encoder.data({ kind: "text" }, new TextEncoder().encode("How are you?")),
    encoder.data({ ...sound, sentence: 2, text: "How are you?", at: 200_000 }, pcm),
    encoder.end(),
  ]);
}

const PIECES = 2000;

/** One text frame after the other, ten in a millisecond; or one, and no end. */
async function slowly(response: ServerResponse, isLong: boolean): Promise<void> {
  const encoder = new StreamEncoder(rawCoder());
  const text = () => encoder.data({ kind: "text" }, new TextEncoder().encode("x"));
  response.writeHead(200, RAW).write(encoder.open());
  for (let piece = 0; piece < (isLong ? PIECES : 1); piece++) {
    response.write(text());
    if (piece % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  if (isLong) response.end(encoder.end());
}

/** What the page of the snippet found: `told` by its callbacks, and the seconds that were `heard`. */
interface SnippetReport {
  told: string[];
  heard: number;
}

const snippet = readFileSync(new URL("./browser/document.txt", import.meta.url), "utf8");
const CANCEL = "source.close();\n";
// The snippet closes its source at once: that is one run. The other is the same without that line.
const AROUND = (code: string, after: string) => `
import { sharedPlayer } from './services/streaming';
const told = [];
globalThis.appendToChat = (chunk) => told.push(chunk);
console.log = console.error = (said) => told.push(String(said));
const send = (body) => fetch("/snippet", { method: "POST", body: JSON.stringify(body) });
${code}
${after}`;
const CLOSED = AROUND(
  snippet,
  `await source.done.catch(() => undefined); await send({ told, heard: 0 }); location = "/heard";`,
);
const HEARD = AROUND(
  snippet.replace(CANCEL, ""),
  `await source.done; await sharedPlayer().heard(); await send({ told, heard: sharedPlayer().position });
location = "/hooked";`,
);

describe.skipIf(chromiumMayBeMissing)("AudioPlayer in headless Chromium", () => {
  let server: Served | undefined;
  let browser: Chromium | undefined;
  let report: AudioReport;
  let hook: HookReport;
  let left: Promise<unknown> | undefined; // the endless answer of the hook
  const snippets: SnippetReport[] = [];

  beforeAll(async () => {
    const scripts = new Map([
      ["/page.js", await script("audio.ts")],
      ["/closed.js", await bundled(CLOSED)],
      ["/heard.js", await bundled(HEARD)],
      ["/hooked.js", await script("hook.ts")],
    ]);
    await new Promise<void>((resolve) => {
      void serve((response, { url = "" }) => {
        const posted = () => JSON.parse(server?.requests.at(-1)?.body ?? "");
        const code = scripts.get(url);
        if (code !== undefined) response.writeHead(200, { "content-type": "text/javascript" }).end(code);
        else if (url === "/api/chat/stream") response.writeHead(200, RAW).end(answer());
        else if (url === "/result") {
          report = posted();
          response.end();
        } else if (url === "/snippet") {
          response.end();
          snippets.push(posted());
        } else if (url === "/hook") {
          response.end();
          hook = posted();
          resolve();
        } else if (url.startsWith("/hook/")) {
          if (url === "/hook/endless") left = new Promise((resolve) => response.on("close", resolve));
          void slowly(response, url === "/hook/long");
        } else {
          // No blob:, no worklet.
          response.writeHead(200, {
            "content-type": "text/html",
            "content-security-policy": "default-src 'none'; script-src 'self'; connect-src 'self'; img-src data:",
          });
          const name = url === "/" ? "/page" : url;
          response.end(
            `<!doctype html><link rel="icon" href="data:,"><script type="module" src="${name}.js"></script>`,
          );
        }
      }).then((served) => {
        server = served;
        browser = new Chromium(served.url, "--autoplay-policy=no-user-gesture-required");
      });
    });
  }, 120_000);

  afterAll(async () => {
    await browser?.close();
    await server?.close();
  });

  it("plays every cutting of a sound as the uncut sound, sample for sample", () => {
    expect(report.error).toBeUndefined();
    for (const [name, [count, difference]] of Object.entries(report.cuts)) {
      if (!name.startsWith("0 ")) expect(count, name).toBeGreaterThan(0);
      expect(difference, name).toBeLessThan(1e-6);
    }
    expect(Object.keys(report.cuts).length).toBe(33);
  });

  it("is silent within 5 ms of a flush, without a step, and then plays only what is new", () => {
    expect(report.flush.silentAfter).toBeLessThan(0.005);
    expect(report.flush.step).toBeLessThan(1.25);
    expect(report.flush.later).toBeGreaterThan(4000);
    expect(report.flush.later).toBeLessThan(5000);
  });

  it("fades when a piece is late, counts it once, and loses nothing", () => {
    expect(report.underrun.count).toBe(1);
    expect(report.underrun.step).toBeLessThan(1.25);
    expect(report.underrun.heard).toBeCloseTo(1, 3);
  });

  it("changes its speed within 80 ms while it is heard, without a step, and knows where it is", () => {
    const { heardAfter, seconds, step, position, playing, byCutting } = report.speed;
    expect(heardAfter).toBeGreaterThan(0.04);
    expect(heardAfter).toBeLessThan(0.08); // made again after 50 ms; two hops of a tone are like it was
    expect(position).toBeCloseTo(3, 3);
    // 0.45 s as it is, since the cushion is 0.1 s; 0.5 s at 1.5; 0.5 s at 0.5; 0.5 s at 1; the rest, 1.05 s, at 2
    expect(seconds).toBeCloseTo(0.45 + 0.5 + 0.5 + 0.5 + 1.05 / 2, 1);
    expect(step).toBeLessThan(1.25);
    expect(playing).toEqual([1, 1, 1, 1]);
    expect(byCutting).toBeLessThan(1e-6);
  });

  it("loses nothing while the context does not run, and its position stands still", () => {
    expect(report.locked).toEqual({ position: 0, difference: 0 });
  });

  it("runs the document's snippet as written: closed at once, it tells nothing", () => {
    expect(snippet.endsWith(CANCEL)).toBe(true);
    expect(snippets[0]?.told).toEqual([]);
  });

  it("runs the document's snippet: its sounds are heard one after the other", () => {
    expect(snippets[1]?.told).toEqual(["Hello. ", "How are you?", "Done! 2 audio chunks"]);
    expect(snippets[1]?.heard).toBeCloseTo(0.4, 3);
  });

  it("plays compressed sentences as long as PCM: FLAC is the same to half a step of 16 bits", () => {
    const { pcm, flac, opus } = report.compressed;
    for (const found of [pcm, flac, opus]) expect(found?.sentence).toEqual([4411, 4411, 4411]);
    expect(pcm?.difference).toBe(0);
    expect(flac?.difference).toBeLessThan(1 / 32_768);
    expect(flac?.heard).toBe(pcm?.heard);
    expect(opus?.heard).toBe(pcm?.heard);
    expect(opus?.difference).toBeGreaterThan(0);
    expect(opus?.likeness).toBeGreaterThan(0.85);
  });

  it("loses the sound of a sentence that it cannot decode, keeps the text, and asks for other formats next time", () => {
    expect(report.broken).toEqual({ text: "One. Two. Three.", count: 1, asked: ["opus,flac", "flac", "pcm"] });
  });

  it("useStreamingChat, as the document has it, sends once in StrictMode", () => {
    expect(hook.error).toBeUndefined();
    expect(hook.version).toMatch(/^19\./);
    expect(hook.weather).toBe("Hello. How are you?");
    const asked = server?.requests.filter(({ body }) => body.includes("What's the weather?"));
    expect(asked?.length).toBe(1);
  });

  it("useStreamingChat renders at most once a frame", () => {
    expect(hook.long.text).toBe(PIECES);
    expect(hook.long.commits).toBeGreaterThan(3);
    expect(hook.long.commits).toBeLessThanOrEqual(hook.long.frames + 5);
    expect(hook.long.commits).toBeLessThan(PIECES / 4);
  });

  it("useStreamingChat leaves no connection after an unmount", async () => {
    expect(hook.aborted).toEqual([false, true]);
    expect(left).toBeDefined();
    await left;
  });

  it("plays what comes at odd times as if it had come at once, while the cushion lasts", () => {
    expect(report.jitter).toEqual({ difference: 0, underruns: 0, count: expect.any(Number) });
    expect(report.jitter.count).toBeGreaterThan(40_000);
  });
});
