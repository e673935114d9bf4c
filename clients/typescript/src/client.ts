/**
 * Streams over HTTP with fetch (SPEC section 6).
 *
 * **Checks before the body.** The status, the media type and its parameters are checked first. If one is wrong, the error
 * carries the beginning of the body.
 *
 * **A cut is never an end.** A response of version 1 must have its `end` frame. A connection that breaks is
 * `truncated_frame` inside a frame and `stream_incomplete` between two frames. All whole messages come before the error.
 * After the `end` frame the stream is whole, whatever happens to the connection.
 *
 * **Silence.** A server of version 1 announces a heartbeat in its `open` frame. If no byte arrives during three
 * heartbeats, the read fails. Only the time spent waiting for the network counts, so a slow reader causes no timeout.
 *
 * **Never twice.** A request is never sent again: a second POST would start a second stream. If there is no response, the
 * error of fetch is thrown unchanged.
 */

import type { AnyCoder } from "./coders/coder.js";
import {
  ContentTypeError,
  type FrameError,
  type HeadersLike,
  IdleTimeoutError,
  isStreamErrorCode,
  ResponseError,
  type StreamErrorCode,
  StreamIncompleteError,
} from "./errors.js";
import { type DecodeOptions, StreamDecoder } from "./protocol.js";
import { type Chunks, ignore, MessageStream } from "./stream.js";
import { decodeUtf8, isObject, type JsonObject, type JsonValue, parse, reason, stringifyText } from "./strict-json.js";

/** The content type of a stream of version 1. Its parameters are `v` and `coder`. */
export const MEDIA_TYPE = "application/vnd.objectstreaming";
/** The content type of a plain stream. */
export const PLAIN_MEDIA_TYPE = "application/octet-stream";
/** The default `Accept` header: version 1 is preferred, a plain stream is accepted. */
export const ACCEPT = "application/vnd.objectstreaming;v=1, application/octet-stream;q=0.5";

const HEARTBEATS = 3; // one may be lost on a slow network, one to a busy server
const FIRST_READ = 60_000; // before the open frame; long, because a model may need time for its first word
const LONGEST_SILENCE = 3_600_000; // the upper bound, whatever heartbeat is announced; setTimeout overflows at 24 days
const AFTER_END = 1_000; // only the end of the body is missing, and no message depends on it
const PROBLEM_SIZE = 16_384;
const BEGINNING_SIZE = 256;
const BEGINNING_TIME = 5_000;

/** The part of fetch that is used. The global fetch fits, and so do those of undici and of expo/fetch. */
export type FetchLike = (url: string, init: FetchInit) => Promise<ResponseLike>;

export interface FetchInit {
  method: string;
  headers: Record<string, string>;
  signal: AbortSignal;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- each fetch has its own type; OpenOptions has the real one
  body?: any;
}

export interface ResponseLike {
  readonly ok: boolean;
  readonly status: number;
  readonly statusText: string;
  readonly headers: HeadersLike;
  readonly body: ReadableStream<Uint8Array> | null | undefined;
}

/** All other options of fetch (`credentials`, `mode`, `cache`, `redirect`...) are passed on to it unchanged. */
export interface OpenOptions<H, P>
  extends DecodeOptions, Omit<RequestInit, "method" | "headers" | "body" | "signal" | "window"> {
  /** The meaning of headers and payloads: `jsonCoder()`, `talCoder()`, `rawCoder()`. */
  readonly coder: AnyCoder<H, P>;
  /** A value to send as JSON. */
  readonly json?: unknown;
  /** Any other body that fetch takes: encoded frames, a WAV file, a stream of either. */
  readonly body?: RequestInit["body"];
  /** The default is POST. */
  readonly method?: string | undefined;
  readonly headers?: RequestInit["headers"];
  /** When it aborts, the reason of the signal is thrown at once, and the connection is closed. */
  readonly signal?: AbortSignal | null | undefined;
  /** Another fetch: `expo/fetch` in React Native, one that adds a token, one for a test. */
  readonly fetch?: FetchLike | undefined;
  /**
   * How long to wait for the next byte, in milliseconds. The default is three of the heartbeats that the server
   * announces, and one minute before it has announced them.
   */
  readonly idleTimeout?: number | undefined;
}

/** The messages of one response. Iterate over it once, or `close` it. */
export class ResponseStream<H, P, R extends ResponseLike = ResponseLike> extends MessageStream<H, P> {
  /** The response of fetch, with its status and headers. */
  readonly response: R;

  /** @internal */
  constructor(response: R, decoder: StreamDecoder<H, P>, chunks: Chunks) {
    super(decoder, chunks);
    this.response = response;
  }

  /** Closes the connection, also before the end of the stream. */
  async close(): Promise<void> {
    await this.return();
  }
}

/**
 * Sends a request, a POST by default, and resolves to the messages of the answer.
 *
 * It rejects with `ResponseError` for a status that is not 2xx, `ContentTypeError` for an answer that is not a stream of
 * this coder, `IdleTimeoutError` if no response arrived in time, the reason of the signal, or the error of fetch.
 * Iterating throws the errors of `StreamDecoder`, and `truncated_frame`, `stream_incomplete` or `idle_timeout` for a
 * connection that was cut or has fallen silent.
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
    const send: FetchLike = fetch ?? globalThis.fetch; // window.fetch must be called without another `this`
    const init: FetchInit & { duplex?: string } = {
      ...rest,
      method: method ?? "POST",
      headers: completed(headers, json !== undefined),
      signal: connection.signal,
    };
    if (json !== undefined) init.body = stringifyText(json);
    if (typeof rest.body === "object" && rest.body !== null && "getReader" in rest.body) {
      init.duplex = "half"; // fetch requires it for a stream
    }
    const response = await connection.within(send(String(url), init), () => connection.noResponse());
    if (!response.ok) throw problem(response, await connection.beginning(response, PROBLEM_SIZE));
    const refusal = refuse(response, coder.name);
    if (refusal) throw notAStream(refusal, response, await connection.beginning(response, BEGINNING_SIZE));
    if (response.body === undefined) {
      throw new TypeError("this fetch returns no stream of the body; in React Native, use the `fetch` of expo/fetch");
    }
    const promised = mediaType(response)[0] === MEDIA_TYPE ? true : undefined;
    const decoder = new StreamDecoder(coder, { limits, requireEnd: requireEnd ?? promised });
    return new ResponseStream(response, decoder, connection.chunks(response, decoder));
  } catch (error) {
    connection.close(error);
    throw error;
  }
}

/** One request: its abort signal, its timer, and the reading of its body. */
class Connection {
  readonly #controller = new AbortController();
  readonly #caller: AbortSignal | undefined;
  readonly #idleTimeout: number | undefined;
  #limit: number;
  #unfollow: (() => void) | undefined;

  constructor(caller: AbortSignal | undefined, idleTimeout: number | undefined) {
    this.#caller = caller;
    this.#idleTimeout = idleTimeout;
    this.#limit = idleTimeout ?? FIRST_READ;
    if (caller?.aborted) this.#controller.abort(caller.reason);
    else if (caller) this.#unfollow = follow(caller, () => this.#controller.abort(caller.reason));
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Ends the request, if it has not ended, and forgets the caller's signal, which may exist longer. */
  close(reason?: unknown): void {
    this.#unfollow?.();
    this.#controller.abort(reason);
  }

  /** `promise`, but rejected after the current limit, and on an abort, even if fetch ignores its signal. */
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

  noResponse(): IdleTimeoutError {
    return new IdleTimeoutError(`no response arrived for ${seconds(this.#limit)}`, 0);
  }

  silence(position: number): IdleTimeoutError {
    const after = `after ${position} data frames`;
    return new IdleTimeoutError(`nothing arrived for ${seconds(this.#limit)}, not even a ping, ${after}`, position);
  }

  chunks<H, P>(response: ResponseLike, decoder: StreamDecoder<H, P>): Chunks {
    const reader = response.body?.getReader();
    return {
      signal: this.#caller,
      read: async () => {
        if (reader === undefined) return undefined;
        this.#adjust(decoder);
        try {
          return (await this.within(reader.read(), () => this.silence(decoder.position))).value;
        } catch (cause) {
          if (this.#caller?.aborted) throw this.#caller.reason;
          if (decoder.ended && decoder.buffered === 0) return undefined; // the stream is whole
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

  /** Sets the limit for the next read: from the heartbeat of `open`, and a short one after the `end`. */
  #adjust<H, P>(decoder: StreamDecoder<H, P>): void {
    if (decoder.ended) this.#limit = AFTER_END;
    else if (this.#idleTimeout === undefined && decoder.heartbeat !== undefined) {
      this.#limit = Math.min(HEARTBEATS * decoder.heartbeat * 1000, LONGEST_SILENCE);
    }
  }

  /** The first bytes of a body that is not a stream, as many as arrive in time. */
  async beginning(response: ResponseLike, size: number): Promise<Uint8Array<ArrayBuffer>> {
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

interface Followers {
  readonly all: Set<() => void>;
  readonly listener: () => void;
}
const followers = /* @__PURE__ */ new WeakMap<AbortSignal, Followers>();

/**
 * Calls `abort` when the signal aborts, until the returned function is called. A signal has one listener, however many
 * streams it has: Node warns of a leak at the eleventh.
 */
function follow(signal: AbortSignal, abort: () => void): () => void {
  let shared = followers.get(signal);
  if (shared === undefined) {
    const all = new Set<() => void>();
    shared = { all, listener: () => all.forEach((each) => each()) };
    followers.set(signal, shared);
    signal.addEventListener("abort", shared.listener);
  }
  const { all, listener } = shared;
  all.add(abort);
  return () => {
    if (!all.delete(abort) || all.size > 0) return;
    signal.removeEventListener("abort", listener);
    followers.delete(signal);
  };
}

/** A time in milliseconds, as seconds for a message. */
function seconds(ms: number): string {
  return `${Number((ms / 1000).toPrecision(6))} s`;
}

/** The error of a stream whose body broke. */
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
  const message = `the connection was cut after ${decoder.position} data frames: ${reason(cause)}`;
  return new StreamIncompleteError(message, decoder.position, { cause });
}

function completed(given: RequestInit["headers"], json: boolean): Record<string, string> {
  const headers = new Headers(given);
  if (!headers.has("accept")) headers.set("accept", ACCEPT);
  if (json && !headers.has("content-type")) headers.set("content-type", "application/json");
  // Compression holds frames back until a block is full, and makes audio larger. A browser ignores this header.
  if (!headers.has("accept-encoding")) headers.set("accept-encoding", "identity");
  return Object.fromEntries(headers);
}

/** The content type and its parameters, with names in lower case (RFC 9110, section 8.3.1). */
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

/** The reason why the response is not a stream of this coder. Empty if it is one. */
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

function notAStream(refusal: string, response: ResponseLike, beginning: Uint8Array<ArrayBuffer>): ContentTypeError {
  const begins = beginning.length > 0 ? `the body begins '${excerpt(beginning)}'` : "the body is empty";
  const message = `${refusal}; expected ${MEDIA_TYPE};v=1 or ${PLAIN_MEDIA_TYPE}; ${begins}`;
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

/**
 * The error of a response whose status is not 2xx. The message is taken from the specification's own members, from
 * `detail` as FastAPI uses it, from the `title` of RFC 9457, or from the text of the body.
 */
function problem(response: ResponseLike, body: Uint8Array<ArrayBuffer>): ResponseError {
  let members: JsonValue;
  try {
    members = parse(decodeUtf8(body));
  } catch {
    members = { message: excerpt(body) };
  }
  if (!isObject(members)) members = {};
  if (isObject(members["detail"])) members = members["detail"];
  let { details } = members;
  const { code } = members;
  const { detail } = members;
  let message = [members["message"], detail, members["title"]].find((text) => typeof text === "string") ?? "";
  // What FastAPI found wrong with the request: an object for each error.
  if (details == null && Array.isArray(detail)) {
    details = detail;
    const first: unknown = detail[0];
    if (!message && isObject(first)) message = firstError(first);
  }
  return new ResponseError(
    isStreamErrorCode(code) ? code : (CODE_FOR_STATUS[response.status] ?? "unknown"),
    message === "" ? response.statusText : message,
    details ?? undefined,
    response.status,
    body,
    response.headers,
  );
}

/** The place of an error that FastAPI reports, and what is wrong there. */
function firstError({ loc, msg }: JsonObject): string {
  return `${Array.isArray(loc) ? loc.join(".") : "request"}: ${typeof msg === "string" ? msg : ""}`;
}
