/** The `json` coder: headers are JSON objects, payloads are any JSON value (SPEC section 4.1). */

import { FrameError, PayloadError } from "../errors.js";
import { encodeFrame, type Frame } from "../frames.js";
import { decodeUtf8, type JsonObject, type JsonValue, parse, parseObject, reason, stringify } from "../strict-json.js";
import type { Coder, Message } from "./coder.js";

export interface JsonCoderOptions<H, P> {
  /** Converts a header to an `H`. If it throws, the header is an `invalid_header`. The `parse` of a schema fits. */
  readonly header?: ((header: JsonObject) => H) | undefined;
  /** Converts a payload to a `P`. If it throws, the payload is an `invalid_payload`. */
  readonly payload?: ((payload: JsonValue) => P) | undefined;
}

/**
 * Headers are JSON objects, payloads are any JSON value.
 *
 * @example
 * const plain = jsonCoder();
 * const typed = jsonCoder<Status, Answer>();                              // the types are not checked
 * const checked = jsonCoder({ payload: (value) => Answer.parse(value) }); // checked by zod, valibot, your own function
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
      const typed = toHeader ? checked(toHeader, header, refuseHeader("json"), frame) : (header as H);
      const payload = ascii ? ascii.payload : checked(readJson, frame.payload, refusePayload("json"), frame);
      return {
        header: typed,
        payload: toPayload ? checked(toPayload, payload, refusePayload("json"), frame) : (payload as P),
      };
    },
  };
}

/** The fast path for ASCII frames, which most are. One call decodes both texts; a call costs as much as parsing. */
function readAscii({ bytes, start, cut, end }: Frame): Message<JsonObject, JsonValue> | undefined {
  try {
    const text = decodeUtf8(bytes.subarray(start, end));
    if (text.length !== end - start) return undefined;
    return { header: parseObject(text.slice(0, cut - start)), payload: parse(text.slice(cut - start)) };
  } catch {
    return undefined; // the slow path finds the error, and which of the two texts has it
  }
}

function readJson(payload: Uint8Array): JsonValue {
  return parse(decodeUtf8(payload));
}

/** @internal */
export function checked<V, T>(check: (value: V) => T, value: V, refuse: Refusal, frame: Frame): T {
  try {
    return check(value);
  } catch (cause) {
    throw refuse(cause, frame);
  }
}

type Refusal = (cause: unknown, frame: Frame) => Error;

/** @internal */
export function refuseHeader(coder: string): Refusal {
  return (cause, { index, offset }) => {
    const message = `the header is not what the coder ${coder} reads: ${reason(cause)}`;
    return new FrameError("invalid_header", message, index, offset, { cause });
  };
}

/** @internal */
export function refusePayload(coder: string): Refusal {
  return (cause, { index, offset }) => {
    const message = `the payload is not what the coder ${coder} reads: ${reason(cause)}`;
    return new PayloadError(message, index, offset, { cause });
  };
}
