/**
 * Messages from an asynchronous source of bytes: as an async iterator, and as a pair of web streams.
 *
 * Both pull: the next chunk is read only after the messages of the chunk before it were taken, so that back-pressure
 * reaches the peer. Whole messages always come before the error that follows them.
 */

/// <reference lib="esnext.disposable" preserve="true" />

import type { AnyCoder, Coder, Message } from "./coders/coder.js";
import { type Bytes, type Frame, FrameDecoder, type Limits } from "./frames.js";
import { StreamError } from "./errors.js";
import { type DecodeOptions, StreamDecoder, StreamEncoder } from "./protocol.js";
import type { JsonObject } from "./strict-json.js";

/** The body of a response, the stream of a file, a Node stream, an async generator. */
export type ByteSource = ReadableStream<Bytes> | AsyncIterable<Bytes>;

/** @internal A source of chunks. `undefined` is the end. */
export interface Chunks {
  read(): Promise<Bytes | undefined>;
  /** Called when no more chunks are needed. Never rejects. */
  close(reason?: unknown): Promise<void>;
  /** When it aborts, the reading ends at once with its reason, even if messages are ready. */
  readonly signal?: AbortSignal | undefined;
}

/** @internal The part of a decoder that `Items` uses. */
interface Decoder<T> {
  push(chunk: Bytes): void;
  next(): T | undefined;
  finish(): void;
}

/** @internal What a `MessageStream` reads from: a `StreamDecoder`, or those of several responses. */
export type MessageSource<H, P> = Pick<
  StreamDecoder<H, P>,
  "push" | "nextMessage" | "finish" | "position" | "trailers" | "metadata" | "heartbeat"
>;

/** @internal The decoder of one response: a `StreamDecoder`, or that of another media type. */
export type ResponseDecoder<H, P> = MessageSource<H, P> & Pick<StreamDecoder<H, P>, "ended" | "buffered" | "resume">;

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** Iterates once over the items that a decoder reads from chunks. An async generator would cost three times as much. */
class Items<T> implements AsyncIterableIterator<T, undefined> {
  readonly #decoder: Decoder<T>;
  readonly #chunks: Chunks;
  #reading: Promise<IteratorResult<T, undefined>> | undefined;
  #over = false;
  #failure: { readonly error: unknown } | undefined; // the error of a source may be undefined

  /** @internal */
  constructor(decoder: Decoder<T>, chunks: Chunks) {
    this.#decoder = decoder;
    this.#chunks = chunks;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<T, undefined>> {
    // Overlapping calls are answered in their order.
    if (this.#reading !== undefined) return this.#wait(this.#reading.then(this.#step, this.#step));
    try {
      const ready = this.#ready();
      return ready ? Promise.resolve(ready) : this.#wait(this.#step());
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Stops reading and closes the source. `break` in a `for await` calls it. */
  async return(): Promise<IteratorResult<T, undefined>> {
    this.#over = true;
    await this.#chunks.close();
    return DONE;
  }

  /** What `await using` calls: `return`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  #wait(reading: Promise<IteratorResult<T, undefined>>): Promise<IteratorResult<T, undefined>> {
    this.#reading = reading;
    const done = () => {
      if (this.#reading === reading) this.#reading = undefined;
    };
    reading.then(done, done);
    return reading;
  }

  /** The result, if it is known without waiting. */
  #ready(): IteratorResult<T, undefined> | undefined {
    if (this.#failure) throw this.#failure.error;
    if (this.#over) return DONE;
    const { signal } = this.#chunks;
    if (signal?.aborted) throw this.#failed(signal.reason);
    try {
      const value = this.#decoder.next();
      return value === undefined ? undefined : { done: false, value };
    } catch (error) {
      throw this.#failed(error);
    }
  }

  readonly #step = async (): Promise<IteratorResult<T, undefined>> => {
    for (;;) {
      const ready = this.#ready();
      if (ready) return ready;
      try {
        const chunk = await this.#chunks.read();
        if (this.#over) return DONE; // return() was called in the meantime
        if (chunk !== undefined) this.#decoder.push(chunk);
        else {
          this.#decoder.finish();
          this.#over = true;
          await this.#chunks.close();
        }
      } catch (error) {
        if (this.#over) return DONE;
        throw this.#failed(error);
      }
    }
  };

  #failed(error: unknown): unknown {
    // After a refused payload, the next call continues with the next frame.
    if ((error as { code?: unknown } | undefined)?.code !== "invalid_payload") {
      this.#failure = { error };
      void this.#chunks.close(error);
    }
    return error;
  }
}

/**
 * The messages of one stream, in order, as they arrive. Iterate over it once. `decodeStream` and `openStream` return it.
 *
 * Iterating throws the errors of `StreamDecoder`. After a `PayloadError` a new `for await` continues with the next frame.
 * After any other error it throws the same error again. `break` closes the source.
 */
export class MessageStream<H, P> extends Items<Message<H, P>> {
  readonly #decoder: MessageSource<H, P>;

  /** @internal */
  constructor(decoder: MessageSource<H, P>, chunks: Chunks) {
    super(
      { push: (chunk) => decoder.push(chunk), next: () => decoder.nextMessage(), finish: () => decoder.finish() },
      chunks,
    );
    this.#decoder = decoder;
  }

  /** The number of messages received, those with a refused payload included: the position to resume from. */
  get position(): number {
    return this.#decoder.position;
  }

  /** The trailers of the `end` frame. `undefined` before the end. */
  get trailers(): JsonObject | undefined {
    return this.#decoder.trailers;
  }

  /** The metadata of the `open` frame, which comes before the first message. */
  get metadata(): JsonObject {
    return this.#decoder.metadata;
  }

  /** The heartbeat in seconds that the `open` frame announced: the peer sends something at least this often. */
  get heartbeat(): number | undefined {
    return this.#decoder.heartbeat;
  }
}

/**
 * The messages of a stream of bytes.
 *
 * @example
 * const messages = decodeStream(response.body, jsonCoder());
 * for await (const { header, payload } of messages) use(header, payload);
 */
export function decodeStream<H, P>(
  source: ByteSource,
  coder: AnyCoder<H, P>,
  options?: DecodeOptions,
): MessageStream<H, P> {
  return new MessageStream(new StreamDecoder(coder, options), chunksOf(source));
}

/** `decodeStream` as a transform: `body.pipeThrough(new MessageDecoderStream(jsonCoder()))`. Any error ends it. */
export class MessageDecoderStream<H, P> {
  readonly readable: ReadableStream<Message<H, P>>;
  readonly writable: WritableStream<Bytes>;

  constructor(coder: AnyCoder<H, P>, options?: DecodeOptions) {
    const bytes = new TransformStream<Bytes, Bytes>();
    this.writable = bytes.writable;
    this.readable = toReadable(decodeStream(bytes.readable, coder, options));
  }
}

/** A transform from bytes to `Frame`s, for relays. Control frames are among them. */
export class FrameDecoderStream {
  readonly readable: ReadableStream<Frame>;
  readonly writable: WritableStream<Bytes>;

  constructor(options?: Pick<DecodeOptions, "limits">) {
    const bytes = new TransformStream<Bytes, Bytes>();
    const decoder = new FrameDecoder(options);
    this.writable = bytes.writable;
    this.readable = toReadable(
      new Items(
        { push: (chunk) => decoder.push(chunk), next: () => decoder.nextFrame(), finish: () => decoder.finish() },
        chunksOf(bytes.readable),
      ),
    );
  }
}

/** Options for writing a stream. */
export interface EncodeOptions {
  /** In seconds. It is announced in `open`, and a ping is written whenever it has passed and the reader has read all. */
  readonly heartbeat?: number | undefined;
  /** The metadata of `open`. */
  readonly metadata?: object | undefined;
  /** Called at the end, for the trailers of `end`. */
  readonly trailers?: (() => object) | undefined;
  /** Data frames only: no `open`, no pings, no `end`. */
  readonly plain?: boolean | undefined;
  /** The limits of the receiver, above which a message is refused here. */
  readonly limits?: Limits | undefined;
}

/**
 * A transform from messages to the bytes of a stream: `messages.pipeThrough(new MessageEncoderStream(jsonCoder()))`, as the
 * body of a response or of a request.
 *
 * `open` comes first, `end` when the messages have ended. If they end by a `StreamError`, the `end` reports it. Any other
 * error breaks the bytes off: their reader finds a cut. A message that cannot be sent is such an error, `EncodeError`.
 */
export class MessageEncoderStream<HeaderInput, PayloadInput> {
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly writable: WritableStream<Message<HeaderInput, PayloadInput>>;

  constructor(coder: Coder<unknown, unknown, HeaderInput, PayloadInput>, options: EncodeOptions = {}) {
    const { heartbeat, metadata, trailers, plain = false, limits } = options;
    const encoder = new StreamEncoder(coder, { plain, limits });
    const open = plain ? undefined : encoder.open({ heartbeat, metadata });
    const bytes = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>();
    const writer = bytes.writable.getWriter();
    let pings: ReturnType<typeof setInterval> | undefined;

    async function end(error?: StreamError): Promise<void> {
      clearInterval(pings);
      if (!plain) {
        // Not awaited: nobody may read any more, and close() waits for it.
        writer.write(encoder.end({ trailers: trailers?.(), error })).catch(ignore);
      }
      await writer.close();
    }

    /** Runs a step. If it fails, the bytes break off with its error. */
    async function step(work: () => Promise<void>): Promise<void> {
      try {
        await work();
      } catch (error) {
        clearInterval(pings);
        void writer.abort(error).catch(ignore);
        throw error;
      }
    }

    this.readable = bytes.readable;
    this.writable = new WritableStream({
      start(controller) {
        // The reader has cancelled: the messages are stopped at once, not at the next one.
        writer.closed.catch((reason: unknown) => {
          clearInterval(pings);
          controller.error(reason);
        });
        if (open === undefined) return;
        writer.write(open).catch(ignore); // not awaited: it is written when the bytes are read
        if (heartbeat === undefined) return;
        pings = setInterval(
          () => {
            if ((writer.desiredSize ?? 0) > 0) writer.write(encoder.ping()).catch(ignore);
          },
          Math.min(heartbeat * 1000, LONGEST_TIMER),
        );
      },
      write: ({ header, payload }) => step(() => writer.write(encoder.data(header, payload))),
      close: () => step(() => end()),
      abort: (reason) => step(() => (!plain && reason instanceof StreamError ? end(reason) : writer.abort(reason))),
    });
  }
}

/** @internal In milliseconds: a timer that is longer runs at once. */
export const LONGEST_TIMER = 2 ** 31 - 1;

// Not a TransformStream with a transform(): an error that it throws drops the messages that are still in its queue.
function toReadable<T>(items: Items<T>): ReadableStream<T> {
  return new ReadableStream<T>(
    {
      async pull(controller) {
        const { done, value } = await items.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        await items.return();
      },
    },
    { highWaterMark: 0 },
  );
}

/** @internal For errors of closing, which the reader no longer needs. */
export const ignore = (): undefined => undefined;

/** @internal */
export function chunksOf(source: ByteSource): Chunks {
  if ("getReader" in source) {
    const reader = source.getReader(); // in some engines a ReadableStream is not iterable
    return {
      read: async () => (await reader.read()).value,
      close: (reason) => reader.cancel(reason).catch(ignore),
    };
  }
  const iterator = source[Symbol.asyncIterator]();
  return {
    async read() {
      const result = await iterator.next();
      return result.done ? undefined : result.value;
    },
    async close() {
      await iterator.return?.().catch(ignore);
    },
  };
}
