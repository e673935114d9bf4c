/** One HTTP request: its abort signal, its time limits, and the reading of its body. */

import { type FrameError, IdleTimeoutError, StreamIncompleteError } from "./errors.js";
import type { ResponseLike } from "./response.js";
import { type Chunks, ignore, type ResponseDecoder } from "./stream.js";
import { reason } from "./strict-json.js";

const HEARTBEATS = 3; // one may be lost on a slow network, one to a busy server
const FIRST_READ = 60_000; // before the open frame; long, because a model may need time for its first word
const LONGEST_SILENCE = 3_600_000; // the upper bound, whatever heartbeat is announced; setTimeout overflows at 24 days
const AFTER_END = 1_000; // only the end of the body is missing, and no message depends on it
const BEGINNING_TIME = 5_000;

/** @internal */
export class Connection {
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
    const after = `after ${position} messages`;
    return new IdleTimeoutError(`nothing arrived for ${seconds(this.#limit)}, not even a ping, ${after}`, position);
  }

  chunks<H, P>(response: ResponseLike, decoder: ResponseDecoder<H, P>): Chunks {
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
  #adjust<H, P>(decoder: ResponseDecoder<H, P>): void {
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
 *
 * @internal
 */
export function follow(signal: AbortSignal, abort: () => void): () => void {
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
function cut<H, P>(decoder: ResponseDecoder<H, P>, cause: unknown): unknown {
  if (cause instanceof IdleTimeoutError) return cause;
  try {
    decoder.finish();
  } catch (error) {
    if ((error as FrameError).code === "truncated_frame") {
      (error as FrameError).cause = cause;
      return error;
    }
  }
  const message = `the connection was cut after ${decoder.position} messages: ${reason(cause)}`;
  return new StreamIncompleteError(message, decoder.position, { cause });
}
