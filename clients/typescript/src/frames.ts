/**
 * Frames: the unit of the wire (SPEC section 2).
 *
 *     0            4             8              8+H                 T
 *     | T  uint32  | H  uint32   | header (H B) | payload (T-8-H B) |      little-endian
 *
 * T counts the whole frame, itself included; H the header alone. This room turns bytes into frames and back; it does no
 * input or output, and it knows neither coders nor control frames.
 *
 * **The decoder.** A frame that lies whole in its chunk is a view of it, and nothing is copied. Only a frame that
 * straddles chunks is put together, in a buffer that grows with what has arrived: a length word is a claim, compared
 * with the limits, never a reason to allocate. No byte is read twice, so the cost is linear whatever the chunking. Both
 * length words are judged as soon as they are there, in field order; a header when it is first asked for.
 */

import { EncodeError, FrameError, type FrameErrorCode } from "./errors.js";
import { decodeUtf8, type JsonObject, parseObject, stringify } from "./strict-json.js";

/** What a decoder accepts, in bytes: `frame` bounds T (16 MiB unless given), `header` bounds H (64 KiB). */
export interface Limits {
  readonly frame?: number | undefined;
  readonly header?: number | undefined;
}

/** How length words are written: `byteLength` bytes, 1 to 8. The wire is 4, little; another is a private agreement. */
export interface Layout {
  readonly byteLength: number;
  readonly byteOrder: "little" | "big";
}

const STANDARD: Layout = { byteLength: 4, byteOrder: "little" };
const EMPTY: Uint8Array = /* @__PURE__ */ new Uint8Array();

/** Bytes in memory: a typed array, a Node Buffer, an ArrayBuffer as a WebSocket gives it. */
export type Bytes = ArrayBufferLike | ArrayBufferView;

/**
 * One frame: `headerBytes` and `payload` as they were on the wire, `header` parsed on first use and kept.
 *
 * The bytes are views of the chunk the frame came in: keep `frame.payload.slice()` if you keep little of much.
 */
export class Frame {
  /** Where the frame stood in its stream: its number, control frames included, and its first byte, from 0. */
  readonly index: number;
  readonly offset: number;
  /** @internal The header is `bytes` from `start` to `cut`, the payload from there to `end`. */
  readonly bytes: Uint8Array;
  /** @internal */
  readonly start: number;
  /** @internal */
  readonly cut: number;
  /** @internal */
  readonly end: number;
  #headerBytes: Uint8Array | undefined;
  #payload: Uint8Array | undefined;
  #header: JsonObject | undefined;

  /** @internal */
  constructor(bytes: Uint8Array, start: number, cut: number, end: number, index = 0, offset = 0) {
    this.bytes = bytes;
    this.start = start;
    this.cut = cut;
    this.end = end;
    this.index = index;
    this.offset = offset;
  }

  get headerBytes(): Uint8Array {
    this.#headerBytes ??= this.bytes.subarray(this.start, this.cut);
    return this.#headerBytes;
  }

  get payload(): Uint8Array {
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
 * One frame's bytes. `header` is an object, or JSON bytes, which go out untouched once they have been checked.
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
    if (headerBytes[0] !== 0x7b) throw new EncodeError("a header is a JSON object");
  }
  const width = layout.byteLength;
  const start = 2 * width;
  const total = start + headerBytes.length + body.length;
  if (total >= 256 ** width) {
    throw new EncodeError(`a frame of ${total} bytes does not fit a length word of ${width}; send it in pieces`);
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
    // Not >>, which takes 32 bits only.
    bytes[byteOrder === "little" ? at + i : at + byteLength - 1 - i] = Math.floor(word / 256 ** i);
  }
}

/**
 * Bytes in, in any pieces; frames out.
 *
 * `feed` takes its chunk at once and iterates lazily: first every good frame, then the error, if there is one. A decoder
 * that failed is dead and throws the same error again. Chunks are not copied: do not write into one that was fed.
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
  readonly #waiting: Uint8Array[] = []; // chunks fed before the reader was done with #chunk
  #index = 0;
  #offset = 0; // of the next frame, from the beginning of the stream
  // A frame that straddles chunks: #held bytes of it, in a buffer that may have room for more. #need is how many there
  // must be before there is anything to decide: a length word, the other, the whole.
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

  /** How many frames have been delivered. */
  get position(): number {
    return this.#index - (this.#peeked ? 1 : 0);
  }

  /** How many bytes the delivered frames took: where the next one begins. */
  get offset(): number {
    return this.#peeked ? this.#peeked.offset : this.#offset;
  }

  /** How many bytes have been fed beyond `offset`. */
  get buffered(): number {
    let size = this.#offset - this.offset + this.#held + this.#chunk.length - this.#at;
    for (const chunk of this.#waiting) size += chunk.length;
    return size;
  }

  /** Takes a chunk, and iterates over the frames that are now whole. What it is not asked for stays in the decoder. */
  feed(chunk: Bytes): IterableIterator<Frame> {
    this.push(chunk);
    return iterate(() => this.nextFrame());
  }

  /** `feed` without an iterator, for loops over `nextFrame`. */
  push(data: Bytes): void {
    const chunk = toBytes(data);
    if (this.#finished) throw new TypeError("feed() after finish(): the stream was said to have ended");
    if (this.#error) throw this.#error;
    if (this.#at < this.#chunk.length || this.#waiting.length > 0) this.#waiting.push(chunk);
    else {
      this.#chunk = chunk;
      this.#at = 0;
    }
  }

  /** The next frame, or `undefined` if more bytes are needed. Throws `FrameError` after the good frames. */
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
        this.#chunk = next ?? EMPTY; // so that a chunk that was read is not kept
        this.#at = 0;
        if (!next) break;
      }
    }
    if (this.#finished && this.#held > 0) {
      this.#fail("truncated_frame", `the bytes ended inside a frame: ${this.#held} of ${this.#total || "?"} had come`);
    }
    return undefined;
  }

  /**
   * Says that no more bytes will come. Throws `truncated_frame` if a frame has begun and is not whole; frames not yet
   * asked for can still be read with `nextFrame`, which then throws in its turn.
   */
  finish(): void {
    this.#finished = true;
    this.#peeked ??= this.nextFrame();
  }

  /** The frame at `at`, a view of the chunk, if it is whole in there. */
  #slice(at: number, left: number): Frame | undefined {
    const chunk = this.#chunk;
    const total = this.#judgeTotal(chunk, at);
    const start = at + 2 * this.#width;
    const cut = start + this.#judgeHeader(chunk, at, total);
    if (total > left) return this.#assemble();
    this.#at = at + total;
    return this.#frame(chunk, start, cut, at + total, total);
  }

  /** Moves bytes of the chunk to the frame that straddles chunks; that frame, if they complete it. */
  #assemble(): Frame | undefined {
    const width = this.#width;
    for (;;) {
      const end = Math.min(this.#at + this.#need - this.#held, this.#chunk.length);
      this.#take(end);
      if (this.#held < this.#need) return undefined;
      const buffer = this.#buffer;
      if (this.#held === width) {
        this.#total = this.#judgeTotal(buffer, 0);
        this.#need = 2 * width;
      } else {
        if (this.#held === 2 * width) {
          this.#cut = 2 * width + this.#judgeHeader(buffer, 0, this.#total);
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
      // Twice what has come, or the frame: never more than has been sent, twice over.
      const grown = new Uint8Array(Math.max(held, Math.min(this.#total || 64, 2 * length)));
      grown.set(this.#buffer.subarray(0, this.#held));
      this.#buffer = grown;
    }
    if (end - this.#at > 16) this.#buffer.set(this.#chunk.subarray(this.#at, end), this.#held);
    else for (let i = this.#at; i < end; i++) this.#buffer[this.#held + i - this.#at] = this.#chunk[i] as number;
    this.#held = held;
    this.#at = end;
  }

  #frame(bytes: Uint8Array, start: number, cut: number, end: number, total: number): Frame {
    const offset = this.#offset;
    this.#offset += total;
    return new Frame(bytes, start, cut, end, this.#index++, offset);
  }

  #word(bytes: Uint8Array, at: number): number {
    let word = 0;
    const width = this.#width;
    // Not <<, which takes 32 bits only. Beyond 2^53 the sum is inexact, and beyond every limit.
    for (let i = 0; i < width; i++) word = word * 256 + (bytes[this.#little ? at + width - 1 - i : at + i] as number);
    return word;
  }

  #judgeTotal(bytes: Uint8Array, at: number): number {
    const total = this.#word(bytes, at);
    const smallest = 2 * this.#width;
    if (total < smallest || total > this.#maxFrame) {
      const begins = String.fromCharCode(...bytes.subarray(at, at + this.#width)).replace(/[^ -~]/g, ".");
      const bound = total < smallest ? `a frame has at least ${smallest}` : `the limit is ${this.#maxFrame}`;
      const cause =
        this.#index === 0 && /[<\w {[]{3}/.test(begins) ? `; it reads '${begins}': is this a web page?` : "";
      this.#fail(total < smallest ? "invalid_length" : "frame_too_large", `T is ${total} bytes, ${bound}${cause}`);
    }
    return total;
  }

  #judgeHeader(bytes: Uint8Array, at: number, total: number): number {
    const width = this.#width;
    const size = this.#word(bytes, at + width);
    const room = total - 2 * width;
    if (size > room) this.#fail("invalid_length", `H is ${size} bytes, T of ${total} leaves ${room}`, width);
    if (size > this.#maxHeader) {
      this.#fail("header_too_large", `H is ${size} bytes, the limit is ${this.#maxHeader}`, width);
    }
    return size;
  }

  #fail(code: FrameErrorCode, message: string, at = 0): never {
    this.#buffer = this.#chunk = EMPTY; // nobody will read them
    this.#waiting.length = 0;
    this.#error = new FrameError(code, message, this.#index, this.#offset + at);
    throw this.#error;
  }
}

/** @internal A plain view: of a Node Buffer too, whose `slice` would not copy. */
export function toBytes(data: Bytes): Uint8Array {
  if (typeof data !== "object") throw new TypeError(`bytes are expected, not a ${typeof data}`);
  if (!ArrayBuffer.isView(data)) return new Uint8Array(data);
  return data.constructor === Uint8Array ? data : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** @internal What `pull` gives, until it gives nothing. */
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
