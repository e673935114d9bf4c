/**
 * The `msgpack` coder: headers are JSON objects, payloads are one MessagePack value (SPEC section 4.3). It needs the package
 * `@msgpack/msgpack`, version 3.
 */

import { decode, encode, ExtData, ExtensionCodec, type ExtensionCodecType } from "@msgpack/msgpack";
import { EncodeError } from "../errors.js";
import { encodeFrame } from "../frames.js";
import { decodeUtf8, type JsonObject, reason } from "../strict-json.js";
import type { Coder } from "./coder.js";
import { checked, refuseHeader, refusePayload } from "./json.js";

export interface MsgpackCoderOptions<H, P> {
  /** Converts a header to an `H`. If it throws, the header is an `invalid_header`. */
  readonly header?: (header: JsonObject) => H;
  /** Converts a payload to a `P`. If it throws, the payload is an `invalid_payload`. */
  readonly payload?: (payload: unknown) => P;
  /** The extension types that are known. Others are refused. By default it is the timestamp, which is a `Date`. */
  readonly extensionCodec?: ExtensionCodecType<undefined>;
  /**
   * All integers that were sent with 64 bits are a `bigint`, and a `bigint` can be sent. Otherwise they are numbers, and a
   * payload with one beyond 2^53, whose digits would be lost, is refused.
   */
  readonly useBigInt64?: boolean;
}

/**
 * Headers are JSON objects, payloads are the values of JSON, bytes (`Uint8Array`), and dates.
 *
 * @example
 * const coder = msgpackCoder<Status, { pcm: Uint8Array }>(); // the types are not checked
 */
export function msgpackCoder<H = JsonObject, P = unknown>(
  options: MsgpackCoderOptions<H, P> = {},
): Coder<H, P, object, unknown> {
  const {
    header: toHeader,
    payload: toPayload,
    extensionCodec: known = new ExtensionCodec(),
    useBigInt64 = false,
  } = options;
  const extensionCodec: ExtensionCodecType<undefined> = {
    tryToEncode: (value, context) => known.tryToEncode(value, context),
    decode(data, type, context) {
      const value = known.decode(data, type, context);
      if (value instanceof ExtData) throw new TypeError(`the extension type ${type} is not known`);
      return value;
    },
  };
  function read(payload: Uint8Array): unknown {
    checkValue(payload, useBigInt64);
    return decode(payload, { extensionCodec, useBigInt64 });
  }
  return {
    name: "msgpack",
    neutral: new Uint8Array([0xc0]),
    encode(header, payload) {
      let packed: Uint8Array;
      try {
        packed = encode(payload, { extensionCodec, useBigInt64 });
      } catch (cause) {
        throw new EncodeError(`the payload is no MessagePack value: ${reason(cause)}`, { cause });
      }
      return encodeFrame(header, packed);
    },
    decode(frame) {
      const { header } = frame;
      const typed = toHeader ? checked(toHeader, header, refuseHeader("msgpack"), frame) : (header as H);
      const payload = checked(read, frame.payload, refusePayload("msgpack"), frame);
      return {
        header: typed,
        payload: toPayload ? checked(toPayload, payload, refusePayload("msgpack"), frame) : (payload as P),
      };
    },
  };
}

const FIXED = [4, 8, 1, 2, 4, 8, 1, 2, 4, 8]; // bytes of the numbers ca to d3

/**
 * Throws unless the bytes are one whole MessagePack value and nothing else. The library is lenient with text that is not
 * UTF-8, and loses digits of integers of 64 bits.
 */
function checkValue(bytes: Uint8Array, useBigInt64: boolean): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;

  function skip(size: number): number {
    const from = at;
    at += size;
    if (at > bytes.length) throw new RangeError(`a value goes on for ${at - bytes.length} bytes beyond the payload`);
    return from;
  }
  function length(size: number): number {
    const from = skip(size);
    return size === 1 ? view.getUint8(from) : size === 2 ? view.getUint16(from) : view.getUint32(from);
  }
  function text(size: number): void {
    const from = skip(size);
    decodeUtf8(bytes.subarray(from, at));
  }
  function integer(size: number, signed: boolean): void {
    const from = skip(size);
    if (size < 8 || useBigInt64) return;
    const value = signed ? view.getBigInt64(from) : view.getBigUint64(from);
    if (BigInt.asIntN(54, value) !== value) throw new RangeError(`${value} is beyond 2^53: use useBigInt64`);
  }

  for (let wanted = 1; wanted > 0; wanted--) {
    const first = length(1);
    if (first < 0x80 || first >= 0xe0) continue;
    if (first < 0x90) wanted += 2 * (first & 15);
    else if (first < 0xa0) wanted += first & 15;
    else if (first < 0xc0) text(first & 31);
    else if (first === 0xc1) throw new RangeError("c1 is no MessagePack");
    else if (first < 0xc4) continue;
    else if (first < 0xc7) skip(length(1 << (first - 0xc4)));
    else if (first < 0xca) skip(1 + length(1 << (first - 0xc7)));
    else if (first < 0xcc) skip(FIXED[first - 0xca] ?? 0);
    else if (first < 0xd4) integer(FIXED[first - 0xca] ?? 0, first >= 0xd0);
    else if (first < 0xd9) skip(1 + (1 << (first - 0xd4)));
    else if (first < 0xdc) text(length(1 << (first - 0xd9)));
    else wanted += length(first & 1 ? 4 : 2) * (first < 0xde ? 1 : 2);
    if (wanted - 1 > bytes.length - at)
      throw new RangeError(`${wanted - 1} values are to come in ${bytes.length - at} bytes`);
  }
  if (at < bytes.length) throw new RangeError(`${bytes.length - at} bytes follow the value`);
}
