/** The items of a duplex session, and their coder (SPEC sections 4.6 and 7). */

import type { Coder } from "../coders/coder.js";
import { checked, refuseHeader, refusePayload } from "../coders/json.js";
import { EncodeError } from "../errors.js";
import { type Bytes, encodeFrame } from "../frames.js";
import { decodeUtf8, isObject, type JsonObject, type JsonValue, parse, shown, stringify } from "../strict-json.js";

const MODALITIES = ["audio", "video", "text", "image"] as const;
const EVENTS = ["connected", "disconnected", "stream_end", "interrupt", "error", "metadata"] as const;

export type Modality = (typeof MODALITIES)[number];
export type EventType = (typeof EVENTS)[number];

/** A piece of sound, video, text or an image. */
export interface StreamSymbol {
  readonly kind: "symbol";
  readonly modality: Modality;
  readonly mimeType: string;
  readonly data: Uint8Array<ArrayBuffer>;
  /** For PCM: `sample_rate` in Hz, `channels`, `bit_depth`. */
  readonly metadata: JsonObject;
  readonly timestamp: Date;
}

/**
 * Everything else.
 *
 * `stream_end`: one question or answer is complete. `interrupt`: the peer has stopped; `data` may have `played_ms`.
 * `error`: what was being sent cannot be finished; `data` has `code` and `message`. `metadata`: what the application defines.
 */
export interface StreamEvent {
  readonly kind: "event";
  readonly type: EventType;
  /** Any JSON value, `{}` if there is no content. */
  readonly data: JsonValue;
  readonly timestamp: Date;
}

export type StreamItem = StreamSymbol | StreamEvent;

/** What can be sent. Without a timestamp it is now. */
export type StreamItemInput =
  | {
      readonly kind: "symbol";
      readonly modality: Modality;
      readonly mimeType: string;
      readonly data: Bytes;
      readonly metadata?: object | undefined;
      readonly timestamp?: Date | undefined;
    }
  | {
      readonly kind: "event";
      readonly type: EventType;
      readonly data?: unknown;
      readonly timestamp?: Date | undefined;
    };

/** Text, in UTF-8. */
export function textSymbol(text: string, metadata: JsonObject = {}): StreamSymbol {
  return {
    kind: "symbol",
    modality: "text",
    mimeType: "text/plain;charset=utf-8",
    data: new TextEncoder().encode(text),
    metadata: { encoding: "utf-8", ...metadata },
    timestamp: new Date(),
  };
}

/** PCM: interleaved, whole sample frames. `rate` in Hz. Throws `RangeError` for what is not PCM. */
export function audioSymbol(
  samples: Int16Array | Int32Array,
  rate: number,
  channels = 1,
  metadata: JsonObject = {},
): StreamSymbol {
  const bits = 8 * samples.BYTES_PER_ELEMENT;
  if (!(Number.isInteger(rate) && rate > 0 && Number.isInteger(channels) && channels > 0)) {
    throw new RangeError(`no such PCM: ${rate} Hz, ${channels} channels`);
  }
  if (samples.length % channels)
    throw new RangeError(`${samples.length} samples are not whole for ${channels} channels`);
  const data = new Uint8Array(samples.byteLength);
  const view = new DataView(data.buffer);
  samples.forEach((sample, n) =>
    bits === 16 ? view.setInt16(2 * n, sample, true) : view.setInt32(4 * n, sample, true),
  );
  return {
    kind: "symbol",
    modality: "audio",
    mimeType: `audio/pcm;rate=${rate};channels=${channels};bits=${bits}`,
    data,
    metadata: { sample_rate: rate, channels, bit_depth: bits, ...metadata },
    timestamp: new Date(),
  };
}

/** The text of a text symbol. Throws `TypeError` if its data is not in its encoding, `RangeError` for an unknown one. */
export function symbolText({ data, mimeType, metadata }: StreamSymbol): string {
  const named = metadata["encoding"] ?? /;\s*charset="?([\w.:-]{1,40})/i.exec(mimeType)?.[1] ?? "utf-8";
  return new TextDecoder(typeof named === "string" ? named : shown(named), { fatal: true }).decode(data);
}

/** The `symbol` coder: the header of a message is an item, and there is no payload beside it. */
export function symbolCoder(): Coder<StreamItem, undefined, StreamItemInput, undefined> {
  return {
    name: "symbol",
    neutral: new Uint8Array(),
    encode(item) {
      if (item.timestamp && Number.isNaN(item.timestamp.getTime())) throw new EncodeError("the timestamp is no time");
      const timestamp = (item.timestamp ?? new Date()).toISOString();
      if (item.kind === "event") {
        const { kind, type, data = {} } = item;
        if (!EVENTS.includes(type))
          throw new EncodeError(`an event is one of ${EVENTS.join(", ")}, not ${shown(type)}`);
        return encodeFrame({ kind, type, timestamp }, stringify(data));
      }
      const { kind, modality, mimeType, data, metadata = {} } = item;
      if (!MODALITIES.includes(modality)) {
        throw new EncodeError(`a modality is one of ${MODALITIES.join(", ")}, not ${shown(modality)}`);
      }
      return encodeFrame({ kind, modality, mime_type: mimeType, timestamp, metadata }, data);
    },
    decode(frame) {
      const header = checked(readHeader, frame.header, refuseHeader("symbol"), frame);
      if (header.kind === "symbol") return { header: { ...header, data: frame.payload }, payload: undefined };
      const data = checked(
        (bytes: Uint8Array) => parse(decodeUtf8(bytes)),
        frame.payload,
        refusePayload("symbol"),
        frame,
      );
      return { header: { ...header, data }, payload: undefined };
    },
  };
}

function readHeader(header: JsonObject): Omit<StreamSymbol, "data"> | Omit<StreamEvent, "data"> {
  const {
    kind,
    type,
    modality,
    mime_type: mimeType,
    metadata = {},
  } = header as Readonly<Record<string, JsonValue | undefined>>;
  const timestamp = readTime(header["timestamp"]);
  if (kind === "event") {
    if (!EVENTS.some((each) => each === type)) throw new TypeError(`there is no event ${shown(type)}`);
    return { kind, type: type as EventType, timestamp };
  }
  if (kind !== "symbol") throw new TypeError(`neither a symbol nor an event: ${shown(kind)}`);
  if (!MODALITIES.some((each) => each === modality)) throw new TypeError(`there is no modality ${shown(modality)}`);
  if (typeof mimeType !== "string" || !isObject(metadata)) throw new TypeError("mime_type or metadata is not right");
  return { kind, modality: modality as Modality, mimeType, metadata, timestamp };
}

const TIME = /^\d{4}-\d\d-\d\dt\d\d:\d\d:\d\d(\.\d+)?(z|[+-]\d\d:\d\d)$/i;

function readTime(text: JsonValue | undefined): Date {
  const time = new Date(typeof text === "string" && TIME.test(text) ? text.toUpperCase() : NaN);
  if (Number.isNaN(time.getTime())) throw new TypeError(`timestamp is a time with a time zone, not ${shown(text)}`);
  return time;
}
