/** `openStream(..., { resume })`: SPEC section 6.3, with a fetch that follows a script, and a clock that the test moves. */

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  type FetchInit,
  type Interruption,
  jsonCoder,
  type OpenOptions,
  openStream,
  type Place,
} from "../src/index.js";
import { encodeFrame, StreamEncoder, StreamError } from "../src/index.js";
import { collect, PLAIN, V1 } from "./server.js";
import { join } from "./vectors.js";

const coder = jsonCoder();
const ASK = "https://example.org/ask";
const KEPT = "https://example.org/streams/2f1c9a70";

/** What a request is answered with: a response, or an error of fetch. */
type Answer = Response | Error | ((url: string, init: FetchInit) => Response | Promise<Response>);

let requests: { url: string; init: FetchInit }[] = [];
let answers: Answer[] = [];

const fetch = async (url: string, init: FetchInit): Promise<Response> => {
  requests.push({ url, init });
  const answer = answers.shift();
  if (answer === undefined) return new Promise(() => {});
  if (answer instanceof Error) throw answer;
  return typeof answer === "function" ? answer(url, init) : answer;
};

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(1);
  requests = [];
  answers = [];
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

interface Part {
  position?: number;
  resume?: string | undefined;
  items?: number[];
  heartbeat?: number;
  /** What comes after the items. `cut` breaks the connection, `clean` closes it without an end, `silence` keeps it open. */
  then?: "end" | "cut" | "clean" | "silence" | StreamError;
}

function open({ position = 0, resume = "/streams/2f1c9a70", heartbeat }: Part = {}): Uint8Array {
  const about = { type: "open", v: 1, coder: "json", position, resume: resume || undefined, heartbeat };
  return encodeFrame({ $stream: about }, coder.neutral);
}

function bytesOf(part: Part): Uint8Array<ArrayBuffer> {
  const { items = [], then = "end" } = part;
  const encoder = new StreamEncoder(coder);
  const parts = [open(part), ...items.map((item) => encoder.data({}, item))];
  if (then === "end") parts.push(encoder.end({ trailers: { whole: true } }));
  if (then instanceof StreamError) parts.push(encoder.end({ error: then }));
  return join(parts);
}

function response(bytes: Uint8Array<ArrayBuffer>, then: Part["then"] = "end"): Response {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      if (bytes.length > 0) controller.enqueue(bytes);
    },
    async pull(controller) {
      if (then === "silence") await new Promise(() => {});
      if (then === "cut") controller.error(new TypeError("network error"));
      else controller.close();
    },
  });
  return new Response(body, { headers: V1 });
}

const answer = (part: Part = {}) => response(bytesOf(part), part.then);
const status = (code: number, headers: HeadersInit = {}, body = {}) =>
  new Response(JSON.stringify(body), { status: code, headers });

async function ask(script: Answer[], options: Partial<OpenOptions<unknown, unknown>> = {}) {
  answers = script;
  return await openStream(ASK, { coder, fetch, json: { question: "?" }, resume: true, ...options });
}

/** Reads to the end, and moves the clock whenever nothing else happens. */
async function readAll(stream: AsyncIterable<{ payload: unknown }>) {
  const reading = { over: false };
  const read = collect(stream).finally(() => (reading.over = true));
  while (!reading.over) await vi.advanceTimersToNextTimerAsync();
  const { got, error } = await read;
  return { got: got.map(({ payload }) => payload), error };
}

describe("a stream that was cut", () => {
  it("is continued with GET, and each message comes once", async () => {
    const stream = await ask(
      [
        answer({ items: [1, 2], then: "cut" }),
        answer({ position: 2, items: [3], then: "clean" }),
        answer({ position: 3, items: [4] }),
      ],
      { headers: { authorization: "t", "content-type": "application/json" }, credentials: "include" },
    );
    expect(await readAll(stream)).toEqual({ got: [1, 2, 3, 4], error: undefined });
    expect(stream).toMatchObject({ position: 4, trailers: { whole: true }, place: { url: KEPT, position: 4 } });
    expect(requests.map(({ url, init }) => [init.method, url])).toEqual([
      ["POST", ASK],
      ["GET", `${KEPT}?position=2`],
      ["GET", `${KEPT}?position=3`],
    ]);
    expect(requests[0]?.init.body).toBe('{"question":"?"}');
    for (const { init } of requests.slice(1)) {
      expect(init).toMatchObject({ credentials: "include", cache: "no-store" });
      expect(init.body).toBeUndefined();
      expect(init.headers).toMatchObject({ authorization: "t" });
      expect(init.headers).not.toHaveProperty("content-type");
    }
  });

  it("loses and doubles nothing, at whatever byte it is cut", async () => {
    const wire = bytesOf({ items: [1, 2, 3], heartbeat: 15 });
    const rest = (url: string) => {
      const position = Number(new URL(url).searchParams.get("position"));
      return answer({ position, items: [1, 2, 3].slice(position) });
    };
    for (let cut = open({ heartbeat: 15 }).length; cut < wire.length; cut++) {
      const stream = await ask([response(wire.slice(0, cut), cut % 2 ? "cut" : "clean"), rest]);
      expect(await readAll(stream), `cut at ${cut}`).toEqual({ got: [1, 2, 3], error: undefined });
    }
  });

  it("is continued after silence", async () => {
    const stream = await ask([
      answer({ items: [1], heartbeat: 5, then: "silence" }),
      answer({ position: 1, items: [2] }),
    ]);
    expect((await readAll(stream)).got).toEqual([1, 2]);
  });

  it("is cut if it has no `open` yet, or one without `resume`, or one of another origin", async () => {
    for (const resume of [
      "",
      "https://example.com/streams/1",
      "http://example.org/streams/1",
      "data:,x",
      "https://u:p@example.org/",
    ]) {
      const stream = await ask([answer({ items: [1], then: "cut", resume })]);
      expect((await readAll(stream)).error).toMatchObject({ code: "stream_incomplete", position: 1 });
      expect(stream.place).toBeUndefined();
      await expect(stream.stop()).rejects.toThrow("use close()");
    }
    expect((await readAll(await ask([response(open().slice(0, 9), "cut")]))).error).toMatchObject({
      code: "truncated_frame",
    });
  });

  it("is not continued at another origin to which a redirect has led", async () => {
    const elsewhere = answer({ items: [1], then: "cut" });
    Object.defineProperty(elsewhere, "url", { value: "https://example.com/ask" });
    expect((await readAll(await ask([elsewhere]))).error).toMatchObject({ code: "stream_incomplete" });
    expect(requests.length).toBe(1);
  });

  it("is continued relative to where the answer came from", async () => {
    const redirected = answer({ items: [1], then: "cut", resume: "7?x=%20y" });
    Object.defineProperty(redirected, "url", { value: "https://example.org/v2/streams/ask" });
    await readAll(await ask([redirected, answer({ position: 1 })]));
    expect(requests[1]?.url).toBe("https://example.org/v2/streams/7?x=+y&position=1");
  });

  it("is not continued without the option", async () => {
    const stream = await ask([answer({ items: [1], then: "cut" })], { resume: false });
    expect((await readAll(stream)).error).toMatchObject({ code: "stream_incomplete" });
    expect(stream.place).toEqual({ url: KEPT, position: 1 });
    expect(requests.length).toBe(1);
  });
});

describe("the first request", () => {
  it("is never sent again", async () => {
    for (const first of [new TypeError("no network"), status(503, { "retry-after": "1" }), status(404)]) {
      await expect(ask([first])).rejects.toBeDefined();
      await vi.runAllTimersAsync();
      expect(requests.length).toBe(1);
      requests = [];
    }
  });
});

describe("what may pass", () => {
  it("is tried again, after longer and longer pauses, which a message ends", async () => {
    const waits: number[] = [];
    const onInterruption = ({ wait }: Interruption) => waits.push(wait);
    const failures = [429, 502, 503, 504, 503, 502].map((code) => status(code));
    const stream = await ask(
      [
        answer({ items: [1], then: "cut" }),
        new TypeError("no network"),
        ...failures,
        answer({ position: 1, items: [2], then: "cut" }),
        answer({ position: 2 }),
      ],
      { onInterruption },
    );
    expect(await readAll(stream)).toEqual({ got: [1, 2], error: undefined });
    expect(waits).toEqual([0.25, 0.5, 1, 2, 4, 8, 10, 10, 0.25]);
  });

  it("is told with position, attempt, pause and error", async () => {
    const told: Interruption[] = [];
    const script = [answer({ items: [1], then: "cut" }), status(503, { "retry-after": "7" }), answer({ position: 1 })];
    await readAll(await ask(script, { onInterruption: (interruption) => told.push(interruption) }));
    expect(told).toEqual([
      { position: 1, attempt: 1, wait: 0.25, error: expect.objectContaining({ code: "stream_incomplete" }) },
      { position: 1, attempt: 2, wait: 7, error: expect.objectContaining({ status: 503 }) },
    ]);
  });

  it("waits for a random part of the pause, and for all of `Retry-After`", async () => {
    vi.mocked(Math.random).mockReturnValue(0.5);
    const stream = await ask([
      answer({ items: [1], then: "cut" }),
      status(429, { "retry-after": "60" }),
      answer({ position: 1 }),
    ]);
    const reading = collect(stream);
    await vi.advanceTimersByTimeAsync(124);
    expect(requests.length).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(requests.length).toBe(2);
    await vi.advanceTimersByTimeAsync(59_999);
    expect(requests.length).toBe(2);
    await vi.advanceTimersByTimeAsync(1);
    expect(requests.length).toBe(3);
    expect((await reading).error).toBeUndefined();
  });

  it("includes 404 and out_of_range, for ten seconds after data", async () => {
    const lost = [status(404), status(400, {}, { code: "out_of_range", message: "" })];
    expect(
      await readAll(await ask([answer({ items: [1], then: "cut" }), ...lost, answer({ position: 1, items: [2] })])),
    ).toEqual({ got: [1, 2], error: undefined });
    const still = await ask([answer({ items: [1], then: "cut" }), ...Array.from({ length: 20 }, () => status(404))]);
    expect((await readAll(still)).error).toMatchObject({ status: 404 });
    const outage = () => Array.from({ length: 8 }, () => status(503)); // 28 s
    const after = [status(404), status(404), answer({ position: 1, items: [2] })];
    expect(
      (await readAll(await ask([answer({ items: [1], then: "cut" }), ...outage(), ...after]))).error,
    ).toMatchObject({
      status: 404, // the second one comes 10 s after the first
    });
    const short = await ask([answer({ items: [1], then: "cut" }), ...outage(), status(404), answer({ position: 1 })]);
    expect((await readAll(short)).error).toBeUndefined();
    const never = await ask([answer({ then: "cut" }), status(404), answer({ items: [1] })]);
    expect((await readAll(never)).error).toMatchObject({ status: 404 });
  });

  it("is given up after the time that `resume` says, and 300 s by default", async () => {
    const begins = performance.now();
    const endless = () => Array.from({ length: 100 }, () => new TypeError("no network"));
    const twenty = await ask([answer({ items: [1], then: "cut" }), ...endless()], { resume: 20 });
    expect((await readAll(twenty)).error).toMatchObject({ message: "no network" });
    expect(performance.now() - begins).toBeGreaterThan(7_000);
    expect(performance.now() - begins).toBeLessThan(20_001);
    const from = performance.now();
    await readAll(await ask([answer({ items: [1], then: "cut" }), ...endless()]));
    expect(performance.now() - from).toBeGreaterThan(280_000);
    expect(performance.now() - from).toBeLessThan(300_001);
  });

  it("is not waited for if `Retry-After` is longer than that", async () => {
    const stream = await ask([answer({ items: [1], then: "cut" }), status(503, { "retry-after": "999999999999999" })]);
    const begins = performance.now();
    expect((await readAll(stream)).error).toMatchObject({ status: 503, retryAfter: 999999999999999 });
    expect(performance.now() - begins).toBeLessThan(1000);
  });

  it("begins anew after a response that lasted, even without a message", async () => {
    const waits: number[] = [];
    const slow = () => answer({ position: 1, heartbeat: 6, then: "silence" });
    const script = [answer({ items: [1], then: "cut" }), slow(), slow(), answer({ position: 1, items: [2] })];
    const stream = await ask(script, { resume: 20, onInterruption: ({ wait }) => waits.push(wait) });
    expect(await readAll(stream)).toEqual({ got: [1, 2], error: undefined });
    expect(waits).toEqual([0.25, 0.25, 0.25]);
  });
});

describe("what will not pass is final", () => {
  it.each([
    ["a refusal", status(403), { status: 403 }],
    ["410", status(410), { status: 410 }],
    ["an answer that is no stream", new Response("<html>"), { code: "unexpected_content_type" }],
    ["a plain stream", new Response(null, { headers: PLAIN }), { code: "unexpected_content_type" }],
    ["bytes that are no frames", response(new Uint8Array(9).fill(255)), { code: "frame_too_large" }],
    [
      "the end of the stream",
      answer({ position: 1, then: new StreamError("unavailable", "writer died") }),
      { code: "unavailable" },
    ],
    ["a gap", answer({ position: 2, items: [3] }), { code: "data_loss" }],
    ["a gap that is told before data", answer({ position: 2, then: "silence" }), { code: "data_loss" }],
    ["an end that is too early", answer({ position: 0, items: [] }), { code: "data_loss" }],
  ])("%s", async (_, second, error) => {
    const stream = await ask([answer({ items: [1], then: "cut" }), second, answer({ position: 1, items: [2] })]);
    const result = await readAll(stream);
    expect(result).toMatchObject({ got: [1], error });
    expect(requests.length).toBe(2);
    await expect(stream.next()).rejects.toBe(result.error);
  });
});

it("drops the messages that it has had already", async () => {
  const stream = await ask([answer({ items: [1, 2], then: "cut" }), answer({ position: 0, items: [1, 2, 3] })]);
  expect((await readAll(stream)).got).toEqual([1, 2, 3]);
});

it("throws a refused payload once", async () => {
  const bad = join([open(), coder.encode({}, 1), encodeFrame({}, new TextEncoder().encode("{"))]);
  const stream = await ask([
    response(bad, "cut"),
    response(join([bad, coder.encode({}, 3), encodeFrame({ $stream: { type: "end", frames: 3 } }, coder.neutral)])),
  ]);
  expect(await readAll(stream)).toMatchObject({ got: [1], error: { code: "invalid_payload" } });
  expect(stream.position).toBe(2);
  expect(await readAll(stream)).toEqual({ got: [3], error: undefined });
});

describe("headers as a function", () => {
  it("are asked for again for each request", async () => {
    let token = 0;
    const headers = async () => ({ authorization: `token ${++token}` });
    const stream = await ask([answer({ items: [1], then: "cut" }), status(503), answer({ position: 1 })], { headers });
    await readAll(stream);
    expect(requests.map(({ init }) => init.headers["authorization"])).toEqual(["token 1", "token 2", "token 3"]);
  });

  it("end the stream by their error", async () => {
    const headers = vi.fn(() => ({}));
    const stream = await ask([answer({ items: [1], then: "cut" }), answer({ position: 1 })], { headers });
    headers.mockImplementation(() => {
      throw new Error("logged out");
    });
    expect((await readAll(stream)).error).toMatchObject({ message: "logged out" });
    expect(requests.length).toBe(1);
  });
});

describe("leaving", () => {
  async function inPause(options: Partial<OpenOptions<unknown, unknown>> = {}) {
    const paused = new Promise<void>((resolve) => (options = { ...options, onInterruption: () => resolve() }));
    const stream = await ask([answer({ items: [1], then: "cut" })], options);
    await stream.next();
    const waiting = stream.next();
    waiting.catch(() => {});
    await paused;
    return { stream, waiting };
  }

  it("by the signal ends a pause at once, and nothing is asked for any more", async () => {
    const stop = new AbortController();
    const { waiting } = await inPause({ signal: stop.signal });
    stop.abort("left");
    await expect(waiting).rejects.toBe("left");
    await vi.runAllTimersAsync();
    expect(vi.getTimerCount()).toBe(0);
    expect(requests.length).toBe(1);
  });

  it("by the signal ends a request for the rest at once", async () => {
    const stop = new AbortController();
    const { waiting } = await inPause({ signal: stop.signal });
    await vi.advanceTimersByTimeAsync(250);
    expect(requests.length).toBe(2);
    stop.abort("left");
    await expect(waiting).rejects.toBe("left");
    expect(requests[1]?.init.signal.aborted).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("by close ends a pause and a request for the rest", async () => {
    for (const time of [0, 250]) {
      const { stream, waiting } = await inPause();
      await vi.advanceTimersByTimeAsync(time);
      await stream.close();
      expect((await waiting).done).toBe(true);
      expect(vi.getTimerCount()).toBe(0);
    }
  });

  it("does not stop the stream, stop does", async () => {
    const stream = await ask([answer({ items: [1], then: "silence" }), new Response(null, { status: 204 })], {
      headers: { authorization: "t" },
    });
    await stream.next();
    await stream.stop();
    expect(requests[1]).toMatchObject({ url: KEPT, init: { method: "DELETE", headers: { authorization: "t" } } });
    await stream.close();
    expect(requests.length).toBe(2);
    answers = [status(404)];
    await expect(stream.stop()).rejects.toMatchObject({ status: 404 });
  });
});

describe("a pause ends early", () => {
  class Page extends EventTarget {
    visibilityState = "hidden";
    baseURI = "https://example.org/chat/";
  }

  async function paused(second: Answer) {
    const window = new EventTarget();
    const page = new Page();
    vi.stubGlobal("addEventListener", window.addEventListener.bind(window));
    vi.stubGlobal("removeEventListener", window.removeEventListener.bind(window));
    vi.stubGlobal("document", page);
    const stream = await ask([answer({ items: [1], then: "cut" }), second]);
    const reading = collect(stream);
    await vi.advanceTimersByTimeAsync(0);
    return { reading, window, page };
  }

  it("when the network is back", async () => {
    const { reading, window } = await paused(answer({ position: 1, items: [2] }));
    window.dispatchEvent(new Event("online"));
    expect((await reading).got.length).toBe(2);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("when the page is shown again, not when it is hidden", async () => {
    const { reading, page } = await paused(answer({ position: 1, items: [2] }));
    page.dispatchEvent(new Event("visibilitychange"));
    await vi.advanceTimersByTimeAsync(0);
    expect(requests.length).toBe(1);
    page.visibilityState = "visible";
    page.dispatchEvent(new Event("visibilitychange"));
    expect((await reading).got.length).toBe(2);
  });

  it("but not if the server has asked for it", async () => {
    const { reading, window } = await paused(status(503, { "retry-after": "5" }));
    window.dispatchEvent(new Event("online"));
    await vi.advanceTimersByTimeAsync(0);
    answers = [answer({ position: 1, items: [2] })];
    window.dispatchEvent(new Event("online"));
    await vi.advanceTimersByTimeAsync(4_999);
    expect(requests.length).toBe(2);
    await vi.advanceTimersByTimeAsync(1);
    expect((await reading).got.length).toBe(2);
  });
});

describe("a place", () => {
  it("continues a stream after a reload", async () => {
    const before = await ask([answer({ items: [1, 2], then: "silence" })]);
    await before.next();
    const kept = JSON.stringify(before.place);
    await before.close();
    answers = [answer({ position: 1, items: [2], then: "cut" }), answer({ position: 2, items: [3] })];
    const after = await openStream(JSON.parse(kept) as Place, { coder, fetch, resume: true });
    expect(after.position).toBe(1);
    expect(await readAll(after)).toEqual({ got: [2, 3], error: undefined });
    expect(requests.slice(1).map(({ init, url }) => [init.method, url])).toEqual([
      ["GET", `${KEPT}?position=1`],
      ["GET", `${KEPT}?position=2`],
    ]);
  });

  it("is tried again where the server is out of reach, with `resume` only", async () => {
    const place = { url: KEPT, position: 1 };
    answers = [new TypeError("no network"), status(503), answer({ position: 1, items: [2] })];
    const opening = openStream(place, { coder, fetch, resume: true });
    await vi.advanceTimersByTimeAsync(10_000);
    expect((await readAll(await opening)).got).toEqual([2]);
    answers = [new TypeError("no network")];
    await expect(openStream(place, { coder, fetch })).rejects.toThrow("no network");
    answers = [status(404)];
    await expect(openStream(place, { coder, fetch, resume: true })).rejects.toMatchObject({ status: 404 });
  });

  it("may be stopped at once", async () => {
    answers = [answer({ position: 1, then: "silence" }), new Response(null, { status: 204 })];
    const stream = await openStream({ url: KEPT, position: 1 }, { coder, fetch });
    await stream.stop();
    expect(requests[1]).toMatchObject({ url: KEPT, init: { method: "DELETE" } });
    await stream.close();
  });

  it("is a URL and a position, and takes no body", async () => {
    for (const wrong of [
      { url: KEPT },
      { url: 1, position: 1 },
      { url: KEPT, position: -1 },
      { url: KEPT, position: 0.5 },
    ]) {
      await expect(openStream(wrong as Place, { coder, fetch })).rejects.toThrow("a place has url");
    }
    const place = { url: KEPT, position: 1 };
    for (const more of [{ json: 1 }, { body: "x" }, { method: "POST" }]) {
      await expect(openStream(place, { coder, fetch, ...more })).rejects.toThrow("with GET");
    }
    expect(requests).toEqual([]);
  });
});
