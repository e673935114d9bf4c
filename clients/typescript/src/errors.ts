/**
 * The error tree (SPEC section 5). `code` tells errors apart, also across copies of this package, where
 * `instanceof` does not.
 *
 *     ObjectStreamError               code
 *     ├── FrameError                  the bytes are not frames; the decoder is dead
 *     ├── PayloadError                framing sound, payload not; the stream may go on
 *     ├── ProtocolError               right frames in a wrong stream
 *     ├── StreamIncompleteError       a clean boundary, but the promised end never came
 *     │   └── IdleTimeoutError        nothing, not even a ping, for too long
 *     ├── StreamError                 the peer said that it failed: one of sixteen codes, message, details
 *     │   └── ResponseError           it said so by HTTP status, before the first frame
 *     ├── ContentTypeError            the response is no stream of frames
 *     └── EncodeError                 ours, before a byte leaves
 *
 * `index` counts the frames of the stream from 0, control frames included. `offset` counts its bytes from 0: the
 * length word at fault for `invalid_length`, `frame_too_large` and `header_too_large`, else the frame's first byte.
 */

/** The root: `error instanceof ObjectStreamError` is true of all that this package throws about a stream. */
export class ObjectStreamError extends Error {
  override readonly name: string = "ObjectStreamError";
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

export type FrameErrorCode =
  "invalid_length" | "frame_too_large" | "header_too_large" | "invalid_header" | "truncated_frame";

/** The bytes are not frames: `code`, `index` and `offset` say what is wrong, at which frame, at which byte. */
export class FrameError extends ObjectStreamError {
  override readonly name = "FrameError";
  declare readonly code: FrameErrorCode;
  readonly index: number;
  readonly offset: number;

  constructor(code: FrameErrorCode, message: string, index = 0, offset = 0, options?: ErrorOptions) {
    super(code, `${message} (frame ${index}, byte ${offset})`, options);
    this.index = index;
    this.offset = offset;
  }
}

/** A frame whose framing is sound and whose payload is not what its coder reads. The stream may go on. */
export class PayloadError extends ObjectStreamError {
  override readonly name = "PayloadError";
  declare readonly code: "invalid_payload";
  readonly index: number;
  readonly offset: number;

  constructor(message: string, index = 0, offset = 0, options?: ErrorOptions) {
    super("invalid_payload", `${message} (frame ${index}, byte ${offset})`, options);
    this.index = index;
    this.offset = offset;
  }
}

export type ProtocolErrorCode = "invalid_control" | "frame_after_end" | "count_mismatch" | "order_gap";

/** Right frames in a wrong stream. */
export class ProtocolError extends ObjectStreamError {
  override readonly name = "ProtocolError";
  declare readonly code: ProtocolErrorCode;
  readonly index: number;

  constructor(code: ProtocolErrorCode, message: string, index = 0) {
    super(code, `${message} (frame ${index})`);
    this.index = index;
  }
}

/** The stream stopped on a frame boundary, but its end never came. `position`: what to resume after. */
export class StreamIncompleteError extends ObjectStreamError {
  override readonly name: string = "StreamIncompleteError";
  declare readonly code: "stream_incomplete" | "idle_timeout";
  readonly position: number;

  constructor(message: string, position: number, options?: ErrorOptions, code = "stream_incomplete") {
    super(code, message, options);
    this.position = position;
  }
}

/** Nothing arrived, not even a ping, for longer than the peer's heartbeat allows. */
export class IdleTimeoutError extends StreamIncompleteError {
  override readonly name = "IdleTimeoutError";
  declare readonly code: "idle_timeout";

  constructor(message: string, position: number) {
    super(message, position, undefined, "idle_timeout");
  }
}

/**
 * The sixteen codes of a stream's end, each with the HTTP status for a failure before the first frame.
 * Source: the error codes of the Connect protocol (connectrpc.com/docs/protocol).
 */
export const HTTP_STATUS = {
  canceled: 499,
  unknown: 500,
  invalid_argument: 400,
  deadline_exceeded: 504,
  not_found: 404,
  already_exists: 409,
  permission_denied: 403,
  resource_exhausted: 429,
  failed_precondition: 400,
  aborted: 409,
  out_of_range: 400,
  unimplemented: 501,
  internal: 500,
  unavailable: 503,
  data_loss: 500,
  unauthenticated: 401,
} as const;

export type StreamErrorCode = keyof typeof HTTP_STATUS;

export function isStreamErrorCode(code: unknown): code is StreamErrorCode {
  return typeof code === "string" && Object.hasOwn(HTTP_STATUS, code);
}

/** The peer said that it failed; or, given to `StreamEncoder.end`, that we did. `details` is any JSON value. */
export class StreamError extends ObjectStreamError {
  override readonly name: string = "StreamError";
  declare readonly code: StreamErrorCode;
  /** What the peer said, as it said it. */
  readonly rawMessage: string;
  readonly details: unknown;

  constructor(code: StreamErrorCode, message = "", details?: unknown) {
    super(code, message === "" ? code : `${code}: ${message}`);
    this.rawMessage = message;
    this.details = details;
  }
}

/** A response whose status is not 2xx, its problem decoded; `body` is the beginning of what it carried. */
export class ResponseError extends StreamError {
  override readonly name = "ResponseError";
  readonly status: number;
  readonly body: Uint8Array;

  constructor(code: StreamErrorCode, message: string, details: unknown, status: number, body: Uint8Array) {
    super(code, message, details);
    this.message = `HTTP ${status}, ${this.message}`;
    this.status = status;
    this.body = body;
  }
}

/** A response that succeeded, but is no stream that can be read here; `beginning` is how its body starts. */
export class ContentTypeError extends ObjectStreamError {
  override readonly name = "ContentTypeError";
  declare readonly code: "unexpected_content_type";
  readonly contentType: string;
  readonly beginning: Uint8Array;

  constructor(message: string, contentType: string, beginning: Uint8Array) {
    super("unexpected_content_type", message);
    this.contentType = contentType;
    this.beginning = beginning;
  }
}

/** What was asked to be sent cannot be: thrown before a byte leaves, and nothing has changed. */
export class EncodeError extends ObjectStreamError {
  override readonly name = "EncodeError";
  declare readonly code: "encode_error";

  constructor(message: string, options?: ErrorOptions) {
    super("encode_error", message, options);
  }
}
