/**
 * Streams over HTTP with fetch (SPEC section 6).
 *
 * The response decides, before a byte of its body: its status, its media type and its parameters are checked, and what
 * is wrong is thrown with the beginning of the body. Then nothing that ends early looks like an end: a response of
 * version 1 must bring its `end` frame, and a connection that breaks becomes `truncated_frame` inside a frame and
 * `stream_incomplete` between two, after every message that was whole. Once the `end` has come the stream is whole,
 * whatever then happens to the connection.
 *
 * **Silence.** A server of version 1 says in its `open` frame how often it will be heard: three of these heartbeats
 * without a byte mean that it is gone. Only time spent waiting for the network counts: a slow reader is no silence.
 *
 * **Never twice.** Nothing is sent again by itself, for a POST that was answered once would be answered twice. What
 * fetch throws where no response came at all is thrown as it is.
 */

import type { AnyCoder } from "./coders/coder.js";
import {
  ContentTypeError,
  type FrameError,
  IdleTimeoutError,
  isStreamErrorCode,
  ResponseError,
  type StreamErrorCode,
  StreamIncompleteError,
} from "./errors.js";
import { type DecodeOptions, StreamDecoder } from "./protocol.js";
import { type Chunks, ignore, MessageStream } from "./stream.js";
import { decodeUtf8, isObject, type JsonObject, type JsonValue, parse, stringifyText } from "./strict-json.js";

/** The content type of a stream of version 1; it has the parameters `v` and `coder`. */
export const MEDIA_TYPE = "application/vnd.objectstreaming";
/** The content type of a plain stream. */
export const PLAIN_MEDIA_TYPE = "application/octet-stream";
/** What is sent as `Accept` unless the caller says otherwise: version 1, or else plain frames. */
export const ACCEPT = "application/vnd.objectstreaming;v=1, application/octet-stream;q=0.5";

const HEARTBEATS = 3; // one lost to a slow hop, one to a busy server
const FIRST_READ = 60_000; // before the open frame: a model that thinks outlasts most timeouts
const LONGEST_SILENCE = 3_600_000; // a peer may promise to be heard once a year; setTimeout overflows at 24 days
const AFTER_END = 1_000; // only the end of the body is missing, and no message depends on it
const PROBLEM_SIZE = 16_384;
const BEGINNING_SIZE = 256;
const BEGINNING_TIME = 5_000;

/** As much of fetch as is used: the global one, undici's, expo/fetch's, a test's. */
export type FetchLike = (url: string, init: FetchInit) => Promise<ResponseLike>;

export interface FetchInit {
  method: string;
  headers: Record<string, string>;
  signal: AbortSignal;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- each fetch has its own type; OpenOptions checks ours
  body?: any;
}

export interface ResponseLike {
  readonly ok: boolean;
  readonly status: number;
  readonly statusText: string;
  readonly headers: { get(name: string): string | null };
  readonly body: ReadableStream<Uint8Array> | null | undefined;
}

/** The rest of what fetch takes (`credentials`, `mode`, `cache`, `redirect`...) goes to it untouched. */
export interface OpenOptions<H, P>
  extends DecodeOptions, Omit<RequestInit, "method" | "headers" | "body" | "signal" | "window"> {
  /** The meaning of headers and payloads: `jsonCoder()`, `talCoder()`, `rawCoder()`. */
  readonly coder: AnyCoder<H, P>;
  /** The question, sent as JSON. */
  readonly json?: unknown;
  /** Or any body that fetch takes: encoded frames, a WAV file, a stream of either. */
  readonly body?: RequestInit["body"];
  /** POST unless given. */
  readonly method?: string | undefined;
  readonly headers?: RequestInit["headers"];
  /** Aborting throws the signal's reason, at once, and closes the connection. */
  readonly signal?: AbortSignal | null | undefined;
  /** Another fetch: `expo/fetch` in React Native, one that adds a token, a test's. */
  readonly fetch?: FetchLike | undefined;
  /**
   * Milliseconds of silence that are too many. Unless given: three of the heartbeats that the server announces, and a
   * minute until it has.
   */
  readonly idleTimeout?: number | undefined;
}

/** The messages of one response: iterate over it, once; or `close` it. */
export class ResponseStream<H, P, R extends ResponseLike = ResponseLike> extends MessageStream<H, P> {
  /** The response as fetch gave it: its status and headers. */
  readonly response: R;

  /** @internal */
  constructor(response: R, decoder: StreamDecoder<H, P>, chunks: Chunks) {
    super(decoder, chunks);
    this.response = response;
  }

  /** Closes the connection, wherever the reading stands. */
  async close(): Promise<void> {
    await this.return();
  }
}

/**
 * Sends a request, a POST unless told otherwise, and resolves to the messages of the answer.
 *
 * Rejects with `ResponseError` for a status that is not 2xx, `ContentTypeError` for an answer that is no stream of this
 * coder's frames, `IdleTimeoutError` where none came in time, the signal's reason, or what fetch rejects with.
 * Iterating throws as `StreamDecoder` does, and `truncated_frame`, `stream_incomplete` or `idle_timeout` for a
 * connection that was cut or fell silent.
 *
 * @example
 * const stream = await openStream("/objects", { json: { question: "why?" }, coder: jsonCoder() });
 * for await (const { payload } of stream) show(payload);
 */
export async function openStream<H, P>(url: string | URL, options: OpenOptions<H, P>): Promise<ResponseStream<H, P>> {
  const { coder, json, limits, requireEnd, idleTimeout, fetch, signal, method, headers, ...rest } = options;
  if (json !== undefined && rest.body != null) throw new TypeError("a request has json or body, not both");
  const connection = new Connection(signal ?? undefined, idleTimeout);
  try {
    if (connection.signal.aborted) throw connection.signal.reason;
    const send: FetchLike = fetch ?? globalThis.fetch; // in a variable: window.fetch minds whose method it is
    const init: FetchInit & { duplex?: string } = {
      ...rest,
      method: method ?? "POST",
      headers: completed(headers, json !== undefined),
      signal: connection.signal,
    };
    if (json !== undefined) init.body = stringifyText(json);
    if (typeof rest.body === "object" && rest.body !== null && "getReader" in rest.body) {
      init.duplex = "half"; // without it fetch refuses a stream
    }
    const response = await connection.within(send(String(url), init), () => connection.silent(0));
    if (!response.ok) throw problem(response, await connection.beginning(response, PROBLEM_SIZE));
    const refusal = refuse(response, coder.name);
    if (refusal) throw notAStream(refusal, response, await connection.beginning(response, BEGINNING_SIZE));
    if (response.body === undefined) {
      throw new TypeError("this fetch gives no stream of the body; in React Native, give `fetch` of expo/fetch");
    }
    const promised = mediaType(response)[0] === MEDIA_TYPE ? true : undefined;
    const decoder = new StreamDecoder(coder, { limits, requireEnd: requireEnd ?? promised });
    return new ResponseStream(response, decoder, connection.chunks(response, decoder));
  } catch (error) {
    connection.close(error);
    throw error;
  }
}

/** One request's life: its abort signal, its timer, and the reading of its body. */
class Connection {
  readonly #controller = new AbortController();
  readonly #caller: AbortSignal | undefined;
  readonly #idleTimeout: number | undefined;
  #limit: number;

  constructor(caller: AbortSignal | undefined, idleTimeout: number | undefined) {
    this.#caller = caller;
    this.#idleTimeout = idleTimeout;
    this.#limit = idleTimeout ?? FIRST_READ;
    if (caller?.aborted) this.#abort();
    caller?.addEventListener("abort", this.#abort);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  readonly #abort = (): void => this.#controller.abort(this.#caller?.reason);

  /** Ends the request, if it has not ended, and lets go of the caller's signal, which may outlive it by far. */
  close(reason?: unknown): void {
    this.#caller?.removeEventListener("abort", this.#abort);
    this.#controller.abort(reason);
  }

  /** `promise`, but no later than the limit of the moment, and not after an abort, whatever fetch makes of its signal. */
  within<T>(promise: Promise<T>, late: () => unknown, limit = this.#limit): Promise<T> {
    const { signal } = this;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => settle(reject, late()), Math.min(limit, LONGEST_SILENCE));
      const aborted = () => settle(reject, signal.reason);
      function settle<V>(how: (value: V) => void, value: V): void {
        clearTimeout(timer);
        signal.removeEventListener("abort", aborted);
        how(value);
      }
      signal.addEventListener("abort", aborted);
      promise.then(
        (value) => settle(resolve, value),
        (error: unknown) => settle(reject, error),
      );
      if (signal.aborted) aborted();
    });
  }

  silent(position: number): IdleTimeoutError {
    const after = `after ${position} data frames`;
    return new IdleTimeoutError(`nothing arrived for ${this.#limit / 1000} s, not even a ping, ${after}`, position);
  }

  chunks<H, P>(response: ResponseLike, decoder: StreamDecoder<H, P>): Chunks {
    const reader = response.body?.getReader();
    return {
      signal: this.#caller,
      read: async () => {
        if (reader === undefined) return undefined;
        this.#adjust(decoder);
        try {
          return (await this.within(reader.read(), () => this.silent(decoder.position))).value;
        } catch (cause) {
          if (this.#caller?.aborted) throw this.#caller.reason;
          if (decoder.ended && decoder.buffered === 0) return undefined; // it was whole already
          throw cut(decoder, cause);
        }
      },
      close: (reason) => {
        reader?.cancel(reason).catch(ignore);
        this.close(reason);
        return Promise.resolve();
      },
    };
  }

  /** Lets reads take as long as the server's `open` says; hardly any time once its `end` has come. */
  #adjust<H, P>(decoder: StreamDecoder<H, P>): void {
    if (decoder.ended) this.#limit = AFTER_END;
    else if (this.#idleTimeout === undefined && decoder.heartbeat !== undefined) {
      this.#limit = Math.min(HEARTBEATS * decoder.heartbeat * 1000, LONGEST_SILENCE);
    }
  }

  /** The first bytes of a body that is no stream of ours, as many as come without much ado. */
  async beginning(response: ResponseLike, size: number): Promise<Uint8Array> {
    const parts: number[] = [];
    const reader = response.body?.getReader();
    const latest = Date.now() + BEGINNING_TIME;
    try {
      while (reader !== undefined && parts.length < size) {
        const { done, value } = await this.within(reader.read(), () => undefined, Math.max(0, latest - Date.now()));
        if (done) break;
        parts.push(...value.subarray(0, size - parts.length));
      }
    } catch {
      if (this.#caller?.aborted) throw this.#caller.reason;
    }
    return Uint8Array.from(parts);
  }
}

/** What it means for the stream that its body could not be read on. */
function cut<H, P>(decoder: StreamDecoder<H, P>, cause: unknown): unknown {
  if (cause instanceof IdleTimeoutError) return cause;
  try {
    decoder.finish();
  } catch (error) {
    if ((error as FrameError).code === "truncated_frame") {
      (error as FrameError).cause = cause;
      return error;
    }
  }
  const why = cause instanceof Error ? cause.message : String(cause);
  const message = `the connection was cut after ${decoder.position} data frames: ${why}`;
  return new StreamIncompleteError(message, decoder.position, { cause });
}

function completed(given: RequestInit["headers"], json: boolean): Record<string, string> {
  const headers = new Headers(given);
  if (!headers.has("accept")) headers.set("accept", ACCEPT);
  if (json && !headers.has("content-type")) headers.set("content-type", "application/json");
  // Compression holds frames back until a block is full, and makes sound larger. A browser ignores this.
  if (!headers.has("accept-encoding")) headers.set("accept-encoding", "identity");
  return Object.fromEntries(headers);
}

/** The content type and its parameters, names in lower case (RFC 9110, section 8.3.1). */
function mediaType(response: ResponseLike): [kind: string, parameters: Map<string, string>] {
  const [kind = "", ...rest] = (response.headers.get("content-type") ?? "").slice(0, 1024).split(";");
  const parameters = new Map<string, string>();
  for (const match of rest.join(";").matchAll(/([^\s;="]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))/g)) {
    const [, name = "", quoted, token = ""] = match;
    const value = quoted === undefined ? token : quoted.replace(/\\(.)/g, "$1");
    if (!parameters.has(name.toLowerCase())) parameters.set(name.toLowerCase(), value);
  }
  return [kind.trim().toLowerCase(), parameters];
}

/** Why the response is no stream that can be read; empty if it is one. */
function refuse(response: ResponseLike, coder: string): string {
  const [kind, parameters] = mediaType(response);
  if (kind !== MEDIA_TYPE && kind !== PLAIN_MEDIA_TYPE) {
    return kind ? `the content type is '${kind}'` : "the response has no Content-Type";
  }
  const v = parameters.get("v");
  if (kind === MEDIA_TYPE && v !== "1") return `the stream is of version '${v ?? ""}', this reader knows '1'`;
  const theirs = parameters.get("coder") ?? coder;
  return theirs === coder ? "" : `the stream's coder is '${theirs}', this reader's '${coder}'`;
}

function notAStream(refusal: string, response: ResponseLike, beginning: Uint8Array): ContentTypeError {
  const begins = beginning.length > 0 ? `the body begins '${excerpt(beginning)}'` : "the body is empty";
  const message = `${refusal}; wanted is ${MEDIA_TYPE};v=1 or ${PLAIN_MEDIA_TYPE}; ${begins}`;
  return new ContentTypeError(message, response.headers.get("content-type") ?? "", beginning);
}

function excerpt(body: Uint8Array): string {
  return new TextDecoder().decode(body).trim().replace(/\s+/g, " ").slice(0, 80);
}

const CODE_FOR_STATUS: Readonly<Record<number, StreamErrorCode>> = {
  400: "invalid_argument",
  401: "unauthenticated",
  403: "permission_denied",
  404: "not_found",
  408: "deadline_exceeded",
  409: "aborted",
  413: "resource_exhausted",
  415: "invalid_argument",
  422: "invalid_argument",
  429: "resource_exhausted",
  499: "canceled",
  500: "internal",
  501: "unimplemented",
  502: "unavailable",
  503: "unavailable",
  504: "deadline_exceeded",
};

/** What a response that is not 2xx says: our own members, FastAPI's `detail`, RFC 9457's `title`, or its text. */
function problem(response: ResponseLike, body: Uint8Array): ResponseError {
  let said: JsonValue;
  try {
    said = parse(decodeUtf8(body));
  } catch {
    said = { message: excerpt(body) };
  }
  if (!isObject(said)) said = {};
  if (isObject(said["detail"])) said = said["detail"];
  let { details } = said;
  const { code } = said;
  const { detail } = said;
  let message = [said["message"], detail, said["title"]].find((text) => typeof text === "string") ?? "";
  // What FastAPI found wrong with the request, an object each.
  if (details == null && Array.isArray(detail)) {
    details = detail;
    const first: unknown = detail[0];
    if (!message && isObject(first)) message = where(first);
  }
  return new ResponseError(
    isStreamErrorCode(code) ? code : (CODE_FOR_STATUS[response.status] ?? "unknown"),
    message === "" ? response.statusText : message,
    details ?? undefined,
    response.status,
    body,
  );
}

/** The place, and what is wrong there. */
function where({ loc, msg }: JsonObject): string {
  return `${Array.isArray(loc) ? loc.join(".") : "request"}: ${typeof msg === "string" ? msg : ""}`;
}
