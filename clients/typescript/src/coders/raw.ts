/** The `raw` coder: headers are JSON objects, payloads are bytes (SPEC section 4.5). */

import { type Bytes, encodeFrame } from "../frames.js";
import type { JsonObject } from "../strict-json.js";
import type { AnyCoder, Coder } from "./coder.js";

/** Payloads are views of the chunk that they arrived in. To keep a small part of a large chunk, keep `payload.slice()`. */
export function rawCoder(): Coder<JsonObject, Uint8Array<ArrayBuffer>, object, Bytes> {
  return {
    ...rawReader,
    neutral: new Uint8Array(),
    encode: (header, payload) => encodeFrame(header, payload),
  };
}

/** @internal Who only reads need not have the code that writes. */
export const rawReader: AnyCoder<JsonObject, Uint8Array<ArrayBuffer>> = {
  name: "raw",
  decode: ({ header, payload }) => ({ header, payload }),
};
