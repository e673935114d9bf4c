/**
 * Streams, version 1: messages and control frames (SPEC section 3). There is no input or output in this module.
 *
 * A plain stream has data frames only, and its end cannot be told from a cut. Version 1 adds control frames: ordinary
 * frames whose header begins with the eleven bytes `{"$stream":`. `open` may come first and `ping` at any time. `end`
 * comes once, last, and has the number of data frames.
 *
 * Encoder and decoder follow the same table. A row is a state, a column is the frame that comes next. A frame that the
 * table does not allow is an `EncodeError` in the encoder, and a `ProtocolError` in the decoder, which has then failed.
 *
 *                 open        data        ping        other       end
 *     start       streaming   streaming   streaming   streaming   ended
 *     streaming   -           streaming   streaming   streaming   ended
 *     ended       -           -           -           -           -
 */

import type { AnyCoder, Coder, Message, OrderCheck } from "./coders/coder.js";
import {
  EncodeError,
  ProtocolError,
  type ProtocolErrorCode,
  reportedError,
  StreamError,
  StreamIncompleteError,
} from "./errors.js";
import { type Bytes, encodeFrame, type Frame, FrameDecoder, iterate, type Limits } from "./frames.js";
import { decodeUtf8, isObject, type JsonObject, type JsonValue, parseObject, shown } from "./strict-json.js";

type State = "start" | "streaming" | "ended";
type Event = "open" | "data" | "ping" | "other" | "end";

const TRANSITIONS: Readonly<Record<State, Readonly<Partial<Record<Event, State>>>>> = {
  start: { open: "streaming", data: "streaming", ping: "streaming", other: "streaming", end: "ended" },
  streaming: { data: "streaming", ping: "streaming", other: "streaming", end: "ended" },
  ended: {},
};

// {"$stream":
const CONTROL = /* @__PURE__ */ new Uint8Array([0x7b, 0x22, 0x24, 0x73, 0x74, 0x72, 0x65, 0x61, 0x6d, 0x22, 0x3a]);

/** Whether a frame is a control frame: its header begins with `{"$stream":`. A relay must not forward it as data. */
export function isControlFrame(frame: Frame): boolean {
  const { bytes, start, cut } = frame;
  if (cut - start < CONTROL.length) return false;
  for (let at = 0; at < CONTROL.length; at++) if (bytes[start + at] !== CONTROL[at]) return false;
  return true;
}

/** Options for reading a stream. */
export interface DecodeOptions {
  readonly limits?: Limits | undefined;
  /** Whether a stream without an `end` is an error. By default it is one if the stream has a control frame. */
  readonly requireEnd?: boolean | undefined;
}

/**
 * Reads one stream: bytes in, in chunks of any size; messages out. Control frames are handled inside.
 *
 * Iteration throws after the valid messages. After a `FrameError`, a `ProtocolError` or a `StreamError` (the peer reported
 * an error in its end frame) the decoder has failed. After a `PayloadError` the next message can be read.
 *
 * @example
 * const decoder = new StreamDecoder(jsonCoder());
 * for (const { header, payload } of decoder.feed(chunk)) use(header, payload);
 * decoder.finish();
 */
export class StreamDecoder<H, P> {
  readonly #coder: AnyCoder<H, P>;
  readonly #order: OrderCheck<H> | undefined;
  readonly #frames: FrameDecoder;
  readonly #requireEnd: boolean | undefined;
  #state: State = "start";
  #received = 0; // data frames of this response
  #before = 0; // data frames of the stream that come before this response
  #resume: string | undefined;
  #controlled = false;
  #finished = false;
  #failure: { readonly error: unknown } | undefined; // the error itself may be undefined
  #trailers: JsonObject | undefined;
  #heartbeat: number | undefined;
  #metadata: JsonObject = {};

  constructor(coder: AnyCoder<H, P>, options: DecodeOptions = {}) {
    this.#coder = coder;
    this.#order = coder.orderCheck?.();
    this.#frames = new FrameDecoder(options);
    this.#requireEnd = options.requireEnd;
  }

  /** The number of data frames of the stream up to here, those before a resumed response included: what to resume from. */
  get position(): number {
    return this.#before + this.#received;
  }

  /** The number of bytes of the frames so far. */
  get offset(): number {
    return this.#frames.offset;
  }

  /** The number of bytes held: of a frame that is not whole yet, and of messages that were not read yet. */
  get buffered(): number {
    return this.#frames.buffered;
  }

  /** Whether the `end` frame was received. */
  get ended(): boolean {
    return this.#state === "ended";
  }

  /** The trailers of the `end` frame. `undefined` before the end. */
  get trailers(): JsonObject | undefined {
    return this.#trailers;
  }

  /** The heartbeat in seconds that the `open` frame announced: the peer sends something at least this often. */
  get heartbeat(): number | undefined {
    return this.#heartbeat;
  }

  /** The URI reference at which the stream can be picked up (SPEC section 6.3). */
  get resume(): string | undefined {
    return this.#resume;
  }

  /** The metadata of the `open` frame. */
  get metadata(): JsonObject {
    return this.#metadata;
  }

  /** Takes a chunk at once, and iterates lazily over the messages that are now whole. */
  feed(chunk: Bytes): IterableIterator<Message<H, P>> {
    this.push(chunk);
    return iterate(() => this.nextMessage());
  }

  /** `feed` without an iterator, for loops over `nextMessage`. */
  push(chunk: Bytes): void {
    if (this.#failure) throw this.#failure.error;
    this.#frames.push(chunk);
  }

  /** The next message, or `undefined` if more bytes are needed. Throws as iteration does. */
  nextMessage(): Message<H, P> | undefined {
    if (this.#failure) throw this.#failure.error;
    for (;;) {
      const frame = this.#frames.nextFrame();
      if (frame === undefined) {
        if (this.#finished) this.#complete();
        return undefined;
      }
      if (!isControlFrame(frame)) return this.#data(frame);
      try {
        this.#control(frame);
      } catch (error) {
        this.#failure = { error };
        throw error;
      }
    }
  }

  /**
   * Tells the decoder that no more bytes will come. Throws a `FrameError` with `truncated_frame`, or a
   * `StreamIncompleteError` if the end is missing. Messages that were not read yet can still be read with `nextMessage`,
   * which throws the error after them.
   */
  finish(): void {
    if (this.#failure) throw this.#failure.error;
    this.#finished = true;
    this.#frames.finish();
    if (this.#frames.buffered === 0) this.#complete();
  }

  #complete(): void {
    if ((this.#requireEnd ?? this.#controlled) && !this.ended) {
      throw new StreamIncompleteError(
        `the stream stopped after ${this.position} data frames without its end: was it cut?`,
        this.position,
      );
    }
  }

  #data(frame: Frame): Message<H, P> {
    try {
      if (this.#state !== "streaming") this.#state = this.#after("data", frame);
      this.#received++;
      const message = this.#coder.decode(frame);
      this.#order?.follow(message.header, frame.index);
      return message;
    } catch (error) {
      if ((error as { code?: unknown } | undefined)?.code === "invalid_payload") this.#order?.forget();
      else this.#failure = { error };
      throw error;
    }
  }

  #after(event: Event, frame: Frame): State {
    const state = TRANSITIONS[this.#state][event];
    if (state !== undefined) return state;
    if (this.ended) fail("frame_after_end", `a ${event} frame after the end of the stream`, frame);
    return fail("invalid_control", `${event} in a stream that has begun already`, frame);
  }

  #control(frame: Frame): void {
    this.#controlled = true;
    const control = frame.header["$stream"];
    const kind = isObject(control) ? control["type"] : undefined;
    if (!isObject(control) || typeof kind !== "string") {
      fail("invalid_control", "$stream is an object with the member type, a string", frame);
    }
    const event = kind === "open" || kind === "ping" || kind === "end" ? kind : "other";
    const state = this.#after(event, frame);
    if (event === "open") this.#opened(control, frame);
    if (event === "ping") checkTime(control, frame);
    const failure = event === "end" ? this.#ended(control, frame) : undefined;
    this.#state = state;
    if (failure) throw failure;
  }

  #opened(control: JsonObject, frame: Frame): void {
    const { name } = this.#coder;
    const {
      v,
      coder = name,
      metadata = {},
      position = 0,
      resume,
    } = control as Readonly<Record<string, JsonValue | undefined>>;
    const heartbeat = control["heartbeat"] ?? undefined; // null is as good as absent
    if (v !== 1) fail("invalid_control", `the stream is of version ${shown(v)}, this reader knows 1`, frame);
    if (coder !== name) fail("invalid_control", `the stream's coder is ${shown(coder)}, this reader's ${name}`, frame);
    if (heartbeat !== undefined && !(typeof heartbeat === "number" && heartbeat > 0)) {
      fail("invalid_control", `heartbeat is a positive number of seconds, not ${shown(heartbeat)}`, frame);
    }
    if (!isObject(metadata)) fail("invalid_control", `metadata is an object, not ${shown(metadata)}`, frame);
    if (!Number.isInteger(position) || (position as number) < 0) {
      fail("invalid_control", `position is a number of data frames, not ${shown(position)}`, frame);
    }
    if (resume !== undefined && typeof resume !== "string") {
      fail("invalid_control", `resume is a URI reference, a string, not ${shown(resume)}`, frame);
    }
    checkTime(control, frame);
    this.#heartbeat = heartbeat;
    this.#metadata = metadata;
    this.#before = position as number;
    this.#resume = resume;
  }

  /** The error that the peer reports, if there is one. */
  #ended(control: JsonObject, frame: Frame): StreamError | undefined {
    const { frames, trailers = {}, error } = control as Readonly<Record<string, JsonValue | undefined>>;
    if (!Number.isInteger(frames) || (frames as number) < 0) {
      fail("invalid_control", `frames is the number of data frames, not ${shown(frames)}`, frame);
    }
    if (frames !== this.#received) {
      fail("count_mismatch", `${shown(frames)} data frames were sent, ${this.#received} arrived`, frame);
    }
    if (!isObject(trailers)) fail("invalid_control", `trailers is an object, not ${shown(trailers)}`, frame);
    checkTime(control, frame);
    let failure: StreamError | undefined;
    if (error !== undefined) failure = peerError(error, frame);
    this.#trailers = trailers;
    return failure;
  }
}

/** Checks the time of an open, a ping or an end frame (SPEC section 3.3). */
function checkTime(control: JsonObject, frame: Frame): void {
  const { at = 0 } = control;
  if (!Number.isInteger(at) || (at as number) < 0) {
    fail("invalid_control", `at is a number of microseconds, not ${shown(at)}`, frame);
  }
}

function peerError(error: JsonValue, frame: Frame): StreamError {
  const { code, message = "", details } = (isObject(error) ? error : {}) as Readonly<Record<string, JsonValue>>;
  if (typeof code !== "string" || typeof message !== "string") {
    fail("invalid_control", `error is an object with code and message, not ${shown(error)}`, frame);
  }
  return reportedError({ code, message, details });
}

function fail(code: ProtocolErrorCode, message: string, frame: Frame): never {
  throw new ProtocolError(code, message, frame.index);
}

/**
 * Writes one stream. Each method returns the bytes of one frame. A method that throws `EncodeError` changes nothing.
 *
 * @example
 * const encoder = new StreamEncoder(jsonCoder());
 * send(encoder.open({ heartbeat: 15 }));
 * send(encoder.data({ status: "success" }, { answer: "42" }));
 * send(encoder.end());
 */
export class StreamEncoder<HeaderInput, PayloadInput> {
  readonly #coder: Coder<unknown, unknown, HeaderInput, PayloadInput>;
  readonly #plain: boolean;
  readonly #maxFrame: number;
  readonly #maxHeader: number;
  #state: State = "start";
  #position = 0;

  /** `plain`: data frames only. `limits`: the limits of the receiver, above which a frame is refused here. */
  constructor(
    coder: Coder<unknown, unknown, HeaderInput, PayloadInput>,
    options: { readonly plain?: boolean | undefined; readonly limits?: Limits | undefined } = {},
  ) {
    this.#coder = coder;
    this.#plain = options.plain ?? false;
    this.#maxFrame = options.limits?.frame ?? 16_777_216;
    this.#maxHeader = options.limits?.header ?? 65_536;
  }

  /** The number of data frames written. */
  get position(): number {
    return this.#position;
  }

  /** The open frame, which comes first. `heartbeat`, in seconds: the reader receives something at least this often. */
  open(
    members: { readonly heartbeat?: number | undefined; readonly metadata?: object | undefined } = {},
  ): Uint8Array<ArrayBuffer> {
    const { heartbeat, metadata } = members;
    if (heartbeat !== undefined && !(heartbeat > 0)) {
      throw new EncodeError(`heartbeat is a positive number of seconds, not ${heartbeat}`);
    }
    return this.#control("open", { v: 1, coder: this.#coder.name, heartbeat, metadata });
  }

  /** A data frame with a message, written by the coder. */
  data(header: HeaderInput, payload: PayloadInput): Uint8Array<ArrayBuffer> {
    const after = this.#after("data");
    const wire = this.#coder.encode(header, payload);
    const headerSize = this.#checked(wire);
    const headerBytes = wire.subarray(8, 8 + headerSize);
    // Parsed only if there is a "$", or a backslash, which can begin an escaped one.
    if (
      (headerBytes.includes(0x24) || headerBytes.includes(0x5c)) &&
      Object.hasOwn(parseObject(decodeUtf8(headerBytes)), "$stream")
    ) {
      throw new EncodeError('the header member "$stream" belongs to control frames');
    }
    this.#state = after;
    this.#position++;
    return wire;
  }

  /** A ping. It shows the reader, and every proxy between, that the stream is alive. */
  ping(): Uint8Array<ArrayBuffer> {
    return this.#control("ping", {});
  }

  /** The end frame, which comes last: success, or the `error` that ended the stream. */
  end(
    members: { readonly trailers?: object | undefined; readonly error?: StreamError | undefined } = {},
  ): Uint8Array<ArrayBuffer> {
    const { trailers, error } = members;
    const frames = this.#position;
    if (error === undefined) return this.#control("end", { frames, trailers });
    const { code, rawMessage: message, details } = error;
    // The peer is to hear of the error in any case: without what cannot be sent.
    for (const told of [{ message, details }, { message }]) {
      try {
        return this.#control("end", { frames, trailers, error: { code, ...told } });
      } catch {} // the next one is shorter
    }
    return this.#control("end", { frames, error: { code, message: "the message of this error cannot be sent" } });
  }

  #after(event: Event): State {
    const state = TRANSITIONS[this.#state][event];
    if (state === undefined) {
      const past = this.#state === "ended" ? "ended" : "begun already";
      throw new EncodeError(`${event} is not allowed: the stream has ${past}`);
    }
    return state;
  }

  #control(event: Event, members: object): Uint8Array<ArrayBuffer> {
    if (this.#plain) throw new EncodeError(`a plain stream has no control frames, ${event} cannot be sent in it`);
    const after = this.#after(event);
    const wire = encodeFrame({ $stream: { type: event, ...members } }, this.#coder.neutral);
    this.#checked(wire);
    this.#state = after;
    return wire;
  }

  /** The size of a frame's header. Throws if the bytes are not one frame within the limits. */
  #checked(wire: Uint8Array): number {
    const words = wire.length < 8 ? undefined : new DataView(wire.buffer, wire.byteOffset);
    const headerSize = words?.getUint32(4, true) ?? 0;
    if (words?.getUint32(0, true) !== wire.length || headerSize > wire.length - 8) {
      throw new EncodeError(`one whole frame is expected, and these ${wire.length} bytes are not`);
    }
    if (wire.length > this.#maxFrame || headerSize > this.#maxHeader) {
      throw new EncodeError(
        `a frame of ${wire.length} bytes with a header of ${headerSize} is beyond the limits of ${this.#maxFrame} and ` +
          `${this.#maxHeader}, which receivers keep to; send it in pieces, or raise the limits on both sides`,
      );
    }
    return headerSize;
  }
}
