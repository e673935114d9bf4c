/**
 * The `tal` coder: text, audio and lip in frames of speech (SPEC section 4.2).
 *
 * The header describes the audio, has its text, and gives the place of the frame in its answer. The payload is PCM:
 * little-endian, interleaved, whole sample frames. It never has a RIFF header, although `audioFormat` is `wav`.
 */

import { LITTLE_ENDIAN, swap } from "../byte-order.js";
import { EncodeError, FrameError, PayloadError, ProtocolError } from "../errors.js";
import { type Bytes, encodeFrame, type Frame, toBytes } from "../frames.js";
import { type JsonObject, shown } from "../strict-json.js";
import type { Coder, OrderCheck } from "./coder.js";

/** The header of a frame of speech. Other members that a peer sent are kept, and sent again. */
export interface TalAudio {
  audioType: "int16" | "int32";
  /** 16 with int16, 32 with int32. */
  bitDepth: 16 | 32;
  /** Sample frames a second, 1 to 768,000. */
  sampleRate: number;
  /** 1 to 255, interleaved. */
  channels: number;
  /** It names the family of the format; there is no RIFF header. */
  audioFormat: "wav";
  /** The question. */
  question: string;
  /** The text of this audio. */
  answer: string;
  /** The source of the answer. */
  url: string;
  /** The place in the answer: 1 start, 2 middle, 3 end. */
  sign: 1 | 2 | 3;
  /** The number of the frame in its answer, 1 to 2^53 - 1. */
  order: number;
  [member: string]: unknown;
}

/** Samples. The channels are interleaved. The array is a copy, so it is aligned. */
export type Samples = Int16Array<ArrayBuffer> | Int32Array<ArrayBuffer>;

const DEFAULTS: TalAudio = {
  audioType: "int16",
  bitDepth: 16,
  sampleRate: 16000,
  channels: 1,
  audioFormat: "wav",
  question: "",
  answer: "",
  url: "",
  sign: 1,
  order: 1,
};

/** A header with these members, and defaults for the others. Throws `EncodeError` for values out of range. */
export function talAudio(members: Partial<TalAudio> = {}): TalAudio {
  const tal: TalAudio = { ...DEFAULTS, ...members };
  const reason = check(tal);
  if (reason) throw new EncodeError(reason);
  return tal;
}

/**
 * Headers are `TalAudio`, payloads are samples: an `Int16Array`, or an `Int32Array` where `bitDepth` is 32.
 * To send, give samples of that type, or PCM bytes.
 */
export function talCoder(): Coder<TalAudio, Samples, Partial<TalAudio>, Bytes> {
  return {
    name: "tal",
    neutral: new Uint8Array(),
    encode(header, payload) {
      const tal = talAudio(header);
      const pcm = toPcm(tal, payload);
      const reason = notWhole(pcm, tal);
      if (reason) throw new EncodeError(`${reason}: carry the odd bytes over to the next frame`);
      return encodeFrame(tal, pcm);
    },
    decode(frame) {
      const tal = readHeader(frame);
      const reason = notWhole(frame.payload, tal);
      if (reason) {
        const message = `the payload is not what the coder tal reads: ${reason}: was the PCM cut inside one?`;
        throw new PayloadError(message, frame.index, frame.offset);
      }
      return { header: tal, payload: toSamples(frame.payload, tal.bitDepth) };
    },
    orderCheck,
  };
}

function readHeader(frame: Frame): TalAudio {
  const header: JsonObject = frame.header;
  // Spread, not Object.assign, which would set the prototype for a member with the name __proto__.
  const tal = { ...DEFAULTS, ...header } as TalAudio;
  const reason = check(tal);
  if (reason) {
    const message = `the header is not what the coder tal reads: ${reason}`;
    throw new FrameError("invalid_header", message, frame.index, frame.offset);
  }
  return tal;
}

/** The reason why PCM is not whole sample frames. Empty if it is. */
function notWhole({ length }: Uint8Array, { bitDepth, channels }: TalAudio): string {
  const block = (bitDepth / 8) * channels;
  return length % block ? `${length} bytes are not whole sample frames of ${block} bytes` : "";
}

/** The reason why the members are not those of SPEC section 4.2. Empty if they are. */
function check(tal: Readonly<Record<string, unknown>>): string {
  const { audioType, bitDepth, audioFormat } = tal;
  if (audioType !== "int16" && audioType !== "int32") return `audioType is "int16" or "int32", not ${shown(audioType)}`;
  const depth = audioType === "int16" ? 16 : 32;
  if (bitDepth !== depth) return `bitDepth is ${depth} where audioType is "${audioType}", not ${shown(bitDepth)}`;
  return (
    integer(tal, "sampleRate", 768_000) ||
    integer(tal, "channels", 255) ||
    (audioFormat === "wav" ? "" : `audioFormat is "wav", not ${shown(audioFormat)}`) ||
    text(tal, "question") ||
    text(tal, "answer") ||
    text(tal, "url") ||
    integer(tal, "sign", 3) ||
    integer(tal, "order", Number.MAX_SAFE_INTEGER)
  );
}

function integer(tal: Readonly<Record<string, unknown>>, name: string, largest: number): string {
  const value = tal[name];
  if (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= largest) return "";
  return `${name} is an integer from 1 to ${largest}, not ${shown(value)}`;
}

function text(tal: Readonly<Record<string, unknown>>, name: string): string {
  return typeof tal[name] === "string" ? "" : `${name} is a string, not ${shown(tal[name])}`;
}

/** PCM as samples. It is copied, because a payload begins at any byte, and a typed array only at an aligned one. */
function toSamples(pcm: Uint8Array, bitDepth: 16 | 32): Samples {
  const bytes = new Uint8Array(pcm); // a new buffer, which is aligned
  if (!LITTLE_ENDIAN) swap(bytes, bitDepth / 8);
  return bitDepth === 16 ? new Int16Array(bytes.buffer) : new Int32Array(bytes.buffer);
}

function toPcm(tal: TalAudio, payload: Bytes): Uint8Array {
  const samples = payload instanceof Int16Array ? 16 : payload instanceof Int32Array ? 32 : 0;
  if (samples === 0) {
    if (ArrayBuffer.isView(payload) && "BYTES_PER_ELEMENT" in payload && payload.BYTES_PER_ELEMENT !== 1) {
      throw new EncodeError("samples are an Int16Array or an Int32Array: convert them first");
    }
    return toBytes(payload);
  }
  if (samples !== tal.bitDepth) throw new EncodeError(`samples of ${samples} bits where bitDepth is ${tal.bitDepth}`);
  const bytes = toBytes(payload);
  return LITTLE_ENDIAN ? bytes : swap(bytes.slice(), samples / 8);
}

/**
 * The order rule of SPEC section 4.2. Sign 1 starts an answer, at any time, with order 1. Signs 2 and 3 have the order of
 * the frame before plus 1. After sign 3 comes sign 1. A stream whose first frame has sign 2 or 3 is a resumed one, and may
 * start at any order.
 */
function orderCheck(): OrderCheck<TalAudio> {
  let previous = -1; // -1: not known; 0: the last frame ended its answer
  return {
    follow({ sign, order }, index) {
      if (sign === 1) {
        if (order !== 1)
          throw new ProtocolError("order_gap", `sign 1 starts an answer with order 1, not ${order}`, index);
      } else if (previous === 0) {
        throw new ProtocolError("order_gap", `sign ${sign} after sign 3: an answer starts with sign 1`, index);
      } else if (previous > 0 && order !== previous + 1) {
        throw new ProtocolError("order_gap", `order ${order} after order ${previous}: was a frame lost?`, index);
      }
      previous = sign === 3 ? 0 : order;
    },
    forget() {
      previous = -1;
    },
  };
}
