/** The `json` coder: a JSON header, a JSON payload (SPEC section 4.1). */

import { FrameError, PayloadError } from "../errors.js";
import { encodeFrame, type Frame } from "../frames.js";
import { decodeUtf8, type JsonObject, type JsonValue, parse, parseObject, stringify } from "../strict-json.js";
import type { Coder, Message } from "./coder.js";

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
      const ascii = readAscii(frame);
      const header = ascii ? ascii.header : frame.header;
      const typed = toHeader ? checked(toHeader, header, refuseHeader, frame) : (header as H);
      const payload = ascii ? ascii.payload : checked(readJson, frame.payload, refusePayload, frame);
      return { header: typed, payload: toPayload ? checked(toPayload, payload, refusePayload, frame) : (payload as P) };
    },
  };
}

/** What most frames are, ASCII, a unit a byte: then both texts come of one call, which costs as much as a parsing. */
function readAscii({ bytes, start, cut, end }: Frame): Message<JsonObject, JsonValue> | undefined {
  try {
    const text = decodeUtf8(bytes.subarray(start, end));
    if (text.length !== end - start) return undefined;
    return { header: parseObject(text.slice(0, cut - start)), payload: parse(text.slice(cut - start)) };
  } catch {
    return undefined; // what is wrong, and with which of the two, is found the long way
  }
}

function readJson(payload: Uint8Array): JsonValue {
  return parse(decodeUtf8(payload));
}

function checked<V, T>(
  check: (value: V) => T,
  value: V,
  refuse: (cause: Error, frame: Frame) => Error,
  frame: Frame,
): T {
  try {
    return check(value);
  } catch (cause) {
    throw refuse(cause as Error, frame);
  }
}

function refuseHeader(cause: Error, { index, offset }: Frame): Error {
  return new FrameError("invalid_header", `the header is not what is wanted: ${cause.message}`, index, offset, {
    cause,
  });
}

function refusePayload(cause: Error, { index, offset }: Frame): Error {
  return new PayloadError(`the payload is not the JSON that is wanted: ${cause.message}`, index, offset, { cause });
}
