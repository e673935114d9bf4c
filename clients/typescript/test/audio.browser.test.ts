/** AudioPlayer in headless Chromium, in an OfflineAudioContext. */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AudioReport } from "./browser/audio.js";
import { Chromium, chromiumMayBeMissing, script } from "./chromium.js";
import { type Served, serve } from "./server.js";

describe.skipIf(chromiumMayBeMissing)("AudioPlayer in headless Chromium", () => {
  let server: Served | undefined;
  let browser: Chromium | undefined;
  let report: AudioReport;

  beforeAll(async () => {
    const code = await script("audio.ts");
    const result = new Promise<AudioReport>((resolve) => {
      void serve((response, { url }) => {
        if (url === "/result") {
          resolve(JSON.parse(server?.requests.at(-1)?.body ?? ""));
          response.end();
        } else if (url === "/page.js") response.writeHead(200, { "content-type": "text/javascript" }).end(code);
        else {
          // No blob:, no worklet.
          response.writeHead(200, {
            "content-type": "text/html",
            "content-security-policy": "default-src 'none'; script-src 'self'; connect-src 'self'; img-src data:",
          });
          response.end('<!doctype html><link rel="icon" href="data:,"><script type="module" src="page.js"></script>');
        }
      }).then((served) => {
        server = served;
        browser = new Chromium(served.url);
      });
    });
    report = await result;
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

  it("loses nothing while the context does not run, and its position stands still", () => {
    expect(report.locked).toEqual({ position: 0, difference: 0 });
  });
});
