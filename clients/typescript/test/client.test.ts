import type { ServerResponse } from "node:http";
import { afterEach, describe, expect, it, vi } from "vitest";
import {
  ACCEPT,
  ContentTypeError,
  type FetchLike,
  IdleTimeoutError,
  jsonCoder,
  type OpenOptions,
  openStream,
  ResponseError,
  StreamEncoder,
  StreamError,
  talCoder,
} from "../src/index.js";
import { collect, PLAIN, type Served, serve, V1, wholeStream } from "./server.js";
import { join } from "./vectors.js";

const coder = jsonCoder();
let server: Served | undefined;

afterEach(async () => {
  vi.useRealTimers();
  await server?.close();
  server = undefined;
});

async function open(
  handler: (response: ServerResponse) => unknown,
  options: Partial<OpenOptions<unknown, unknown>> = {},
) {
  server = await serve(handler);
  return await openStream(server.url, { coder, ...options });
}

/** Sends the head of the response and these bytes, then breaks the connection. */
function cutAfter(bytes: Uint8Array, headers: Record<string, string>) {
  return (response: ServerResponse) => {
    response.writeHead(200, headers);
    response.write(bytes, () => response.socket?.destroy());
    if (bytes.length === 0) response.flushHeaders();
  };
}

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => expect.unreachable("it should have failed"),
    (error: unknown) => error,
  );
}

describe("a whole answer", () => {
  it("is read as messages, with position, metadata, heartbeat and trailers", async () => {
    const stream = await open((response) => response.writeHead(200, V1).end(wholeStream(15)), {
      json: { question: "?" },
    });
    const { got, error } = await collect(stream);
    expect(error).toBeUndefined();
    expect(got.map(({ payload }) => payload)).toEqual([{ answer: "é漢😀" }, { answer: "No." }]);
    expect(stream).toMatchObject({ position: 2, heartbeat: 15, metadata: { id: "q7" }, trailers: { tokens: 7 } });
    expect(stream.response.status).toBe(200);
    const [request] = server?.requests ?? [];
    expect(request).toMatchObject({ method: "POST", body: '{"question":"?"}' });
    expect(request?.headers).toMatchObject({
      accept: ACCEPT,
      "accept-encoding": "identity",
      "content-type": "application/json",
    });
  });

  it("is read as it arrives", async () => {
    const encoder = new StreamEncoder(coder);
    let go = () => {};
    const taken = new Promise<void>((resolve) => {
      go = resolve;
    });
    const stream = await open(async (response) => {
      response.writeHead(200, V1).write(encoder.data({}, "first"));
      await taken;
      response.end(join([encoder.data({}, "second"), encoder.end()]));
    });
    expect((await stream.next()).value?.payload).toBe("first");
    go();
    expect((await collect(stream)).got.map(({ payload }) => payload)).toEqual(["second"]);
  });

  it("may be plain, and then ends with its body", async () => {
    const stream = await open((response) => response.writeHead(200, PLAIN).end(coder.encode({}, 1)));
    expect(await collect(stream)).toEqual({ got: [{ header: {}, payload: 1 }], error: undefined });
    expect(stream.trailers).toBeUndefined();
  });

  it("is read for any method, with the caller's headers and body", async () => {
    const pcm = talCoder().encode({}, new Int16Array([1, 2]));
    const stream = await open((response) => response.writeHead(200, PLAIN).end(), {
      method: "PUT",
      body: pcm,
      headers: { accept: "application/octet-stream", "x-token": "t", "content-type": "audio/x" },
    });
    expect((await collect(stream)).got).toEqual([]);
    const [request] = server?.requests ?? [];
    expect(request).toMatchObject({ method: "PUT", body: Buffer.from(pcm).toString("latin1") });
    expect(request?.headers).toMatchObject({
      accept: "application/octet-stream",
      "x-token": "t",
      "content-type": "audio/x",
    });
  });

  it("is read for a request body that is a stream", async () => {
    const body = new Blob([talCoder().encode({}, new Int16Array(8))]).stream();
    const stream = await open((response) => response.writeHead(200, PLAIN).end(), { body });
    expect((await collect(stream)).error).toBeUndefined();
    expect(server?.requests[0]?.body.length).toBeGreaterThan(16);
  });
});

describe("an answer that was cut", () => {
  it("is an error in a plain stream if the connection broke, with its place and cause", async () => {
    const two = join([coder.encode({}, 1), coder.encode({}, 2)]);
    const between = await collect(await open(cutAfter(two, PLAIN)));
    expect(between.got.length).toBe(2);
    expect(between.error).toMatchObject({ code: "stream_incomplete", position: 2, cause: expect.anything() });
    await server?.close();
    const inside = await collect(await open(cutAfter(two.slice(0, -1), PLAIN)));
    expect(inside.got.length).toBe(1);
    expect(inside.error).toMatchObject({ code: "truncated_frame", index: 1, offset: 11, cause: expect.anything() });
  });
});

describe("an answer that fails", () => {
  it("in the middle is the error of the peer, after the whole messages", async () => {
    const encoder = new StreamEncoder(coder);
    const error = new StreamError("unavailable", "the model went away", { retry: 3 });
    const wire = join([encoder.open(), encoder.data({}, 1), encoder.end({ error })]);
    const result = await collect(await open((response) => response.writeHead(200, V1).end(wire)));
    expect(result.got.length).toBe(1);
    expect(result.error).toBeInstanceOf(StreamError);
    expect(result.error).toMatchObject({
      code: "unavailable",
      rawMessage: "the model went away",
      details: { retry: 3 },
    });
  });

  it.each([
    [
      429,
      { code: "resource_exhausted", message: "slow down", details: { after: 3 } },
      "resource_exhausted",
      "slow down",
    ],
    [404, { detail: "Not Found" }, "not_found", "Not Found"],
    [400, { detail: { code: "out_of_range", message: "no such position" } }, "out_of_range", "no such position"],
    [
      422,
      { detail: [{ loc: ["body", "question"], msg: "Field required" }] },
      "invalid_argument",
      "body.question: Field required",
    ],
    [503, { title: "Maintenance" }, "unavailable", "Maintenance"],
    [500, "<html> Oh   no </html>", "internal", "<html> Oh no </html>"],
    [500, "\x1b[31mred\0", "internal", "[31mred"],
    [500, "\u{1f600}".repeat(60), "internal", "\u{1f600}".repeat(60)],
    [418, { code: "no_such_code" }, "unknown", "I'm a Teapot"],
    [502, "", "unavailable", "Bad Gateway"],
  ])("before the first frame with %i and %j", async (status, body, code, message) => {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    const error = await rejection(open((response) => response.writeHead(status).end(text)));
    expect(error).toBeInstanceOf(ResponseError);
    expect(error).toMatchObject({ status, code, rawMessage: message });
    expect((error as Error).message).toBe(`HTTP ${status}, ${code}: ${message}`);
  });

  it.each([
    [{ error: { message: "quota" } }, "resource_exhausted", { error: { message: "quota" } }],
    [{ detail: { quota: 5 } }, "resource_exhausted", { quota: 5 }],
    [{ code: "aborted", message: "again", status: 429 }, "aborted", undefined],
  ])("keeps what it does not know of %j as details", async (body, code, details) => {
    const error = await rejection(open((response) => response.writeHead(429).end(JSON.stringify(body))));
    expect((error as ResponseError).code).toBe(code);
    expect((error as ResponseError).details).toEqual(details);
  });

  it("with an endless body is read only at the beginning", async () => {
    const error = await rejection(
      open((response) => {
        response.writeHead(500);
        response.write("x".repeat(1_000_000));
      }),
    );
    expect((error as ResponseError).body.length).toBe(16_384);
    await server?.gone;
  });

  it.each([
    ["a web page", "text/html", "the content type is 'text/html'"],
    ["no content type", "", "no Content-Type"],
    ["another version", "application/vnd.objectstreaming;v=2", "version '2'"],
    ["no version", "application/vnd.objectstreaming", "version ''"],
    ["another coder", 'application/vnd.objectstreaming; V="1"; coder=tal', "coder is 'tal'"],
  ])("with %s", async (_, contentType, message) => {
    const headers = contentType ? { "content-type": contentType } : {};
    const error = await rejection(open((response) => response.writeHead(200, headers).end("<html>login</html>")));
    expect(error).toBeInstanceOf(ContentTypeError);
    expect(error).toMatchObject({ code: "unexpected_content_type", contentType });
    expect((error as Error).message).toContain(message);
    expect((error as Error).message).toContain("<html>login");
    expect(server?.requests.length).toBe(1);
  });
});

describe("silence", () => {
  it("of three heartbeats is an idle timeout", async () => {
    const encoder = new StreamEncoder(coder);
    const stream = await open((response) => {
      response.writeHead(200, V1).write(join([encoder.open({ heartbeat: 0.05 }), encoder.data({}, 1)]));
    });
    const start = performance.now();
    const { got, error } = await collect(stream);
    expect(got.length).toBe(1);
    expect(error).toBeInstanceOf(IdleTimeoutError);
    expect(error).toMatchObject({ code: "idle_timeout", position: 1 });
    expect(performance.now() - start).toBeGreaterThan(140);
    await server?.gone;
  });

  it("before the response is an idle timeout too", async () => {
    const error = await rejection(open(() => {}, { idleTimeout: 50 }));
    expect(error).toBeInstanceOf(IdleTimeoutError);
    await server?.gone;
  });

  it("of a slow reader is no timeout", async () => {
    const stream = await open((response) => response.writeHead(200, V1).end(wholeStream(0.01)));
    let seen = 0;
    for await (const _ of stream) {
      seen++;
      await new Promise((resolve) => setTimeout(resolve, 60));
    }
    expect(seen).toBe(2);
  });

  it("may be long with idleTimeout: Infinity", async () => {
    const handler = (response: ServerResponse) => setTimeout(() => response.writeHead(200, V1).end(wholeStream()), 30);
    expect((await collect(await open(handler, { idleTimeout: Infinity }))).error).toBeUndefined();
  });

  it("of a year does not overflow setTimeout, if it is announced", async () => {
    const encoder = new StreamEncoder(coder);
    const stream = await open((response) => {
      response.writeHead(200, V1).write(encoder.open({ heartbeat: 31_536_000 }));
      setTimeout(() => response.end(encoder.end()), 50);
    });
    expect((await collect(stream)).error).toBeUndefined();
  });
});

describe("cancelling", () => {
  it("by signal throws its reason at once and closes the connection", async () => {
    const controller = new AbortController();
    const stream = await open((response) => void response.writeHead(200, V1).write(coder.encode({}, 1)), {
      signal: controller.signal,
    });
    await stream.next();
    const reason = new Error("the user cancelled");
    const waiting = rejection(stream.next());
    controller.abort(reason);
    expect(await waiting).toBe(reason);
    expect(await rejection(stream.next())).toBe(reason);
    await server?.gone;
  });

  it("by signal ends the reading at once, even if messages are ready", async () => {
    const controller = new AbortController();
    const stream = await open((response) => response.writeHead(200, V1).end(wholeStream()), {
      signal: controller.signal,
    });
    const seen: unknown[] = [];
    const error = await rejection(
      (async () => {
        for await (const { payload } of stream) {
          seen.push(payload);
          controller.abort("enough");
        }
      })(),
    );
    expect(seen.length).toBe(1);
    expect(error).toBe("enough");
  });

  it("by signal after the end changes nothing", async () => {
    const controller = new AbortController();
    const stream = await open((response) => response.writeHead(200, V1).end(wholeStream()), {
      signal: controller.signal,
    });
    await collect(stream);
    controller.abort();
    expect((await stream.next()).done).toBe(true);
  });

  it("by signal before the response, or before the request", async () => {
    const controller = new AbortController();
    const waiting = rejection(open(() => controller.abort(), { signal: controller.signal }));
    expect(await waiting).toMatchObject({ name: "AbortError" });
    expect(await rejection(open(() => {}, { signal: AbortSignal.abort("why") }))).toBe("why");
    expect(server?.requests.length).toBe(0);
  });

  it("by signal before the request sends none, even if fetch ignores the signal", async () => {
    const fetch = vi.fn<FetchLike>();
    expect(await rejection(openStream("http://x/", { coder, fetch, signal: AbortSignal.abort("why") }))).toBe("why");
    expect(fetch).not.toHaveBeenCalled();
  });

  it("by signal works even if fetch ignores the signal", async () => {
    const controller = new AbortController();
    const ignoring: FetchLike = () => new Promise(() => {});
    const waiting = rejection(openStream("http://x/", { coder, fetch: ignoring, signal: controller.signal }));
    controller.abort("left");
    expect(await waiting).toBe("left");
  });

  it("by break closes the connection", async () => {
    const stream = await open((response) => void response.writeHead(200, V1).write(coder.encode({}, 1)));
    for await (const _ of stream) break;
    await server?.gone;
  });

  it("by close closes the connection, also while a read waits", async () => {
    const stream = await open((response) => void response.writeHead(200, V1).flushHeaders());
    const waiting = stream.next();
    await stream.close();
    expect((await waiting).done).toBe(true);
    await server?.gone;
  });

  it("removes its listener from the signal", async () => {
    const { signal } = new AbortController();
    const removed = vi.spyOn(signal, "removeEventListener");
    await collect(await open((response) => response.writeHead(200, V1).end(wholeStream()), { signal }));
    await rejection(open((response) => response.writeHead(500).end(), { signal }));
    expect(removed).toHaveBeenCalledTimes(2);
  });
});

describe("one signal for many streams", () => {
  it("has one listener, aborts all of them, and keeps no listener", async () => {
    const stop = new AbortController();
    const added = vi.spyOn(stop.signal, "addEventListener");
    const removed = vi.spyOn(stop.signal, "removeEventListener");
    const warnings: Error[] = [];
    const warn = (warning: Error) => warnings.push(warning);
    process.on("warning", warn);
    server = await serve((response) => void response.writeHead(200, V1).write(coder.encode({}, 1)));
    const { url } = server;
    const streams = await Promise.all(
      Array.from({ length: 100 }, () => openStream(url, { coder, signal: stop.signal })),
    );
    for (const stream of streams) await stream.next();
    expect(added).toHaveBeenCalledTimes(1);
    const waiting = streams.map((stream) => rejection(stream.next()));
    stop.abort("stopped");
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(["stopped"]));
    expect(removed).toHaveBeenCalledTimes(1);
    await new Promise((resolve) => setImmediate(resolve)); // warnings are emitted in a later tick
    process.off("warning", warn);
    expect(warnings).toEqual([]);
  });

  it("still aborts the others after one has closed", async () => {
    const stop = new AbortController();
    server = await serve((response) => void response.writeHead(200, V1).write(coder.encode({}, 1)));
    const first = await openStream(server.url, { coder, signal: stop.signal });
    const second = await openStream(server.url, { coder, signal: stop.signal });
    await first.close();
    await second.next();
    stop.abort("stopped");
    expect(await rejection(second.next())).toBe("stopped");
  });
});

describe("Retry-After", () => {
  it.each([
    [{ "retry-after": "7" }, 7],
    [{ "retry-after": "9".repeat(20) }, 1e20],
    [{ "retry-after": "Fri, 27 Nov 2026 20:00:30 GMT", date: "Fri, 27 Nov 2026 20:00:00 GMT" }, 30],
    [{ "retry-after": "Fri, 27 Nov 2026 20:00:00 GMT", date: "Fri, 27 Nov 2026 20:00:30 GMT" }, 0],
    [{ "retry-after": "soon" }, undefined],
    [{ "retry-after": "-1" }, undefined],
    [{ "retry-after": "1.5" }, undefined],
    [{}, undefined],
  ])("%j is %s seconds", async (headers, seconds) => {
    const error = await rejection(open((response) => response.writeHead(429, { ...headers, "x-id": "q7" }).end()));
    expect((error as ResponseError).retryAfter).toBe(seconds);
    expect((error as ResponseError).headers.get("X-Id")).toBe("q7");
  });
});

it("says a silence in a readable number of seconds", async () => {
  const fetch: FetchLike = () => new Promise(() => {});
  const error = await rejection(openStream("http://x/", { coder, fetch, idleTimeout: 0.3 * 3 }));
  expect((error as Error).message).toBe("no response arrived for 0.0009 s");
});

it("is closed by `await using`", async () => {
  const stream = await open((response) => void response.writeHead(200, V1).write(coder.encode({}, 1)));
  await stream[Symbol.asyncDispose]();
  expect((await stream.next()).done).toBe(true);
  await server?.gone;
});

describe("the request", () => {
  it("is never sent twice", async () => {
    for (const handler of [
      (response: ServerResponse) => void response.socket?.destroy(),
      cutAfter(wholeStream().slice(0, 100), V1),
      (response: ServerResponse) => response.writeHead(503).end(),
    ]) {
      await open(handler).then(collect, () => {});
      expect(server?.requests.length).toBe(1);
      await server?.close();
    }
  });

  it("has json or a body, not both", async () => {
    expect(await rejection(openStream("http://x/", { coder, json: 1, body: "x" }))).toBeInstanceOf(TypeError);
  });

  it("uses the given fetch, with all other options of fetch", async () => {
    const calls: unknown[] = [];
    const fetch: FetchLike = async (url, init) => {
      calls.push([url, init]);
      return new Response(wholeStream(), { headers: V1 });
    };
    const stream = await openStream(new URL("http://x/y?z"), {
      coder,
      fetch,
      credentials: "include",
      headers: [["a", "b"]],
    });
    expect((await collect(stream)).got.length).toBe(2);
    expect(calls).toEqual([
      [
        "http://x/y?z",
        expect.objectContaining({ credentials: "include", headers: expect.objectContaining({ a: "b" }) }),
      ],
    ]);
  });

  it("explains what to do if fetch returns no body", async () => {
    const fetch = (async () => ({
      ok: true,
      status: 200,
      statusText: "",
      headers: new Headers(V1),
    })) as unknown as FetchLike;
    expect(String(await rejection(openStream("http://x/", { coder, fetch })))).toContain("expo/fetch");
  });

  it("throws the error of fetch if there is no server", async () => {
    const closed = await serve(() => {});
    await closed.close();
    expect(await rejection(openStream(closed.url, { coder }))).toBeInstanceOf(TypeError);
  });
});

it("a slow reader slows the server down, and nothing accumulates", async () => {
  const frame = coder.encode({}, "x".repeat(100_000));
  let sent = 0;
  const stream = await open((response) => {
    response.writeHead(200, PLAIN);
    response.on("error", () => {});
    const more = () => {
      if (response.destroyed) return;
      do sent++;
      while (response.write(frame));
      response.once("drain", more);
    };
    more();
  });
  await stream.next();
  const settled = async () => {
    for (let before = -1; before !== sent;) {
      before = sent;
      await new Promise((resolve) => setTimeout(resolve, 150));
    }
    return sent;
  };
  const stalled = await settled();
  expect(stalled * frame.length).toBeLessThan(32 * 2 ** 20); // the buffers of the kernel and of fetch
  for (let n = 0; n < 100; n++) await stream.next();
  expect(await settled()).toBeGreaterThan(stalled);
  await stream.close();
});
