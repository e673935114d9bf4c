/** The `ndarray` coder: an array's dtype and shape in the header, its bytes as the payload (SPEC section 4.4). */

import { LITTLE_ENDIAN, swap } from "../byte-order.js";
import { EncodeError, FrameError, PayloadError } from "../errors.js";
import { encodeFrame, type Frame } from "../frames.js";
import { type JsonObject, shown } from "../strict-json.js";
import type { Coder } from "./coder.js";

type Numbers =
  | Int8Array<ArrayBuffer>
  | Uint8Array<ArrayBuffer>
  | Int16Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | BigInt64Array<ArrayBuffer>
  | BigUint64Array<ArrayBuffer>
  | Float32Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>;

/** An array of numbers or booleans, in C order: the last dimension is the fastest. */
export interface NdArray {
  /** As NumPy spells it, `<f4` for example. The byte order is that of the wire, not of `data`. */
  readonly dtype: string;
  readonly shape: readonly number[];
  /**
   * The numbers. Booleans are 0 and 1, complex numbers are pairs. JavaScript has no half precision everywhere: `f2` is the
   * bits, in a `Uint16Array`.
   */
  readonly data: Numbers;
}

/** To send one, `data` is enough: its type says the dtype, its length the shape. */
export type NdArrayInput = Pick<NdArray, "data"> & Partial<NdArray>;

const DTYPE = /^(?:\|b1|\|[iu]1|[<>](?:[iu][248]|f[248]|c8|c16))$/;
const DIMENSIONS = 32;

const KINDS = {
  b1: Uint8Array,
  u1: Uint8Array,
  i1: Int8Array,
  i2: Int16Array,
  u2: Uint16Array,
  i4: Int32Array,
  u4: Uint32Array,
  i8: BigInt64Array,
  u8: BigUint64Array,
  f2: Uint16Array,
  f4: Float32Array,
  f8: Float64Array,
  c8: Float32Array,
  c16: Float64Array,
} as const;

/**
 * Headers are the user's members, payloads are arrays. `data` is a copy, so it is aligned.
 *
 * @example
 * const wire = new StreamEncoder(ndarrayCoder()).data({}, { data: new Float32Array([1, 2, 3, 4]), shape: [2, 2] });
 */
export function ndarrayCoder(): Coder<JsonObject, NdArray, object, NdArrayInput> {
  return {
    name: "ndarray",
    neutral: new Uint8Array(),
    encode(header, payload) {
      const { data, dtype = dtypeOf(data), shape = [data.length] } = payload;
      const reserved = ["dtype", "shape"].find((name) => name in header);
      if (reserved) throw new EncodeError(`the header member '${reserved}' is set by the coder, from the array`);
      const reason = notAnArray(dtype, shape) || (data instanceof kindOf(dtype) ? "" : `this data is not ${dtype}`);
      const size = sizeOf(dtype, shape);
      if (reason || size !== BigInt(data.byteLength)) {
        throw new EncodeError(
          reason || `${shown(shape)} of ${dtype} are ${size} bytes, the data has ${data.byteLength}`,
        );
      }
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      return encodeFrame({ ...header, dtype, shape }, swapped(bytes, dtype, data.BYTES_PER_ELEMENT));
    },
    decode(frame) {
      const { dtype, shape, ...header } = frame.header;
      const reason = notAnArray(dtype, shape);
      if (reason) throw new FrameError("invalid_header", reason, frame.index, frame.offset);
      return { header, payload: arrayOf(dtype as string, shape as number[], frame) };
    },
  };
}

/** The reason why these are not dtype and shape of an array. Empty if they are. */
function notAnArray(dtype: unknown, shape: unknown): string {
  if (typeof dtype !== "string" || !DTYPE.test(dtype) || dtype.endsWith("\n")) {
    return `dtype ${shown(dtype)} is not one of numbers or booleans`;
  }
  const isSize = (size: unknown) => Number.isSafeInteger(size) && (size as number) >= 0;
  if (Array.isArray(shape) && shape.length <= DIMENSIONS && shape.every(isSize)) return "";
  return `shape ${shown(shape)} is not a list of at most ${DIMENSIONS} sizes`;
}

function kindOf(dtype: string): (typeof KINDS)[keyof typeof KINDS] {
  return KINDS[dtype.slice(1) as keyof typeof KINDS];
}

/** Exact: a hostile shape may have a product beyond any number. */
function sizeOf(dtype: string, shape: readonly number[]): bigint {
  return shape.reduce((size, more) => size * BigInt(more), BigInt(/\d+/.exec(dtype)?.[0] ?? 0));
}

function dtypeOf(data: Numbers): string {
  const name = Object.keys(KINDS).find((kind) => kind !== "b1" && data instanceof kindOf(`|${kind}`)) ?? "";
  return (name.endsWith("1") ? "|" : LITTLE_ENDIAN ? "<" : ">") + name;
}

function arrayOf(dtype: string, shape: number[], frame: Frame): NdArray {
  const { payload } = frame;
  const size = sizeOf(dtype, shape);
  if (size !== BigInt(payload.length)) {
    const message = `shape ${shown(shape)} of ${dtype} is not of ${payload.length} bytes, which the payload has`;
    throw new PayloadError(message, frame.index, frame.offset);
  }
  const Kind = kindOf(dtype);
  return { dtype, shape, data: new Kind(swapped(payload.slice(), dtype, Kind.BYTES_PER_ELEMENT).buffer) };
}

/** The bytes in the other order, if the dtype's is not that of this machine: a copy then. */
function swapped(bytes: Uint8Array<ArrayBuffer>, dtype: string, width: number): Uint8Array<ArrayBuffer> {
  return width === 1 || dtype.startsWith("<") === LITTLE_ENDIAN ? bytes : swap(bytes.slice(), width);
}
