/**
 * Frames (SPEC section 2).
 *
 *     0            4             8              8+H                 T
 *     | T  uint32  | H  uint32   | header (H B) | payload (T-8-H B) |      little-endian
 *
 * T is the size of the whole frame, H the size of the header. This module reads and writes frames. It does no input or
 * output, and knows neither coders nor control frames.
 *
 * **The decoder.** A frame that is whole in a chunk is a view of the chunk, and nothing is copied. A frame in several
 * chunks is collected in a buffer, which grows with the bytes that arrive. No memory is reserved for a length that a peer
 * claims. No byte is read twice, so the cost is linear for any chunks. Each length word is checked as soon as it has
 * arrived, T before H. A header is checked when it is first used.
 */

import { EncodeError, FrameError, type FrameErrorCode } from "./errors.js";
import { decodeUtf8, type JsonObject, parseObject, shown, stringify } from "./strict-json.js";

/** The limits of a decoder, in bytes: `frame` for T (default 16 MiB), `header` for H (default 64 KiB). */
export interface Limits {
  readonly frame?: number | undefined;
  readonly header?: number | undefined;
}

/**
 * How length words are written: their size in bytes, 1 to 8, and their byte order. A layout other than the standard one,
 * 4 and little, is a private agreement of both sides.
 */
export interface Layout {
  readonly byteLength: number;
  readonly byteOrder: "little" | "big";
}

const STANDARD: Layout = { byteLength: 4, byteOrder: "little" };
const EMPTY: Uint8Array<ArrayBuffer> = /* @__PURE__ */ new Uint8Array();

/** Bytes in memory: a typed array, a Node Buffer, an ArrayBuffer. */
export type Bytes = ArrayBufferLike | ArrayBufferView;

/**
 * One frame: `headerBytes` and `payload` as they were on the wire. `header` is parsed on first use.
 *
 * The bytes are views of the chunk that the frame arrived in (of a copy, if the chunk is in shared memory). To keep a small part of a large chunk, keep a copy:
 * `frame.payload.slice()`.
 */
export class Frame {
  /** The place of the frame in its stream: its number, control frames included, and its first byte, both from 0. */
  readonly index: number;
  readonly offset: number;
  /** @internal The header is `bytes` from `start` to `cut`, the payload from there to `end`. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** @internal */
  readonly start: number;
  /** @internal */
  readonly cut: number;
  /** @internal */
  readonly end: number;
  #headerBytes: Uint8Array<ArrayBuffer> | undefined;
  #payload: Uint8Array<ArrayBuffer> | undefined;
  #header: JsonObject | undefined;

  /** @internal */
  constructor(bytes: Uint8Array<ArrayBuffer>, start: number, cut: number, end: number, index = 0, offset = 0) {
    this.bytes = bytes;
    this.start = start;
    this.cut = cut;
    this.end = end;
    this.index = index;
    this.offset = offset;
  }

  get headerBytes(): Uint8Array<ArrayBuffer> {
    this.#headerBytes ??= this.bytes.subarray(this.start, this.cut);
    return this.#headerBytes;
  }

  get payload(): Uint8Array<ArrayBuffer> {
    this.#payload ??= this.bytes.subarray(this.cut, this.end);
    return this.#payload;
  }

  /** The header as an object. Throws a `FrameError`, `invalid_header`, if it is not one strict JSON object. */
  get header(): JsonObject {
    if (this.#header === undefined) {
      try {
        this.#header = parseObject(decodeUtf8(this.headerBytes));
      } catch (cause) {
        const message = `the header is not a JSON object: ${(cause as Error).message}`;
        throw new FrameError("invalid_header", message, this.index, this.offset, { cause });
      }
    }
    return this.#header;
  }
}

/**
 * The bytes of one frame. `header` is an object, or JSON bytes, which are checked and written unchanged.
 * Throws `EncodeError`.
 */
export function encodeFrame(header: object, payload: Bytes = EMPTY, layout = STANDARD): Uint8Array<ArrayBuffer> {
  const body = toBytes(payload);
  let headerBytes: Uint8Array;
  if (header instanceof Uint8Array) {
    headerBytes = header;
    try {
      parseObject(decodeUtf8(header));
    } catch (cause) {
      throw new EncodeError(`the header is not a JSON object: ${(cause as Error).message}`, { cause });
    }
  } else {
    headerBytes = stringify(header);
    if (headerBytes[0] !== 0x7b) throw new EncodeError(`the header is not a JSON object: it is ${shown(header)}`);
  }
  const width = layout.byteLength;
  const start = 2 * width;
  const total = start + headerBytes.length + body.length;
  if (total >= 256 ** width) {
    throw new EncodeError(
      `a frame of ${total} bytes does not fit a length word of ${width} bytes; send it in pieces, a frame each`,
    );
  }
  const wire = new Uint8Array(total);
  writeWord(wire, 0, total, layout);
  writeWord(wire, width, headerBytes.length, layout);
  wire.set(headerBytes, start);
  wire.set(body, start + headerBytes.length);
  return wire;
}

function writeWord(bytes: Uint8Array, at: number, word: number, { byteLength, byteOrder }: Layout): void {
  for (let i = 0; i < byteLength; i++) {
    // Not >>, which uses only 32 bits.
    bytes[byteOrder === "little" ? at + i : at + byteLength - 1 - i] = Math.floor(word / 256 ** i);
  }
}

/**
 * Reads frames from bytes, in chunks of any size.
 *
 * `feed` takes its chunk at once and iterates lazily: first all valid frames, then the error, if there is one. A decoder
 * that has failed throws the same error again. Chunks are not copied: do not change a chunk that was fed.
 *
 * @example
 * const decoder = new FrameDecoder();
 * for await (const chunk of response.body) for (const frame of decoder.feed(chunk)) use(frame.header, frame.payload);
 * decoder.finish();
 */
export class FrameDecoder {
  readonly #maxFrame: number;
  readonly #maxHeader: number;
  readonly #width: number;
  readonly #little: boolean;
  #chunk = EMPTY;
  #at = 0;
  readonly #waiting: Uint8Array<ArrayBuffer>[] = []; // chunks that were fed while #chunk was not used up
  #index = 0;
  #offset = 0; // of the next frame in the stream
  // A frame in several chunks: its first #held bytes, in a buffer that may be larger. #need is the number of bytes at
  // which the next step is possible: the end of a length word, or of the frame.
  #buffer = EMPTY;
  #held = 0;
  #need: number;
  #total = 0;
  #cut = 0;
  #peeked: Frame | undefined;
  #finished = false;
  #error: FrameError | undefined;

  constructor(options: { readonly limits?: Limits | undefined; readonly layout?: Layout | undefined } = {}) {
    const { limits = {}, layout = STANDARD } = options;
    this.#maxFrame = limits.frame ?? 16_777_216;
    this.#maxHeader = limits.header ?? 65_536;
    this.#width = this.#need = layout.byteLength;
    this.#little = layout.byteOrder === "little";
  }

  /** The number of frames returned. */
  get position(): number {
    return this.#index - (this.#peeked ? 1 : 0);
  }

  /** The number of bytes of the frames returned: where the next frame begins. */
  get offset(): number {
    return this.#peeked ? this.#peeked.offset : this.#offset;
  }

  /** The number of bytes fed beyond `offset`. */
  get buffered(): number {
    let size = this.#offset - this.offset + this.#held + this.#chunk.length - this.#at;
    for (const chunk of this.#waiting) size += chunk.length;
    return size;
  }

  /** Takes a chunk, and iterates over the frames that are now whole. Frames that are not read stay in the decoder. */
  feed(chunk: Bytes): IterableIterator<Frame> {
    this.push(chunk);
    return iterate(() => this.nextFrame());
  }

  /** `feed` without an iterator, for loops over `nextFrame`. */
  push(data: Bytes): void {
    const chunk = toBytes(data);
    if (this.#finished) throw new TypeError("feed() after finish(): the stream has ended");
    if (this.#error) throw this.#error;
    if (this.#at < this.#chunk.length || this.#waiting.length > 0) this.#waiting.push(chunk);
    else {
      this.#chunk = chunk;
      this.#at = 0;
    }
  }

  /** The next frame, or `undefined` if more bytes are needed. Throws `FrameError` after the valid frames. */
  nextFrame(): Frame | undefined {
    if (this.#error) throw this.#error;
    let frame = this.#peeked;
    if (frame) {
      this.#peeked = undefined;
      return frame;
    }
    for (;;) {
      const at = this.#at;
      const left = this.#chunk.length - at;
      if (left > 0) {
        frame = this.#held === 0 && left >= 2 * this.#width ? this.#slice(at, left) : this.#assemble();
        if (frame) return frame;
      } else {
        const next = this.#waiting.shift();
        this.#chunk = next ?? EMPTY; // releases the chunk that was read
        this.#at = 0;
        if (!next) break;
      }
    }
    if (this.#finished && this.#held > 0) {
      const of = this.#total ? ` of ${this.#total}` : "";
      const cause = this.#index === 0 ? this.#likelyCause(this.#buffer, 0, this.#held) : "";
      this.#fail("truncated_frame", `the stream ended inside a frame, after ${this.#held}${of} bytes${cause}`);
    }
    return undefined;
  }

  /**
   * Tells the decoder that no more bytes will come. Throws `truncated_frame` if a frame has begun and is not whole.
   * Frames that were not read yet can still be read with `nextFrame`, which throws the error after them.
   */
  finish(): void {
    this.#finished = true;
    this.#peeked ??= this.nextFrame();
  }

  /** The frame at `at`, as a view of the chunk, if it is whole in the chunk. */
  #slice(at: number, left: number): Frame | undefined {
    const chunk = this.#chunk;
    const total = this.#checkTotal(chunk, at);
    const start = at + 2 * this.#width;
    const cut = start + this.#checkHeader(chunk, at, total);
    if (total > left) return this.#assemble();
    this.#at = at + total;
    return this.#frame(chunk, start, cut, at + total, total);
  }

  /** Adds bytes of the chunk to the frame in several chunks. Returns the frame if it is now whole. */
  #assemble(): Frame | undefined {
    const width = this.#width;
    for (;;) {
      const end = Math.min(this.#at + this.#need - this.#held, this.#chunk.length);
      this.#take(end);
      if (this.#held < this.#need) return undefined;
      const buffer = this.#buffer;
      if (this.#held === width) {
        this.#total = this.#checkTotal(buffer, 0);
        this.#need = 2 * width;
      } else {
        if (this.#held === 2 * width) {
          this.#cut = 2 * width + this.#checkHeader(buffer, 0, this.#total);
          this.#need = this.#total;
        }
        if (this.#held === this.#total) {
          const total = this.#total;
          this.#buffer = EMPTY;
          this.#held = this.#total = 0;
          this.#need = width;
          return this.#frame(buffer, 2 * width, this.#cut, total, total);
        }
      }
    }
  }

  #take(end: number): void {
    const { length } = this.#buffer;
    const held = this.#held + end - this.#at;
    if (held > length) {
      // Doubled, but never more than the frame needs.
      const grown = new Uint8Array(Math.max(held, Math.min(this.#total || 64, 2 * length)));
      grown.set(this.#buffer.subarray(0, this.#held));
      this.#buffer = grown;
    }
    if (end - this.#at > 16) this.#buffer.set(this.#chunk.subarray(this.#at, end), this.#held);
    else for (let i = this.#at; i < end; i++) this.#buffer[this.#held + i - this.#at] = this.#chunk[i] as number;
    this.#held = held;
    this.#at = end;
  }

  #frame(bytes: Uint8Array<ArrayBuffer>, start: number, cut: number, end: number, total: number): Frame {
    const offset = this.#offset;
    this.#offset += total;
    return new Frame(bytes, start, cut, end, this.#index++, offset);
  }

  #word(bytes: Uint8Array, at: number): number {
    let word = 0;
    const width = this.#width;
    // Not <<, which uses only 32 bits. A sum above 2^53 is not exact, but above every limit.
    for (let i = 0; i < width; i++) word = word * 256 + (bytes[this.#little ? at + width - 1 - i : at + i] as number);
    return word;
  }

  #checkTotal(bytes: Uint8Array, at: number): number {
    const total = this.#word(bytes, at);
    const smallest = 2 * this.#width;
    if (total < smallest || total > this.#maxFrame) {
      const cause = this.#likelyCause(bytes, at, this.#width);
      if (total < smallest) {
        this.#fail("invalid_length", `T is ${total}, but a frame has at least ${smallest} bytes${cause}`);
      }
      this.#fail("frame_too_large", `T is ${total}, above the limit of ${this.#maxFrame} bytes${cause}`);
    }
    return total;
  }

  #checkHeader(bytes: Uint8Array, at: number, total: number): number {
    const width = this.#width;
    const size = this.#word(bytes, at + width);
    const left = total - 2 * width;
    if (size > left) {
      const cause = this.#likelyCause(bytes, at, width);
      this.#fail("invalid_length", `H is ${size}, but T is ${total} and leaves ${left} bytes${cause}`, width);
    }
    if (size > this.#maxHeader) {
      this.#fail("header_too_large", `H is ${size}, above the limit of ${this.#maxHeader} bytes`, width);
    }
    return size;
  }

  /** The likely cause of a wrong length word, as the end of its message. Empty if there is no guess. */
  #likelyCause(bytes: Uint8Array, at: number, size: number): string {
    if (this.#index > 0) return ": was the frame before it written with a wrong length, or were bytes lost?";
    // A chunk can show more than the word: the beginning of an error as JSON says what is wrong.
    const shownSize = bytes === this.#chunk ? 60 : Math.min(4, size);
    const beginning = String.fromCharCode(...bytes.subarray(at, at + shownSize));
    const start = /^[ -~]{4,}/.exec(beginning)?.[0] ?? beginning.slice(0, 4);
    const cause = BEGINNINGS.find(([beginning]) => beginning.test(start))?.[1];
    if (cause) return `: the stream starts with ${JSON.stringify(start)}, ${cause}`;
    return /^\0\0(?!\0?\0?$)/.test(start) ? ": the other byte order?" : "";
  }

  #fail(code: FrameErrorCode, message: string, at = 0): never {
    this.#buffer = this.#chunk = EMPTY;
    this.#waiting.length = 0;
    this.#error = new FrameError(code, message, this.#index, this.#offset + at);
    throw this.#error;
  }
}

const BEGINNINGS: readonly (readonly [RegExp, string])[] = [
  [/^\x1f\x8b/, "gzip: was its Content-Encoding not undone?"],
  [/^HTTP/, "an HTTP response with its head still on?"],
  [/^</, "an error page?"],
  [/^RIFF/, "a WAV file instead of frames?"],
  [/^data|^even/, "server-sent events?"],
  [/^[[{]/, "JSON without frames? A server reports an error so: check the status and the content type first"],
  [/^[ -~]+$/, "text instead of frames?"],
];

/**
 * @internal A plain view, also of a Node Buffer, whose own `slice` does not copy. Shared memory is copied: another thread
 * could change it between a check and the use, and TextDecoder and Blob refuse it.
 */
export function toBytes(data: Bytes): Uint8Array<ArrayBuffer> {
  if (typeof data !== "object") throw new TypeError(`bytes are expected, not a ${typeof data}`);
  const view = ArrayBuffer.isView(data);
  const buffer = view ? data.buffer : data;
  if (typeof SharedArrayBuffer !== "undefined" && buffer instanceof SharedArrayBuffer) {
    return view ? new Uint8Array(buffer, data.byteOffset, data.byteLength).slice() : new Uint8Array(buffer).slice();
  }
  if (!view) return new Uint8Array(buffer as ArrayBuffer);
  if (data.constructor === Uint8Array) return data as Uint8Array<ArrayBuffer>;
  return new Uint8Array(buffer as ArrayBuffer, data.byteOffset, data.byteLength);
}

/** @internal Iterates over the results of `pull`, until it returns `undefined`. */
export function iterate<T>(pull: () => T | undefined): IterableIterator<T> {
  return {
    next() {
      const value = pull();
      return value === undefined ? { done: true, value } : { done: false, value };
    },
    [Symbol.iterator]() {
      return this;
    },
  };
}
