/**
 * The error tree (SPEC section 5). Use `code` to distinguish errors. It also works if a program has two copies of this
 * package, where `instanceof` does not.
 *
 *     ObjectStreamError
 *     ├── FrameError                  the bytes are not frames; the decoder has failed
 *     ├── PayloadError                the frame is valid, the payload is not; the stream can continue
 *     ├── ProtocolError               the frames are valid, the stream is not; the decoder has failed
 *     ├── StreamIncompleteError       the stream stopped between two frames, before its end
 *     │   └── IdleTimeoutError        nothing arrived for too long, not even a ping
 *     ├── StreamError                 the peer reported an error: one of sixteen codes, a message, details
 *     │   └── ResponseError           the peer reported an error by its HTTP status, before the first frame
 *     ├── ContentTypeError            the response is not a stream of frames
 *     └── EncodeError                 the message cannot be sent; no byte was sent
 *
 * `index` is the number of the frame in the stream, from 0. Control frames count. `offset` is the byte of the stream,
 * from 0: the first byte of the wrong length word for `invalid_length`, `frame_too_large` and `header_too_large`, else
 * the first byte of the frame.
 */

/** The root of the tree: all errors of this package about streams are instances of it. */
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

/** The bytes are not frames. `code`, `index` and `offset` tell what is wrong, in which frame, at which byte. */
export class FrameError extends ObjectStreamError {
  override readonly name = "FrameError";
  declare readonly code: FrameErrorCode;
  readonly index: number;
  readonly offset: number;

  constructor(code: FrameErrorCode, message: string, index = 0, offset = 0, options?: ErrorOptions) {
    super(code, `${message} (${code}, frame ${index}, byte ${offset})`, options);
    this.index = index;
    this.offset = offset;
  }
}

/** The frame is valid, but its payload is not what the coder reads. The stream can continue. */
export class PayloadError extends ObjectStreamError {
  override readonly name = "PayloadError";
  declare readonly code: "invalid_payload";
  readonly index: number;
  readonly offset: number;

  constructor(message: string, index = 0, offset = 0, options?: ErrorOptions) {
    super("invalid_payload", `${message} (invalid_payload, frame ${index}, byte ${offset})`, options);
    this.index = index;
    this.offset = offset;
  }
}

export type ProtocolErrorCode = "invalid_control" | "frame_after_end" | "count_mismatch" | "order_gap";

/** The frames are valid, but not a valid stream. */
export class ProtocolError extends ObjectStreamError {
  override readonly name = "ProtocolError";
  declare readonly code: ProtocolErrorCode;
  readonly index: number;

  constructor(code: ProtocolErrorCode, message: string, index = 0) {
    super(code, `${message} (${code}, frame ${index})`);
    this.index = index;
  }
}

/** The stream stopped between two frames, before its end. `position` is the position to resume from. */
export class StreamIncompleteError extends ObjectStreamError {
  override readonly name: string = "StreamIncompleteError";
  declare readonly code: "stream_incomplete" | "idle_timeout";
  readonly position: number;

  constructor(message: string, position: number, options?: ErrorOptions, code = "stream_incomplete") {
    super(code, message, options);
    this.position = position;
  }
}

/** Nothing arrived for longer than the heartbeat of the peer allows, not even a ping. */
export class IdleTimeoutError extends StreamIncompleteError {
  override readonly name = "IdleTimeoutError";
  declare readonly code: "idle_timeout";

  constructor(message: string, position: number) {
    super(message, position, undefined, "idle_timeout");
  }
}

/**
 * The sixteen codes with which a peer reports an error (SPEC section 5.4), each with the HTTP status for an error before
 * the first frame. They are the error codes of the Connect protocol (connectrpc.com/docs/protocol).
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

/** The error that the peer reported; or, given to `StreamEncoder.end`, the one to report. `details` is any JSON value. */
export class StreamError extends ObjectStreamError {
  override readonly name: string = "StreamError";
  declare readonly code: StreamErrorCode;
  /** The message of the peer, without the code. */
  readonly rawMessage: string;
  readonly details: unknown;

  constructor(code: StreamErrorCode, message = "", details?: unknown) {
    super(code, message === "" ? code : `${code}: ${message}`);
    this.rawMessage = message;
    this.details = details;
  }
}

/** @internal The error that a peer reports, from what may be anything. A code of a later version is an error too. */
export function reportedError({ code, message, details }: Readonly<Record<string, unknown>>): StreamError {
  return new StreamError(
    isStreamErrorCode(code) ? code : "unknown",
    typeof message === "string" ? message : "",
    details,
  );
}

/** The part of `Headers` that is used, which the headers of every fetch have. */
export interface HeadersLike {
  /** The value of a header, whatever the case of its name. `null` if it is absent. */
  get(name: string): string | null;
}

/**
 * A response with a status that is not 2xx, its problem decoded. `body` is the beginning of its body, `headers` are the
 * headers of the response.
 *
 * `retryAfter` is the number of seconds to wait before the next request, counted from the response (`Retry-After`, RFC 9110,
 * section 10.2.3). It is `undefined` if the server did not say it. A browser shows this header of another origin only if
 * that origin exposes it (`Access-Control-Expose-Headers`).
 */
export class ResponseError extends StreamError {
  override readonly name = "ResponseError";
  readonly status: number;
  readonly body: Uint8Array<ArrayBuffer>;
  readonly headers: HeadersLike;
  readonly retryAfter: number | undefined;

  constructor(
    code: StreamErrorCode,
    message: string,
    details: unknown,
    status: number,
    body: Uint8Array<ArrayBuffer> = new Uint8Array(),
    headers: HeadersLike = new Headers(),
  ) {
    super(code, message, details);
    this.message = `HTTP ${status}, ${this.message}`;
    this.status = status;
    this.body = body;
    this.headers = headers;
    this.retryAfter = secondsOf(headers.get("retry-after"), headers.get("date"));
  }
}

/** The seconds of a `Retry-After`: a number of them, or a date. A date is compared with the clock of its server. */
function secondsOf(retryAfter: string | null, date: string | null): number | undefined {
  const value = retryAfter?.trim() ?? "";
  if (/^\d+$/.test(value)) return Number(value);
  const until = /^\w+, /.test(value) ? Date.parse(value) : NaN; // Date.parse alone takes nearly anything
  if (Number.isNaN(until)) return undefined;
  return Math.max(0, (until - (Date.parse(date ?? "") || Date.now())) / 1000);
}

/** A successful response that is not a stream of this coder. `beginning` is the beginning of its body. */
export class ContentTypeError extends ObjectStreamError {
  override readonly name = "ContentTypeError";
  declare readonly code: "unexpected_content_type";
  readonly contentType: string;
  readonly beginning: Uint8Array<ArrayBuffer>;

  constructor(message: string, contentType: string, beginning: Uint8Array<ArrayBuffer>) {
    super("unexpected_content_type", message);
    this.contentType = contentType;
    this.beginning = beginning;
  }
}

/** The message cannot be sent. No byte was sent, and nothing has changed. */
export class EncodeError extends ObjectStreamError {
  override readonly name = "EncodeError";
  declare readonly code: "encode_error";

  constructor(message: string, options?: ErrorOptions) {
    super("encode_error", message, options);
  }
}
