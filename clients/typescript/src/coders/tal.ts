/**
 * The `tal` coder: text, audio and lip in frames of speech (SPEC section 4.2).
 *
 * The header says what the sound is, what is said in it, and where in the answer it stands; the payload is PCM,
 * little-endian, interleaved, whole sample frames, and never a RIFF header, whatever `audioFormat` seems to say.
 */

import { EncodeError, FrameError, PayloadError, ProtocolError } from "../errors.js";
import { type Bytes, encodeFrame, type Frame, toBytes } from "../frames.js";
import { type JsonObject, shown } from "../strict-json.js";
import type { Coder, OrderCheck } from "./coder.js";

/** What a frame of speech says of itself. Members that a peer sent beside the ten are kept, and go out again. */
export interface TalAudio {
  audioType: "int16" | "int32";
  /** 16 with int16, 32 with int32. */
  bitDepth: 16 | 32;
  /** Sample frames a second, 1 to 768,000. */
  sampleRate: number;
  /** 1 to 255, interleaved. */
  channels: number;
  /** It names the family; there is no RIFF header. */
  audioFormat: "wav";
  /** What was asked. */
  question: string;
  /** The text of this sound. */
  answer: string;
  url: string;
  /** 1 start, 2 middle, 3 end of an answer. */
  sign: 1 | 2 | 3;
  /** 1 and up: the frame's number in its answer. */
  order: number;
  [member: string]: unknown;
}

/** Samples, interleaved: as many as channels for each moment. An own copy, at an address that fits. */
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

const LITTLE_ENDIAN = /* @__PURE__ */ new Uint8Array(/* @__PURE__ */ new Uint16Array([1]).buffer)[0] === 1;

/** A whole header of what is given, absent members at their defaults. Throws `EncodeError` for values out of range. */
export function talAudio(members: Partial<TalAudio> = {}): TalAudio {
  const tal: TalAudio = { ...DEFAULTS, ...members };
  const complaint = complain(tal);
  if (complaint) throw new EncodeError(complaint);
  return tal;
}

/**
 * Headers are `TalAudio`, payloads samples: an `Int16Array`, or an `Int32Array` where `bitDepth` is 32.
 * To send, give samples of that type, or PCM bytes.
 */
export function talCoder(): Coder<TalAudio, Samples, Partial<TalAudio>, Bytes> {
  return {
    name: "tal",
    neutral: new Uint8Array(),
    encode(header, payload) {
      const tal = talAudio(header);
      const pcm = toPcm(tal, payload);
      const rest = pcm.length % blockAlign(tal);
      if (rest) throw new EncodeError(`${pcm.length} bytes of PCM are not whole sample frames of ${blockAlign(tal)}`);
      return encodeFrame(tal, pcm);
    },
    decode(frame) {
      const tal = readHeader(frame);
      const size = blockAlign(tal);
      if (frame.payload.length % size) {
        const message = `${frame.payload.length} bytes of PCM are not whole sample frames of ${size}`;
        throw new PayloadError(message, frame.index, frame.offset);
      }
      return { header: tal, payload: toSamples(frame.payload, tal.bitDepth) };
    },
    orderCheck,
  };
}

function readHeader(frame: Frame): TalAudio {
  const header: JsonObject = frame.header;
  // Spread, not Object.assign: a member called __proto__ is a member like any other.
  const tal = { ...DEFAULTS, ...header } as TalAudio;
  const complaint = complain(tal);
  if (complaint) throw new FrameError("invalid_header", complaint, frame.index, frame.offset);
  return tal;
}

function blockAlign(tal: TalAudio): number {
  return (tal.bitDepth / 8) * tal.channels;
}

/** What is wrong with the members, in their order; empty if nothing is. */
function complain(tal: Readonly<Record<string, unknown>>): string {
  const { audioType, bitDepth, audioFormat } = tal;
  if (audioType !== "int16" && audioType !== "int32") return `audioType is 'int16' or 'int32', not ${shown(audioType)}`;
  const depth = audioType === "int16" ? 16 : 32;
  if (bitDepth !== depth) return `bitDepth is ${depth} where audioType is '${audioType}', not ${shown(bitDepth)}`;
  return (
    integer(tal, "sampleRate", 768_000) ||
    integer(tal, "channels", 255) ||
    (audioFormat === "wav" ? "" : `audioFormat is 'wav', not ${shown(audioFormat)}`) ||
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

/** PCM as samples. A header's length varies, so a payload seldom lies where a typed array may begin: it is copied. */
function toSamples(pcm: Uint8Array, bitDepth: 16 | 32): Samples {
  const bytes = new Uint8Array(pcm); // a new buffer, from its beginning
  if (!LITTLE_ENDIAN) swap(bytes, bitDepth / 8);
  return bitDepth === 16 ? new Int16Array(bytes.buffer) : new Int32Array(bytes.buffer);
}

function toPcm(tal: TalAudio, payload: Bytes): Uint8Array {
  const samples = payload instanceof Int16Array ? 16 : payload instanceof Int32Array ? 32 : 0;
  if (samples === 0) {
    if (ArrayBuffer.isView(payload) && "BYTES_PER_ELEMENT" in payload && payload.BYTES_PER_ELEMENT !== 1) {
      throw new EncodeError("samples are an Int16Array or an Int32Array; convert them first");
    }
    return toBytes(payload);
  }
  if (samples !== tal.bitDepth) throw new EncodeError(`samples of ${samples} bits where bitDepth is ${tal.bitDepth}`);
  if (LITTLE_ENDIAN) return toBytes(payload);
  const bytes = new Uint8Array(toBytes(payload));
  swap(bytes, samples / 8);
  return bytes;
}

function swap(bytes: Uint8Array, width: number): void {
  for (let at = 0; at < bytes.length; at += width) bytes.subarray(at, at + width).reverse();
}

/**
 * Sign 1 starts an answer, at any time, with order 1. Signs 2 and 3 go on with the order before, plus one. After sign 3
 * comes sign 1. A stream whose first frame has sign 2 or 3 is a resumed one and begins anywhere.
 */
function orderCheck(): OrderCheck<TalAudio> {
  let previous = -1; // -1: not known; 0: an answer has ended
  return {
    follow({ sign, order }, index) {
      if (sign === 1) {
        if (order !== 1) throw new ProtocolError("order_gap", `sign 1 starts with order 1, not ${order}`, index);
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
