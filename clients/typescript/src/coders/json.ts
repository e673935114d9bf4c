/** The `json` coder: a JSON header, a JSON payload (SPEC section 4.1). */

import { FrameError, PayloadError } from "../errors.js";
import { encodeFrame, type Frame } from "../frames.js";
import { type JsonObject, type JsonValue, parseJson, stringify } from "../strict-json.js";
import type { Coder } from "./coder.js";

export interface JsonCoderOptions<H, P> {
  /** Turns a header into an `H`, or throws, which makes it an `invalid_header`: a schema's `parse` fits. */
  readonly header?: (header: JsonObject) => H;
  /** Turns a payload into a `P`, or throws, which makes it an `invalid_payload`. */
  readonly payload?: (payload: JsonValue) => P;
}

/**
 * Headers are JSON objects, payloads any JSON value.
 *
 * @example
 * const plain = jsonCoder();
 * const typed = jsonCoder<Status, Answer>();                              // the peer is trusted to send these
 * const checked = jsonCoder({ payload: (value) => Answer.parse(value) }); // zod, valibot, by hand
 */
export function jsonCoder<H = JsonObject, P = JsonValue>(
  options: JsonCoderOptions<H, P> = {},
): Coder<H, P, object, unknown> {
  const toHeader = options.header;
  const toPayload = options.payload;
  return {
    name: "json",
    neutral: new Uint8Array([0x7b, 0x7d]),
    encode: (header, payload) => encodeFrame(header, stringify(payload)),
    decode(frame) {
      const header = readHeader(frame, toHeader);
      try {
        const value = parseJson(frame.payload);
        return { header, payload: toPayload ? toPayload(value) : (value as P) };
      } catch (cause) {
        const message = `the payload is not the JSON that is wanted: ${(cause as Error).message}`;
        throw new PayloadError(message, frame.index, frame.offset, { cause });
      }
    },
  };
}

function readHeader<H>(frame: Frame, toHeader: ((header: JsonObject) => H) | undefined): H {
  const { header } = frame;
  if (!toHeader) return header as H;
  try {
    return toHeader(header);
  } catch (cause) {
    const message = `the header is not what is wanted: ${(cause as Error).message}`;
    throw new FrameError("invalid_header", message, frame.index, frame.offset, { cause });
  }
}
