/** What a coder is: the meaning of headers and payloads (SPEC section 4). */

import type { Frame } from "../frames.js";

/** One message of a stream. */
export interface Message<H, P> {
  readonly header: H;
  readonly payload: P;
}

/** `H` and `P` are what a reader gets; `HeaderInput` and `PayloadInput` what a sender may give. */
export interface Coder<H, P, HeaderInput = H, PayloadInput = P> {
  readonly name: string;
  /** The payload of a control frame, which a peer that knows none decodes without an error. */
  readonly neutral: Uint8Array;
  /** One frame's bytes. Throws `EncodeError`. */
  encode(header: HeaderInput, payload: PayloadInput): Uint8Array<ArrayBuffer>;
  /** Throws `FrameError`, `invalid_header`, and `PayloadError`. */
  decode(frame: Frame): Message<H, P>;
  /** What watches how the messages of one stream follow one another. */
  orderCheck?(): OrderCheck<H>;
}

export interface OrderCheck<H> {
  /** Called for each message; throws `ProtocolError`. */
  follow(header: H, index: number): void;
  /** A payload was refused: of what comes after it nothing can be said. */
  forget(): void;
}

/** A coder as a reader sees it. */
export type AnyCoder<H, P> = Coder<H, P, never, never>;
