/** The `raw` coder: a JSON header, and bytes as they are (SPEC section 4.5). */

import { type Bytes, encodeFrame } from "../frames.js";
import type { JsonObject } from "../strict-json.js";
import type { Coder } from "./coder.js";

/** Payloads are bytes: views of the chunk they came in, so keep `payload.slice()` if you keep little of much. */
export function rawCoder(): Coder<JsonObject, Uint8Array, object, Bytes> {
  return {
    name: "raw",
    neutral: new Uint8Array(),
    encode: (header, payload) => encodeFrame(header, payload),
    decode: ({ header, payload }) => ({ header, payload }),
  };
}
