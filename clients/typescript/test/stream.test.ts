import { Readable } from "node:stream";
import { describe, expect, it, vi } from "vitest";
import {
  decodeStream,
  encodeFrame,
  FrameDecoderStream,
  FrameError,
  jsonCoder,
  MessageDecoderStream,
  MessageEncoderStream,
  PayloadError,
  rawCoder,
  StreamDecoder,
  StreamEncoder,
  StreamError,
  StreamIncompleteError,
} from "../src/index.js";
import { collect, wholeStream } from "./server.js";
import { chunkings, join } from "./vectors.js";

const json = jsonCoder();
const refused = encodeFrame({}, new TextEncoder().encode("nope"));

/** A stream that returns one of these chunks per pull, and counts the pulls. */
function streamOf(chunks: Uint8Array[], failure?: unknown) {
  const state = { pulls: 0, cancelled: undefined as unknown, stream: new ReadableStream<Uint8Array>() };
  state.stream = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const chunk = chunks[state.pulls++];
        if (chunk) controller.enqueue(chunk);
        else if (failure === undefined) controller.close();
        else controller.error(failure);
      },
      cancel(reason) {
        state.cancelled = reason ?? "cancelled";
      },
    },
    { highWaterMark: 0 },
  );
  return state;
}

describe("decodeStream", () => {
  it("reads a web stream in all chunkings, with metadata and trailers", async () => {
    for (const chunks of chunkings(wholeStream(15))) {
      const messages = decodeStream(streamOf(chunks).stream, json);
      const { got, error } = await collect(messages);
      expect(error).toBeUndefined();
      expect(got.map(({ payload }) => payload)).toEqual([{ answer: "é漢😀" }, { answer: "No." }]);
      expect(messages).toMatchObject({ position: 2, heartbeat: 15, metadata: { id: "q7" }, trailers: { tokens: 7 } });
    }
  });

  it("reads async iterables too: generators, Node streams", async () => {
    async function* chunks() {
      yield* [wholeStream().slice(0, 50), wholeStream().slice(50)];
    }
    expect((await collect(decodeStream(chunks(), json))).got.length).toBe(2);
    expect((await collect(decodeStream(Readable.from([Buffer.from(wholeStream())]), json))).got.length).toBe(2);
  });

  it("never takes a part for a whole stream", async () => {
    const wire = wholeStream();
    for (let cut = 0; cut < wire.length; cut++) {
      const { error } = await collect(decodeStream(streamOf([wire.slice(0, cut)]).stream, json, { requireEnd: true }));
      expect(error, `cut at ${cut}`).toSatisfy(
        (failure) =>
          failure instanceof StreamIncompleteError ||
          (failure instanceof FrameError && failure.code === "truncated_frame"),
      );
    }
  });

  it("reads a chunk only after the messages before it were taken", async () => {
    const two = join([json.encode({}, 1), json.encode({}, 2)]);
    const source = streamOf([two, two, two]);
    const messages = decodeStream(source.stream, json);
    const pulls: number[] = [];
    for await (const _ of messages) {
      await new Promise((resolve) => setImmediate(resolve));
      pulls.push(source.pulls);
    }
    expect(pulls).toEqual([1, 1, 2, 2, 3, 3]);
  });

  it("closes the source after a break", async () => {
    const source = streamOf([join([json.encode({}, 1), json.encode({}, 2)])]);
    const messages = decodeStream(source.stream, json);
    for await (const _ of messages) break;
    expect(source.cancelled).toBe("cancelled");
    expect(await messages.next()).toEqual({ done: true, value: undefined });
  });

  it("closes a generator after a break", async () => {
    let closed = false;
    async function* chunks() {
      try {
        for (;;) yield json.encode({}, 1);
      } finally {
        closed = true;
      }
    }
    for await (const _ of decodeStream(chunks(), json)) break;
    expect(closed).toBe(true);
  });

  it("answers overlapping calls in their order", async () => {
    const messages = decodeStream(streamOf([1, 2, 3, 4, 5].map((n) => json.encode({}, n))).stream, json);
    const calls = [messages.next(), messages.next(), messages.next()];
    await calls[0];
    calls.push(messages.next(), messages.next(), messages.next());
    const results = await Promise.all(calls);
    expect(results.map(({ value }) => value?.payload)).toEqual([1, 2, 3, 4, 5, undefined]);
  });

  it("continues after a refused payload with a new loop", async () => {
    const messages = decodeStream(streamOf([join([json.encode({}, 1), refused, json.encode({}, 3)])]).stream, json);
    const before = await collect(messages);
    expect(before.got.length).toBe(1);
    expect(before.error).toBeInstanceOf(PayloadError);
    const after = await collect(messages);
    expect(after.got).toEqual([{ header: {}, payload: 3 }]);
    expect(after.error).toBeUndefined();
    expect(messages.position).toBe(3);
  });

  it("throws the same error again after any other error, and closes the source", async () => {
    const source = streamOf([join([json.encode({}, 1), new Uint8Array(8)])]);
    const messages = decodeStream(source.stream, json);
    const { got, error } = await collect(messages);
    expect(got.length).toBe(1);
    expect(error).toMatchObject({ code: "invalid_length", index: 1 });
    expect((await collect(messages)).error).toBe(error);
    expect(source.cancelled).toBe(error);
  });

  it("throws the error of the source, after the whole messages", async () => {
    const failure = new Error("the disk failed");
    const { got, error } = await collect(decodeStream(streamOf([json.encode({}, 1)], failure).stream, json));
    expect(got.length).toBe(1);
    expect(error).toBe(failure);
  });

  it("throws the error of the source again, although a generator then reports its end", async () => {
    const failure = new Error("the disk failed");
    async function* chunks() {
      yield json.encode({}, 1);
      throw failure;
    }
    const messages = decodeStream(chunks(), json);
    expect((await collect(messages)).error).toBe(failure);
    expect((await collect(messages)).error).toBe(failure);
  });

  it("ends a waiting read when it is closed", async () => {
    const never = new ReadableStream<Uint8Array>({ pull: () => new Promise(() => {}) });
    const messages = decodeStream(never, json);
    const waiting = messages.next();
    await messages.return();
    expect(await waiting).toEqual({ done: true, value: undefined });
  });
});

describe("MessageDecoderStream", () => {
  it("is a transform, and returns the whole messages before the error", async () => {
    const wire = join([json.encode({}, 1), json.encode({}, 2), new Uint8Array(8)]);
    const readable = streamOf([wire]).stream.pipeThrough(new MessageDecoderStream(json));
    const { got, error } = await collect(readable);
    expect(got.map(({ payload }) => payload)).toEqual([1, 2]);
    expect(error).toMatchObject({ code: "invalid_length", index: 2, offset: 22 });
  });

  it("ends with a whole stream, and fails with one that was cut", async () => {
    const wire = wholeStream();
    const through = (bytes: Uint8Array) => streamOf([bytes]).stream.pipeThrough(new MessageDecoderStream(json));
    expect((await collect(through(wire))).error).toBeUndefined();
    expect((await collect(through(wire.slice(0, -1)))).error).toMatchObject({ code: "truncated_frame" });
  });

  it("keeps back-pressure: without a reader, almost nothing is pulled", async () => {
    const source = streamOf(Array.from({ length: 1000 }, () => json.encode({}, 1)));
    const readable = source.stream.pipeThrough(new MessageDecoderStream(json));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(source.pulls).toBeLessThan(5);
    const reader = readable.getReader();
    await reader.read();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(source.pulls).toBeLessThan(8);
    await reader.cancel();
    expect(source.cancelled).toBeDefined();
  });

  it("returns frames to relays, control frames too", async () => {
    const readable = streamOf([wholeStream()]).stream.pipeThrough(new FrameDecoderStream());
    const { got, error } = await collect(readable);
    expect(error).toBeUndefined();
    expect(join(got.map(({ headerBytes, payload }) => encodeFrame(headerBytes, payload)))).toEqual(wholeStream());
  });
});

it("holds memory flat: 64 MiB in frames of 1 MiB", async () => {
  const wire = rawCoder().encode({}, new Uint8Array(2 ** 20));
  let sent = 0;
  const source = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const at = (sent * 65_536) % wire.length;
        controller.enqueue(wire.slice(at, at + 65_536));
        if (at + 65_536 >= wire.length) sent = 0;
        else sent++;
      },
    },
    { highWaterMark: 0 },
  );
  const before = process.memoryUsage().arrayBuffers;
  let peak = 0;
  let frames = 0;
  for await (const { payload } of decodeStream(source, rawCoder())) {
    expect(payload.length).toBe(2 ** 20);
    peak = Math.max(peak, process.memoryUsage().arrayBuffers - before);
    if (++frames === 64) break;
  }
  expect(peak).toBeLessThan(64 * 2 ** 20); // with garbage that was not collected yet
});

it("a stream is read while it is written", async () => {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const encoder = new StreamEncoder(json);
  const writer = writable.getWriter();
  const messages = decodeStream(readable, json);
  void writer.write(encoder.open());
  void writer.write(encoder.data({}, "first"));
  expect((await messages.next()).value?.payload).toBe("first");
  void writer.write(encoder.end());
  void writer.close();
  expect((await messages.next()).done).toBe(true);
});

describe("MessageEncoderStream", () => {
  const message = { header: { n: 1 }, payload: "one" };

  function sourceOf(count: number, failure?: unknown) {
    let left = count;
    let cancelled: unknown;
    const messages = new ReadableStream<typeof message>(
      {
        pull(controller) {
          if (left-- > 0) controller.enqueue(message);
          else if (failure === undefined) controller.close();
          else controller.error(failure);
        },
        cancel(reason) {
          cancelled = reason;
        },
      },
      { highWaterMark: 0 },
    );
    return { messages, left: () => left, cancelled: () => cancelled };
  }

  it("writes a whole stream, with its metadata and the trailers as they are at the end", async () => {
    const count = { n: 0 };
    const options = { heartbeat: 15, metadata: { id: "q7" }, trailers: () => ({ n: (count.n += 2) }) };
    const stream = sourceOf(2).messages.pipeThrough(new MessageEncoderStream(json, options));
    const messages = decodeStream(stream, json, { requireEnd: true });
    const { got, error } = await collect(messages);
    expect(error).toBeUndefined();
    expect(got).toEqual([message, message]);
    expect([messages.metadata, messages.heartbeat, messages.trailers]).toEqual([{ id: "q7" }, 15, { n: 2 }]);
  });

  it("writes the same bytes as StreamEncoder, plain ones too", async () => {
    const encoder = new StreamEncoder(json);
    const { header, payload } = message;
    const wire = [encoder.open(), encoder.data(header, payload), encoder.end()];
    const { got } = await collect(sourceOf(1).messages.pipeThrough(new MessageEncoderStream(json)));
    expect(got).toEqual(wire);
    const plain = sourceOf(1).messages.pipeThrough(new MessageEncoderStream(json, { plain: true }));
    expect((await collect(plain)).got).toEqual([json.encode(header, payload)]);
  });

  it("reports a StreamError of its source in the end, and breaks off for any other", async () => {
    const reported = new StreamError("unavailable", "the model is down");
    for (const [failure, code] of [
      [reported, "unavailable"],
      [new Error("a bug"), undefined],
    ] as const) {
      const stream = sourceOf(1, failure).messages.pipeThrough(new MessageEncoderStream(json));
      const { error } = await collect(decodeStream(stream, json));
      expect((error as StreamError).code).toBe(code);
    }
  });

  it("breaks off at a message that cannot be sent", async () => {
    const { readable, writable } = new MessageEncoderStream(json);
    const result = collect(decodeStream(readable, json));
    const writer = writable.getWriter();
    await expect(writer.write({ header: {}, payload: NaN })).rejects.toMatchObject({ code: "encode_error" });
    expect((await result).error).toMatchObject({ code: "encode_error" });
  });

  it("takes no more messages than are read, and stops its source when the reader leaves", async () => {
    const source = sourceOf(1000);
    const reader = source.messages.pipeThrough(new MessageEncoderStream(json)).getReader();
    await reader.read();
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(source.left()).toBeGreaterThan(990);
    await reader.cancel("enough");
    await vi.waitFor(() => expect(source.cancelled()).toBe("enough"));
  });

  it("sends pings while there is no message, and none when the reader does not read", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    try {
      const { readable, writable } = new MessageEncoderStream(json, { heartbeat: 2 });
      const reader = readable.getReader();
      const decoder = new StreamDecoder(json, { requireEnd: true });
      const sizes: number[] = [];
      const read = async () => {
        const { value } = await reader.read();
        sizes.push(value?.length ?? 0);
        if (value) decoder.push(value);
      };
      await read();
      const ping = new StreamEncoder(json).ping().length;
      for (let n = 0; n < 3; n++) {
        const waiting = read();
        await new Promise((resolve) => setImmediate(resolve));
        vi.advanceTimersByTime(2000);
        await waiting;
      }
      expect(sizes.slice(1)).toEqual([ping, ping, ping]);
      vi.advanceTimersByTime(20_000); // nobody reads: one ping waits, no more
      const closing = writable.close();
      while (!decoder.ended) {
        await read();
        decoder.nextMessage();
      }
      await closing;
      expect(sizes.length).toBeLessThanOrEqual(6);
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe("what is thrown may be any value", () => {
  const wire = join([json.encode({}, 1), json.encode({}, 2)]);

  it.each([[undefined], [null], [0], ["wrong"], [{ issues: 3 }]])("by a schema: %j", async (value) => {
    const picky = jsonCoder({
      payload: (payload) => {
        if (payload === 1) throw value;
        return payload;
      },
    });
    const messages = decodeStream(streamOf([wire]).stream, picky);
    const { error } = await collect(messages);
    expect(error).toBeInstanceOf(PayloadError);
    expect((error as Error).cause).toBe(value);
    expect((error as Error).message).not.toMatch(/TypeError|Cannot read/);
    expect((await collect(messages)).got).toEqual([{ header: {}, payload: 2 }]);
  });

  it("by a source: it is thrown unchanged, again and again", async () => {
    async function* source() {
      yield json.encode({}, 1);
      throw undefined;
    }
    const messages = decodeStream(source(), json);
    let thrown = 0;
    for (let n = 0; n < 4; n++) await messages.next().catch((error) => (thrown += error === undefined ? 1 : 0));
    expect(thrown).toBe(3);
  });
});

it("reads shared memory as a copy, so that payloads are what Blob and TextDecoder take", () => {
  const wire = rawCoder().encode({}, Uint8Array.of(1, 2, 3));
  const shared = new Uint8Array(new SharedArrayBuffer(wire.length));
  shared.set(wire);
  for (const chunk of [shared, shared.buffer, new DataView(shared.buffer)]) {
    const [message] = [...new StreamDecoder(rawCoder()).feed(chunk)];
    expect(message?.payload.buffer).toBeInstanceOf(ArrayBuffer);
    expect(new Blob([message?.payload ?? ""]).size).toBe(3);
  }
});
