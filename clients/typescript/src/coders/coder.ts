/** Coders: the meaning of headers and payloads (SPEC section 4). */

import type { Frame } from "../frames.js";

/** One message of a stream. */
export interface Message<H, P> {
  readonly header: H;
  readonly payload: P;
}

/** `H` and `P` are the types of received messages, `HeaderInput` and `PayloadInput` the types of messages to send. */
export interface Coder<H, P, HeaderInput = H, PayloadInput = P> {
  readonly name: string;
  /** The payload of control frames. A peer that does not know control frames decodes it without an error. */
  readonly neutral: Uint8Array;
  /** The bytes of one frame. Throws `EncodeError`. */
  encode(header: HeaderInput, payload: PayloadInput): Uint8Array<ArrayBuffer>;
  /** Throws a `FrameError` with `invalid_header`, or a `PayloadError`. */
  decode(frame: Frame): Message<H, P>;
  /** A new check of the order of messages, for coders whose messages are numbered. */
  orderCheck?(): OrderCheck<H>;
}

export interface OrderCheck<H> {
  /** Called for each message. Throws `ProtocolError`. */
  follow(header: H, index: number): void;
  /** Called for a refused payload. The next message may have any number. */
  forget(): void;
}

/** What reading needs of a coder. */
export type AnyCoder<H, P> = Pick<Coder<H, P>, "name" | "decode" | "orderCheck">;
