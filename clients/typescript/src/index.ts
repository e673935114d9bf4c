/** @objectstreaming/client: streams of JSON, speech and bytes in length-prefixed frames. */

export { ACCEPT, type FetchInit, type FetchLike, type OpenOptions, openStream, ResponseStream } from "./client.js";
export type { AnyCoder, Coder, Message, OrderCheck } from "./coders/coder.js";
export { type JsonCoderOptions, jsonCoder } from "./coders/json.js";
export { rawCoder } from "./coders/raw.js";
export { type Samples, type TalAudio, talAudio, talCoder } from "./coders/tal.js";
export {
  ContentTypeError,
  EncodeError,
  FrameError,
  type FrameErrorCode,
  type HeadersLike,
  HTTP_STATUS,
  IdleTimeoutError,
  isStreamErrorCode,
  ObjectStreamError,
  PayloadError,
  ProtocolError,
  type ProtocolErrorCode,
  ResponseError,
  StreamError,
  type StreamErrorCode,
  StreamIncompleteError,
} from "./errors.js";
export { type Bytes, encodeFrame, Frame, FrameDecoder, type Layout, type Limits } from "./frames.js";
export { type DecodeOptions, isControlFrame, StreamDecoder, StreamEncoder } from "./protocol.js";
export { MEDIA_TYPE, PLAIN_MEDIA_TYPE, type ResponseLike } from "./response.js";
export type { Interruption, Place } from "./resuming.js";
export {
  type ByteSource,
  decodeStream,
  type EncodeOptions,
  FrameDecoderStream,
  MessageDecoderStream,
  MessageEncoderStream,
  MessageStream,
} from "./stream.js";
export type { JsonObject, JsonValue } from "./strict-json.js";
