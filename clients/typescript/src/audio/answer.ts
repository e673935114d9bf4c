/** An answer while it comes: what its messages are to the callbacks and to the player, and how it ends. */

import { follow } from "../connection.js";
import type { Place } from "../resuming.js";
import { ignore } from "../stream.js";
import type { JsonObject } from "../strict-json.js";
import { decodeSound, isCompressed } from "./compressed.js";
import type { AudioPlayer } from "./player.js";
import { decodeWav, encodeWav, fromBase64, toBase64, toInt16, toPcm } from "./wav.js";

/** A piece of the sound of a sentence. */
export interface SpokenPiece {
  /** From 1. */
  readonly sentence: number;
  /** The text of the sentence, with its first piece. */
  readonly text: string | undefined;
  /** Interleaved. */
  readonly pcm: Int16Array<ArrayBuffer> | Float32Array<ArrayBuffer>;
  readonly rate: number;
  readonly channels: number;
  /** Where the piece begins in the sound of the answer, in microseconds. Server-sent events do not say it. */
  readonly at: number | undefined;
}

export interface ChatCallbacks {
  /** A piece of the text, as the model gives it. */
  readonly onText?: ((text: string) => void) | undefined;
  /** The sound of a sentence as a WAV file in base64. */
  readonly onAudio?: ((audioBase64: string) => void) | undefined;
  /** The same sound without base64, in pieces, as they arrive. */
  readonly onSound?: ((piece: SpokenPiece) => void) | undefined;
  /** The answer is whole. `count` sentences were spoken. */
  readonly onComplete?: ((count: number) => void) | undefined;
  /** The answer failed, or was cut. */
  readonly onError?: ((error: unknown) => void) | undefined;
}

export interface ChatSummary {
  readonly text: string;
  /** How many sentences were spoken. */
  readonly count: number;
  /** What the server said at the end; empty with server-sent events. */
  readonly trailers: JsonObject;
}

export interface ChatSource {
  /** The text so far. */
  readonly text: string;
  /** Rejects as `onError` says, and with an `AbortError` after `close`. It may be ignored. */
  readonly done: Promise<ChatSummary>;
  /** Where the answer can be continued: `streamChat(place, ...)`. `undefined` if the server does not keep it. */
  readonly place: Place | undefined;
  /**
   * Closes the connection, and silences what is heard of this answer, also after its end. No callback is called any more. It needs
   * no `this`.
   */
  readonly close: () => void;
}

/** Seconds: a sound that claims to be longer is refused before there is memory for it. */
const LONGEST = 600;
/** The most sounds that wait for a decoder. */
const BEHIND = 8;

const utf8 = /* @__PURE__ */ new TextDecoder("utf-8", { ignoreBOM: true });

/** @internal */
export class Answer implements ChatSource {
  text = "";
  readonly done: Promise<ChatSummary>;
  /** What the messages come from. */
  stream: { readonly place: Place | undefined } | undefined;
  #count = 0;
  #sentence = 0;
  #isOver = false;
  #isSilent = false; // nothing of it is left to hear
  readonly #callbacks: ChatCallbacks;
  readonly #player: AudioPlayer | undefined;
  readonly #left = new AbortController();
  readonly #unfollow: () => void;
  #decoding: Promise<void> | undefined; // what comes meanwhile waits for it, in order
  #behind = 0;
  #waiting: { pieces: Uint8Array[]; rate: number; channels: number } | undefined; // for onAudio

  /** `read` gives all messages to `add`, and returns the trailers. */
  constructor(
    callbacks: ChatCallbacks,
    { player, signal }: { readonly player?: AudioPlayer | undefined; readonly signal?: AbortSignal | undefined },
    read: (answer: Answer, signal: AbortSignal) => Promise<JsonObject>,
  ) {
    this.#callbacks = callbacks;
    this.#player = player;
    this.#unfollow = signal ? follow(signal, () => this.#leave(signal.reason)) : ignore;
    if (signal?.aborted) this.#leave(signal.reason);
    this.done = this.#read(read);
    this.done.catch(ignore); // who uses callbacks need not use the promise
  }

  get place(): Place | undefined {
    return this.stream?.place;
  }

  readonly close = (): void => this.#leave();

  #leave(reason?: unknown): void {
    this.#end();
    this.#left.abort(reason);
    if (!this.#isSilent) this.#player?.flush();
    this.#isSilent = true;
  }

  #end(): void {
    this.#isOver = true;
    this.#unfollow();
  }

  async #read(read: (answer: Answer, signal: AbortSignal) => Promise<JsonObject>): Promise<ChatSummary> {
    const { signal } = this.#left;
    try {
      let trailers: JsonObject;
      try {
        trailers = await read(this, signal);
      } finally {
        await this.#decoding; // what came before the end is told and heard
      }
      this.#finishAudio();
      if (this.#isOver) throw signal.reason;
      this.#hearOut().catch(ignore);
      const { text } = this;
      const count = this.#count;
      this.#callbacks.onComplete?.(count);
      return { text, count, trailers };
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (this.#isOver) throw error; // of onComplete
      this.#hearOut().catch(ignore);
      this.#callbacks.onError?.(error);
      throw error;
    }
  }

  /** Nothing more comes, and what has come is heard. */
  async #hearOut(): Promise<void> {
    this.#end();
    this.#player?.end();
    await this.#player?.heard();
    this.#isSilent = true;
  }

  /** Takes a message. Where there is no room for more, because a decoder is slow, the promise resolves when there is. */
  add(header: JsonObject, payload: Uint8Array<ArrayBuffer> | string): Promise<void> | undefined {
    const { kind } = header;
    if (this.#isOver) return undefined;
    if (kind === "text") this.#addText(typeof payload === "string" ? payload : utf8.decode(payload));
    else if (kind === "wav") this.#addWav(payload as string);
    else if (kind === "audio") this.#addAudio(header, typeof payload === "string" ? fromBase64(payload) : payload);
    return this.#behind >= BEHIND ? this.#decoding : undefined;
  }

  #addText(text: string): void {
    if (text === "") return;
    this.text += text;
    this.#callbacks.onText?.(text);
  }

  #addAudio(header: JsonObject, payload: Uint8Array<ArrayBuffer>): void {
    const { sentence, format, rate, channels = 1, samples } = header;
    const isFile = isCompressed(format);
    if (typeof sentence !== "number" || !(isFile || format === "s16le")) return; // one that failed, or of a later version
    if (!isCount(rate) || !isCount(channels)) refuse();
    const flushes = this.#player?.flushes;
    const tell = (pcm: SpokenPiece["pcm"] | undefined) => {
      if (pcm) this.#addSound(header, sentence, pcm, rate, channels, flushes);
    };
    if (isFile) {
      if (!isCount(samples) || samples > LONGEST * rate) refuse();
      const decoded = decodeSound(payload, format, { rate, channels, samples });
      this.#inOrder(async () => tell(await decoded));
    } else {
      if (payload.length % (2 * channels)) refuse();
      const pcm = toInt16(payload);
      if (this.#decoding) this.#inOrder(() => tell(pcm));
      else tell(pcm);
    }
  }

  #inOrder(tell: () => void | Promise<void>): void {
    this.#behind++;
    const decoding = (this.#decoding ?? Promise.resolve()).then(tell).then(() => {
      this.#behind--;
      if (this.#decoding === decoding) this.#decoding = undefined;
    });
    this.#decoding = decoding;
    decoding.catch(ignore); // a callback that threw: who waits for the end is told
  }

  /** `flushes` is how often the player had been flushed when the sound came. */
  #addSound(
    { text, at }: JsonObject,
    sentence: number,
    pcm: SpokenPiece["pcm"],
    rate: number,
    channels: number,
    flushes: number | undefined,
  ): void {
    if (sentence !== this.#sentence) {
      this.#finishAudio();
      this.#sentence = sentence;
      this.#count++;
    }
    if (this.#callbacks.onAudio) {
      this.#waiting ??= { pieces: [], rate, channels };
      this.#waiting.pieces.push(toPcm(pcm));
    }
    this.#tell(
      {
        sentence,
        text: typeof text === "string" ? text : undefined,
        pcm,
        rate,
        channels,
        at: typeof at === "number" ? at : undefined,
      },
      flushes,
    );
  }

  #addWav(base64: string): void {
    const sentence = ++this.#count;
    this.#callbacks.onAudio?.(base64);
    if (!this.#callbacks.onSound && !this.#player) return;
    const { samples: pcm, rate, channels } = decodeWav(fromBase64(base64));
    this.#tell({ sentence, text: undefined, pcm, rate, channels, at: undefined }, this.#player?.flushes);
  }

  /** The sentence is whole. */
  #finishAudio(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (this.#isOver || !waiting) return;
    this.#callbacks.onAudio?.(toBase64(encodeWav(waiting.pieces, waiting.rate, waiting.channels)));
  }

  #tell(piece: SpokenPiece, flushes: number | undefined): void {
    // Asked each time: a callback may have closed the source.
    if (!this.#isOver && this.#player?.flushes === flushes) {
      this.#player?.push(piece.pcm, { rate: piece.rate, channels: piece.channels, id: piece.sentence });
    }
    if (!this.#isOver) this.#callbacks.onSound?.(piece);
  }
}

function refuse(): never {
  throw new TypeError("the sound is not what its header says");
}

function isCount(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) > 0;
}
