/**
 * A chat as a store: what a page shows of it, for React (`/react`), and for anything else that subscribes.
 *
 * **One snapshot a frame.** Pieces of text come more often than a screen can show them. While an answer comes or is heard,
 * the store looks once a frame at what is new, and replaces the snapshot if something is. A hidden page has no frames, so
 * there it looks every 250 ms, and once when it is shown again.
 *
 * **One request.** `sendMessage` sends in a microtask. React's StrictMode runs an effect, its cleanup and the effect again in
 * one task: the second call replaces the first before anything is sent.
 *
 * **No connection is left.** When the last subscriber has gone and none has come in the same task, the answer is cancelled.
 */

import { page } from "../page.js";
import type { Place } from "../resuming.js";
import type { JsonObject } from "../strict-json.js";
import type { ChatCallbacks, ChatSource } from "./answer.js";
import { type ChatOptions, sharedPlayer, streamChat } from "./chat.js";
import type { AudioPlayer } from "./player.js";

/** `speaking`: the text is whole, and the sound is not heard to its end. */
export type ChatStatus = "ready" | "submitted" | "streaming" | "speaking" | "error";

export interface ChatStats {
  /** Milliseconds from `sendMessage` to the first text, and to the first sound. `undefined` before. */
  readonly firstText: number | undefined;
  readonly firstSound: number | undefined;
  /** How many sentences were spoken so far. */
  readonly sentences: number;
  /** What the server said at the end. */
  readonly trailers: JsonObject;
}

export interface ChatSound {
  /** The browser keeps the sound back until `unlock` is called by a click. */
  readonly locked: boolean;
  readonly muted: boolean;
  /** How often the sound came too late. */
  readonly underruns: number;
}

/** What is shown. It is never changed, only replaced. */
export interface ChatSnapshot {
  readonly status: ChatStatus;
  /** Text or sound is still coming. */
  readonly isStreaming: boolean;
  readonly fullText: string;
  /** Why the answer is not whole. `undefined` if it is, or may become it. */
  readonly error: unknown;
  /** The sentence that is heard now, from 1. */
  readonly sentence: number | undefined;
  /** Asks for the rest of an answer that failed. `undefined` if there is none, or the server does not keep it. */
  readonly resume: (() => void) | undefined;
  readonly audio: ChatSound;
  readonly stats: ChatStats;
}

/** Those of `streamChat`. Without a `player` the one of the page is used; `audio: false` is text only. */
export interface ChatStoreOptions extends ChatOptions, ChatCallbacks {}

const HIDDEN = 250; // milliseconds

const INITIAL: ChatSnapshot = /* @__PURE__ */ Object.freeze({
  status: "ready",
  isStreaming: false,
  fullText: "",
  error: undefined,
  sentence: undefined,
  resume: undefined,
  audio: { locked: false, muted: false, underruns: 0 },
  stats: { firstText: undefined, firstSound: undefined, sentences: 0, trailers: {} },
});

/**
 * A chat that outlives the components that show it. Its functions need no `this`.
 *
 * @example
 * const chat = new Chat({ url: "/api/chat/stream" });
 * chat.subscribe(() => show(chat.getSnapshot().fullText));
 * button.onclick = () => chat.sendMessage("Hello!");
 */
export class Chat {
  /** For the next message. */
  options: ChatStoreOptions;
  readonly #listeners = new Set<() => void>();
  #snapshot: ChatSnapshot = INITIAL;
  #source: ChatSource | undefined;
  #place: Place | undefined; // of an answer that failed
  #player: AudioPlayer | undefined;
  #muted: boolean | undefined; // what setMuted said
  #status: ChatStatus = "ready";
  #text = "";
  #error: unknown;
  #stats: ChatStats = INITIAL.stats;
  #turn = 0; // of what was asked; anything of an older one is stale
  #stopLooking: (() => void) | undefined;

  constructor(options: ChatStoreOptions = {}) {
    this.options = options;
  }

  /** Calls `listener` when the snapshot was replaced, until the returned function is called. */
  readonly subscribe = (listener: () => void): (() => void) => {
    const own = () => listener(); // the same listener may subscribe twice
    this.#listeners.add(own);
    return () => {
      if (!this.#listeners.delete(own) || this.#listeners.size > 0) return;
      setTimeout(() => this.#listeners.size === 0 && this.cancelStream());
    };
  };

  readonly getSnapshot = (): ChatSnapshot => this.#snapshot;

  /** What a server renders, and a browser at first. */
  readonly getServerSnapshot = (): ChatSnapshot => INITIAL;

  /**
   * Sends a message. An answer that is coming or heard is cancelled before. Call it from the handler of a click or a key,
   * before any `await`: only then do browsers allow the sound.
   */
  readonly sendMessage = (message: string): void => {
    this.#silence();
    this.#text = "";
    this.#stats = INITIAL.stats;
    this.#read(message);
  };

  /** Closes the connection, and silences the sound. The text stays. */
  readonly cancelStream = (): void => {
    this.#source?.close(); // also what is left to hear of an answer that has ended
    if (!this.#busy) return;
    this.#silence();
    this.#status = "ready";
    this.#publish();
  };

  /** Makes sound possible. Call it from the handler of a click or a key. */
  readonly unlock = (): void => this.#sound()?.unlock();

  readonly setMuted = (muted: boolean): void => {
    this.#muted = muted;
    this.#sound();
    this.#publish();
  };

  readonly #resume = (): void => {
    if (this.#place) this.#read(this.#place);
  };

  get #busy(): boolean {
    return this.#status !== "ready" && this.#status !== "error";
  }

  #sound(): AudioPlayer | undefined {
    const { audio, player } = this.options;
    if (audio === false) return (this.#player = undefined);
    this.#player = player ?? (typeof AudioContext === "undefined" ? undefined : sharedPlayer());
    if (this.#player && this.#muted !== undefined) this.#player.muted = this.#muted;
    return this.#player;
  }

  /** Ends what is coming or heard. */
  #silence(): void {
    this.#turn++;
    this.#source?.close();
    this.#source = this.#place = this.#error = undefined;
    this.#stopLooking?.();
  }

  #read(message: string | Place): void {
    const turn = ++this.#turn;
    const player = this.#sound();
    player?.unlock();
    this.#place = this.#error = undefined;
    this.#status = "submitted";
    this.#publish();
    this.#look();
    queueMicrotask(() => {
      if (turn === this.#turn) this.#ask(message, player, turn);
    });
  }

  #ask(message: string | Place, player: AudioPlayer | undefined, turn: number): void {
    const { onText, onAudio, onSound, onComplete, onError, ...options } = this.options;
    const { audio = player !== undefined || onAudio !== undefined || onSound !== undefined } = options;
    const asked = performance.now();
    const sentences = new Set<number>();
    const before = this.#stats;
    const callbacks: ChatCallbacks = {
      onText: (text) => {
        this.#stats = { ...this.#stats, firstText: this.#stats.firstText ?? performance.now() - asked };
        this.#status = "streaming";
        this.#text += text;
        onText?.(text);
      },
      onAudio,
      onSound: (piece) => {
        sentences.add(piece.sentence);
        this.#stats = {
          ...this.#stats,
          firstSound: this.#stats.firstSound ?? performance.now() - asked,
          sentences: before.sentences + sentences.size,
        };
        this.#status = "streaming";
        onSound?.(piece);
      },
    };
    const source = streamChat(message, callbacks, { ...options, audio, player });
    this.#source = source;
    source.done.then(
      ({ count, trailers }) => {
        if (turn !== this.#turn) return;
        this.#stats = { ...this.#stats, trailers };
        this.#status = "speaking"; // `#look` finds out when the sound is over
        onComplete?.(count);
      },
      (error: unknown) => {
        if (turn !== this.#turn) return; // cancelled
        this.#status = options.signal?.aborted ? "ready" : "error";
        if (this.#status === "ready") return; // cancelled by its signal
        this.#error = error;
        this.#place = source.place;
        onError?.(error);
      },
    );
  }

  /** Looks once a frame at what is new, while there may be something. */
  #look(): void {
    this.#stopLooking?.();
    const frames = !page()?.hidden && typeof requestAnimationFrame === "function" && !this.#snapshot.audio.locked;
    const look = () => {
      this.#stopLooking?.();
      if (this.#status === "speaking" && !(this.#player && this.#player.buffered > 0)) this.#status = "ready";
      this.#publish();
      if (this.#busy) this.#look();
    };
    const frame = frames ? requestAnimationFrame(look) : undefined;
    const timer = frames ? undefined : setTimeout(look, HIDDEN);
    page()?.addEventListener("visibilitychange", look);
    this.#stopLooking = () => {
      this.#stopLooking = undefined;
      if (frame !== undefined) cancelAnimationFrame(frame);
      clearTimeout(timer);
      page()?.removeEventListener("visibilitychange", look);
    };
  }

  /** Replaces the snapshot, if something is new. */
  #publish(): void {
    const before = this.#snapshot;
    const { locked = false, muted = this.#muted ?? false, underruns = 0, playing } = this.#player ?? {};
    const sound = { locked, muted, underruns };
    const next: ChatSnapshot = {
      status: this.#status,
      isStreaming: this.#status === "submitted" || this.#status === "streaming",
      fullText: this.#text,
      error: this.#error,
      sentence: this.#busy && typeof playing === "number" ? playing : undefined,
      resume: this.#place && this.#resume,
      audio: same(before.audio, sound) ? before.audio : sound,
      stats: this.#stats,
    };
    if (same(before, next)) return;
    this.#snapshot = next;
    // Each by itself: one that throws keeps nothing from the others, or from us.
    for (const listener of this.#listeners) queueMicrotask(() => this.#listeners.has(listener) && listener());
  }
}

function same<T extends object>(one: T, other: T): boolean {
  return (Object.keys(one) as (keyof T)[]).every((name) => Object.is(one[name], other[name]));
}
