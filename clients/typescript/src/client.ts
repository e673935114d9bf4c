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
 * error of fetch is thrown unchanged. With `resume`, the rest of a stream that was cut is asked for with GET, where the
 * `open` frame says (resuming.ts).
 */

import type { AnyCoder, Message } from "./coders/coder.js";
import { Connection, follow } from "./connection.js";
import type { Bytes } from "./frames.js";
import { type DecodeOptions, StreamDecoder } from "./protocol.js";
import { MEDIA_TYPE, mediaType, notAStream, problem, refuse, type ResponseLike } from "./response.js";
import { type Interruption, isPlace, pause, type Place, restUrl, Resumption, resumeUrl } from "./resuming.js";
import { type Chunks, MessageStream, type ResponseDecoder } from "./stream.js";
import { type JsonObject, stringifyText } from "./strict-json.js";

/** The default `Accept` header: version 1 is preferred, a plain stream is accepted. */
export const ACCEPT = "application/vnd.objectstreaming;v=1, application/octet-stream;q=0.5";

const PROBLEM_SIZE = 16_384;
const BEGINNING_SIZE = 256;

/** The part of fetch that is used. The global fetch fits, and so do those of undici and of expo/fetch. */
export type FetchLike = (url: string, init: FetchInit) => Promise<ResponseLike>;

export interface FetchInit {
  method: string;
  headers: Record<string, string>;
  signal: AbortSignal;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- each fetch has its own type; OpenOptions has the real one
  body?: any;
}

/** All other options of fetch (`credentials`, `mode`, `cache`, `redirect`...) are passed on to it unchanged. */
export interface OpenOptions<H, P> extends DecodeOptions, InitOfFetch {
  /** The meaning of headers and payloads: `jsonCoder()`, `talCoder()`, `rawCoder()`. */
  readonly coder: AnyCoder<H, P>;
  /** A value to send as JSON. */
  readonly json?: unknown;
  /** Any other body that fetch takes: encoded frames, a WAV file, a stream of either. */
  readonly body?: RequestInit["body"];
  /** The default is POST. */
  readonly method?: string | undefined;
  /** A function is called for each request, a resumption too: it may give a new token. */
  readonly headers?: RequestInit["headers"] | (() => RequestInit["headers"] | Promise<RequestInit["headers"]>);
  /** When it aborts, the reason of the signal is thrown at once, and the connection is closed. */
  readonly signal?: AbortSignal | null | undefined;
  /** Another fetch: `expo/fetch` in React Native, one that adds a token, one for a test. */
  readonly fetch?: FetchLike | undefined;
  /**
   * How long to wait for the next byte, in milliseconds. The default is three of the heartbeats that the server
   * announces, and one minute before it has announced them.
   */
  readonly idleTimeout?: number | undefined;
  /**
   * When the connection breaks or falls silent, continue where it was, if the server keeps the stream. It gives up after so
   * many seconds without a message; `true` means 300.
   */
  readonly resume?: boolean | number | undefined;
  /** Called before each pause after which the stream is asked for again. */
  readonly onInterruption?: ((interruption: Interruption) => void) | undefined;
}

/** The messages of a response, and of those that continue it. Iterate over it once, or `close` it. */
export class ResponseStream<H, P, R extends ResponseLike = ResponseLike> extends MessageStream<H, P> {
  readonly #responses: Responses<H, P>;

  /** @internal */
  constructor(responses: Responses<H, P>) {
    super(responses, responses);
    this.#responses = responses;
  }

  /** The response of fetch, with its status and headers. After a resumption it is the newest one. */
  get response(): R {
    return this.#responses.response as R;
  }

  /**
   * Where to continue later, also after a reload: `openStream(place, options)`. `undefined` if the server has not said that
   * it keeps the stream.
   */
  get place(): Place | undefined {
    return this.#responses.place;
  }

  /** Leaves the stream: closes the connection, also before the end. A stream that the server keeps goes on there. */
  async close(): Promise<void> {
    await this.return();
  }

  /**
   * Ends a stream that the server keeps, for all its readers (DELETE): they get a `StreamError` with `canceled`. Rejects with
   * `ResponseError`, the error of fetch, or a `TypeError` if the server does not keep the stream: then `close` is what ends it.
   */
  async stop(): Promise<void> {
    await this.#responses.stop();
  }
}

/**
 * Sends a request, a POST by default, and resolves to the messages of the answer.
 *
 * It rejects with `ResponseError` for a status that is not 2xx, `ContentTypeError` for an answer that is not a stream of
 * this coder, `IdleTimeoutError` if no response arrived in time, the reason of the signal, or the error of fetch.
 * Iterating throws the errors of `StreamDecoder`, and `truncated_frame`, `stream_incomplete` or `idle_timeout` for a
 * connection that was cut or has fallen silent. With `resume` it throws them only where the stream cannot be resumed, and
 * `StreamError` with `data_loss` if the server continues too late.
 *
 * Instead of a URL it takes a place, the `place` of an earlier stream. It asks for the messages after it with GET.
 *
 * @example
 * const stream = await openStream("/objects", { json: { question: "why?" }, coder: jsonCoder(), resume: true });
 * for await (const { payload } of stream) show(payload);
 */
export async function openStream<H, P>(
  url: string | URL | Place,
  options: OpenOptions<H, P>,
): Promise<ResponseStream<H, P>> {
  return await openWith(url, options);
}

/** @internal What else the answer to the first request may be: `decoder` gives the one for a media type. */
export interface Others<H, P> {
  readonly accept: string;
  readonly decoder: (type: string) => ResponseDecoder<H, P> | undefined;
}

/** @internal */
export async function openWith<H, P>(
  url: string | URL | Place,
  options: OpenOptions<H, P>,
  others?: Others<H, P>,
): Promise<ResponseStream<H, P>> {
  const responses = new Responses(url, options, others);
  await responses.begin();
  return new ResponseStream(responses);
}

/** One stream over one or more responses: a source of chunks, and the decoder that belongs to them. */
class Responses<H, P> implements Chunks {
  readonly signal: AbortSignal | undefined; // the caller's
  readonly #options: OpenOptions<H, P>;
  readonly #others: Others<H, P> | undefined;
  readonly #init: InitOfFetch;
  readonly #url: string; // of the first request
  readonly #strict: boolean; // whether the positions must follow one another
  readonly #resumption: Resumption;
  readonly #left = new AbortController(); // aborts requests and pauses when the stream is left
  readonly #unfollow: (() => void) | undefined;
  #place: string | undefined;
  #decoder: ResponseDecoder<H, P> | undefined;
  #chunks: Chunks | undefined;
  #asked = ""; // the URL of the current response
  #response: ResponseLike | undefined;
  #unanswered = false; // the last request got no response

  constructor(url: string | URL | Place, options: OpenOptions<H, P>, others: Others<H, P> | undefined) {
    const { json, body, method, resume, signal } = options;
    if (json !== undefined && body != null) throw new TypeError("a request has json or body, not both");
    const [place, plain] = isPlace(url) ? [url, url.url] : [undefined, url];
    if (place && (json !== undefined || body != null || method !== undefined)) {
      throw new TypeError("a place is asked for with GET: it takes no method, json or body");
    }
    this.#options = options;
    this.#others = others;
    this.#init = optionsOfFetch(options);
    this.#url = String(plain);
    this.#place = place?.url;
    this.#strict = Boolean(resume) || place !== undefined;
    this.#resumption = new Resumption(resume ?? false, place?.position ?? 0);
    this.signal = signal ?? undefined;
    const leave = () => this.#left.abort(this.signal?.reason);
    if (signal?.aborted) leave();
    else if (signal) this.#unfollow = follow(signal, leave);
  }

  get response(): ResponseLike {
    return this.#response as ResponseLike;
  }

  get position(): number {
    return this.#resumption.position;
  }

  get trailers(): JsonObject | undefined {
    return this.#decoder?.trailers;
  }

  get metadata(): JsonObject {
    return this.#decoder?.metadata ?? {};
  }

  get heartbeat(): number | undefined {
    return this.#decoder?.heartbeat;
  }

  get place(): Place | undefined {
    const resume = this.#decoder?.resume;
    if (resume !== undefined) this.#place = resumeUrl(resume, this.#response?.url, this.#asked) ?? this.#place;
    return this.#place === undefined ? undefined : { url: this.#place, position: this.position };
  }

  async begin(): Promise<void> {
    try {
      const { json, body, method = "POST" } = this.#options;
      if (this.#place === undefined) await this.#ask(this.#url, method, { json, body });
      while (this.#chunks === undefined) await this.#askForRest().catch((error: unknown) => this.#interrupted(error));
    } catch (error) {
      await this.close(error);
      throw error;
    }
  }

  push(chunk: Bytes): void {
    this.#decoder?.push(chunk);
  }

  nextMessage(): Message<H, P> | undefined {
    const decoder = this.#decoder as ResponseDecoder<H, P>;
    for (;;) {
      let message: Message<H, P> | undefined;
      try {
        message = decoder.nextMessage();
      } catch (error) {
        if ((error as { code?: unknown }).code === "invalid_payload" && !this.#isNew(decoder.position)) continue;
        throw error;
      }
      if (message === undefined) {
        if (!this.#strict) this.#resumption.position = decoder.position;
        this.#resumption.reached(decoder.position);
        return undefined;
      }
      if (this.#isNew(decoder.position)) return message;
    }
  }

  #isNew(position: number): boolean {
    if (!this.#strict) this.#resumption.position = position - 1;
    return this.#resumption.isNew(position);
  }

  /** The next bytes, of the next response if this one has broken. */
  async read(): Promise<Bytes | undefined> {
    for (;;) {
      try {
        if (this.#chunks === undefined) await this.#askForRest();
        const chunk = await this.#chunks?.read();
        if (chunk !== undefined) return chunk;
        this.#decoder?.finish();
        this.#resumption.ended(this.#decoder?.position ?? 0);
        return undefined;
      } catch (error) {
        await this.#interrupted(error);
      }
    }
  }

  finish(): void {
    this.#decoder?.finish();
  }

  async close(reason?: unknown): Promise<void> {
    this.#unfollow?.();
    await this.#chunks?.close(reason);
    this.#left.abort(reason);
  }

  async stop(): Promise<void> {
    const { place } = this;
    if (place === undefined) throw new TypeError("the server has not said that it keeps this stream: use close()");
    const connection = new Connection(undefined, this.#options.idleTimeout);
    try {
      await this.#send(connection, place.url, "DELETE");
    } finally {
      connection.close();
    }
  }

  async #askForRest(): Promise<void> {
    await this.#ask(restUrl(this.place as Place), "GET");
  }

  /** Waits until the stream may be asked for again. Throws `error` if it may not. */
  async #interrupted(error: unknown): Promise<void> {
    const { signal } = this.#left;
    if (signal.aborted) throw signal.reason;
    if (this.place === undefined) throw error;
    const { asked, ...interruption } = this.#resumption.after(error, this.#unanswered);
    await this.#chunks?.close(error);
    this.#chunks = undefined;
    this.#options.onInterruption?.(interruption);
    await pause(interruption.wait, signal, !asked);
  }

  async #ask(url: string, method: string, content?: Content): Promise<void> {
    const { coder, limits, requireEnd, idleTimeout } = this.#options;
    const connection = new Connection(this.#left.signal, idleTimeout);
    try {
      const response = await this.#send(connection, url, method, content);
      const [type] = mediaType(response);
      const other = content && this.#others?.decoder(type);
      const refusal = other ? "" : refuse(response, coder.name, content === undefined);
      if (refusal) throw notAStream(refusal, response, await connection.beginning(response, BEGINNING_SIZE));
      if (response.body === undefined) {
        throw new TypeError("this fetch returns no stream of the body; in React Native, use the `fetch` of expo/fetch");
      }
      const promised = type === MEDIA_TYPE ? true : undefined;
      const decoder = other ?? new StreamDecoder(coder, { limits, requireEnd: requireEnd ?? promised });
      this.#asked = url;
      this.#response = response;
      this.#decoder = decoder;
      this.#chunks = connection.chunks(response, decoder);
      this.#resumption.opened();
    } catch (error) {
      connection.close(error);
      throw error;
    }
  }

  /** Sends a request. Throws if its status is not 2xx. `content` is that of the first request; no other has any. */
  async #send(connection: Connection, url: string, method: string, content?: Content): Promise<ResponseLike> {
    const { fetch, headers } = this.#options;
    if (connection.signal.aborted) throw connection.signal.reason;
    const late = () => connection.noResponse();
    const given = typeof headers === "function" ? await connection.within(Promise.resolve(headers()), late) : headers;
    const send: FetchLike = fetch ?? globalThis.fetch; // window.fetch must be called without another `this`
    const init: FetchInit & { duplex?: string; cache?: string } = {
      ...(content === undefined ? { cache: "no-store" } : {}),
      ...this.#init,
      method,
      headers: completed(given, content, (content && this.#others?.accept) ?? ACCEPT),
      signal: connection.signal,
    };
    const { json, body } = content ?? {};
    if (json !== undefined) init.body = stringifyText(json);
    else if (body != null) init.body = body;
    if (typeof body === "object" && body !== null && "getReader" in body) {
      init.duplex = "half"; // fetch requires it for a stream
    }
    this.#unanswered = true;
    const response = await connection.within(send(url, init), late);
    this.#unanswered = false;
    if (!response.ok) throw problem(response, await connection.beginning(response, PROBLEM_SIZE));
    return response;
  }
}

type InitOfFetch = Omit<RequestInit, "method" | "headers" | "body" | "signal" | "window">;

/** What is passed on to fetch unchanged. */
function optionsOfFetch(options: OpenOptions<unknown, unknown>): InitOfFetch {
  const own = ["coder", "json", "body", "limits", "requireEnd", "idleTimeout", "fetch", "resume", "onInterruption"];
  return Object.fromEntries(Object.entries(options).filter(([name]) => !own.includes(name)));
}

interface Content {
  readonly json?: unknown;
  readonly body?: RequestInit["body"];
}

const ABOUT_CONTENT = ["content-type", "content-length", "content-encoding", "transfer-encoding", "last-event-id"];

function completed(
  given: RequestInit["headers"],
  content: Content | undefined,
  accept: string,
): Record<string, string> {
  const headers = new Headers(given);
  if (content === undefined) for (const name of ABOUT_CONTENT) headers.delete(name);
  if (!headers.has("accept")) headers.set("accept", accept);
  if (content?.json !== undefined && !headers.has("content-type")) headers.set("content-type", "application/json");
  // Compression holds frames back until a block is full, and makes audio larger. A browser ignores this header.
  if (!headers.has("accept-encoding")) headers.set("accept-encoding", "identity");
  return Object.fromEntries(headers);
}
