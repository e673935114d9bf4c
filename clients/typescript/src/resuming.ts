/**
 * Resuming a stream that was cut (SPEC section 6.3): whether, when and where. `client.ts` sends the requests.
 *
 * **When to try again.** After a cut, silence, an error of fetch, and the answers 429, 502, 503, 504. The store behind the
 * server may just be given again what it had lost, so after data 404 and 400 with `out_of_range` are tried again too, for ten
 * seconds from the first of them. Everything else is final, the stream's own `end` first of all.
 *
 * **How long to wait.** What the server asked for with `Retry-After`, or else a random time, longer after each failure in
 * a row: many clients that were cut together do not come back together. Such a random wait ends early when the network
 * comes back (`online`) or the page is shown again (`visibilitychange`).
 */

import { ResponseError, StreamError } from "./errors.js";
import { page } from "./page.js";
import { LONGEST_TIMER } from "./stream.js";

/** Where a reader is in a stored stream: its URL, and how many messages it has had. JSON can hold it over a reload. */
export interface Place {
  readonly url: string;
  readonly position: number;
}

/** The connection is lost, and will be tried again. */
export interface Interruption {
  /** How many messages have come. */
  readonly position: number;
  /** From 1; it begins again after each message. */
  readonly attempt: number;
  /** Seconds until the next attempt, at the most. */
  readonly wait: number;
  readonly error: unknown;
}

const PATIENCE = 300; // seconds; what `resume: true` means
const LOST = 10;
const FIRST_WAIT = 0.25;
const LONGEST_WAIT = 10;
const WORKS = 15; // a response that lasted for so long was no failed attempt, even if it had no message
const AGAIN: ReadonlySet<number> = /* @__PURE__ */ new Set([429, 502, 503, 504]);

/** @internal Which messages are new, and when to try again. There is no input or output in this class. */
export class Resumption {
  position: number;
  readonly #patience: number;
  #failures = 0; // in a row
  #troubleSince: number | undefined;
  #lostSince: number | undefined; // the server does not find the stream, or not so much of it
  #openedAt: number | undefined; // of the response that is read
  #hasData = false;

  constructor(resume: boolean | number, position: number) {
    this.position = position;
    this.#patience = resume === true ? PATIENCE : resume === false ? -1 : resume;
  }

  /** A response has begun. */
  opened(): void {
    this.#openedAt = now();
  }

  /** Whether the message at this position is new. It counts from then on. */
  isNew(position: number): boolean {
    if (position <= this.position) return false;
    this.reached(position - 1);
    this.position = position;
    this.#failures = 0;
    this.#troubleSince = this.#lostSince = undefined;
    this.#hasData = true;
    return true;
  }

  /** The server is at this position. Throws if messages before it are missing. */
  reached(position: number): void {
    if (position > this.position) this.#lost(position);
  }

  /** The stream has ended at this position. */
  ended(position: number): void {
    if (position !== this.position) this.#lost(position);
  }

  #lost(position: number): never {
    throw new StreamError("data_loss", `${this.position} messages have come, and the server is at ${position}`);
  }

  /** How long to wait before the next attempt. Throws `error` if there is to be none. */
  after(error: unknown, unanswered: boolean): Interruption & { readonly asked: boolean } {
    const time = now();
    if (this.#troubleSince === undefined || (this.#openedAt !== undefined && time - this.#openedAt > WORKS)) {
      this.#troubleSince = time;
      this.#failures = 0;
    }
    this.#openedAt = undefined;
    const trouble = time - this.#troubleSince;
    const asked = error instanceof ResponseError ? error.retryAfter : undefined;
    const longest = Math.min(FIRST_WAIT * 2 ** Math.min(this.#failures, 10), LONGEST_WAIT);
    const wait = asked ?? Math.random() * longest;
    if (!(unanswered || this.#mayPass(error, time)) || trouble + wait > this.#patience) throw error;
    const attempt = ++this.#failures;
    return { position: this.position, attempt, wait, error, asked: asked !== undefined };
  }

  #mayPass(error: unknown, time: number): boolean {
    const { code } = error as { code?: unknown };
    if (!(error instanceof ResponseError)) {
      return code === "stream_incomplete" || code === "idle_timeout" || code === "truncated_frame";
    }
    const { status } = error;
    const lost = status === 404 || (status === 400 && code === "out_of_range");
    if (!lost || !this.#hasData) return AGAIN.has(status);
    this.#lostSince ??= time;
    return time - this.#lostSince < LOST;
  }
}

function now(): number {
  return performance.now() / 1000;
}

/**
 * The URL that `resume` of a response means. `undefined` for another origin, also where a redirect has led there: our
 * credentials would go with us.
 *
 * @internal
 */
export function resumeUrl(resume: string, response: string | undefined, request: string): string | undefined {
  try {
    const asked = absolute(request);
    const from = response ? new URL(response) : asked;
    const { href, origin, username, password } = new URL(resume, from);
    // fetch takes no URL with a name and a password. The origin of what is no web address is "null".
    if (username || password || origin === "null") return undefined;
    return origin === from.origin && origin === asked.origin ? href : undefined;
  } catch {
    return undefined;
  }
}

/** As fetch resolves it. In Node there is nothing to resolve against. */
function absolute(url: string): URL {
  return new URL(url, page()?.baseURI ?? (globalThis as { location?: Location }).location?.href);
}

/** @internal */
export function isPlace(value: string | URL | Place): value is Place {
  if (typeof value === "string" || "href" in value) return false;
  if (typeof value.url === "string" && Number.isSafeInteger(value.position) && value.position >= 0) return true;
  throw new TypeError("a place has url, a string, and position, a number of messages");
}

/** @internal The URL that the messages after a place have. */
export function restUrl({ url, position }: Place): string {
  const rest = absolute(url);
  rest.searchParams.set("position", String(position));
  return rest.href;
}

/**
 * Resolves after so many seconds, or if it is `wakeable` when the network or the page is back. Rejects when the signal aborts.
 *
 * @internal
 */
export function pause(seconds: number, signal: AbortSignal, wakeable: boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const targets: [EventTarget | undefined, string][] = [[signal, "abort"]];
    if (wakeable) {
      // A worker has `online` too. Node has no such events.
      targets.push([typeof addEventListener === "function" ? globalThis : undefined, "online"]);
      targets.push([page(), "visibilitychange"]);
    }
    const timer = setTimeout(over, Math.min(seconds * 1000, LONGEST_TIMER));
    function over(event?: Event): void {
      if (event?.type === "visibilitychange" && page()?.visibilityState !== "visible") return;
      clearTimeout(timer);
      for (const [target, name] of targets) target?.removeEventListener(name, over);
      if (signal.aborted) reject(signal.reason);
      else resolve();
    }
    for (const [target, name] of targets) target?.addEventListener(name, over);
    if (signal.aborted) over();
  });
}
