/**
 * Question after question over one WebSocket (`WS /api/chat/stream`), each answered with the messages of `streamChat`.
 *
 * A session of `/duplex` carries the frames. Its own interrupt is not used: here each question gets one last frame, `end` or
 * `error`, in the order of the questions, also where it was interrupted. So what still comes of an answer that was closed is
 * the first in a queue, until its last frame.
 */

/// <reference lib="esnext.disposable" preserve="true" />

import type { Coder } from "../coders/coder.js";
import { rawCoder } from "../coders/raw.js";
import { type DuplexOptions, type DuplexSession, openDuplex } from "../duplex/session.js";
import type { StreamItem, StreamItemInput } from "../duplex/symbol.js";
import { reportedError, type StreamError, StreamIncompleteError } from "../errors.js";
import type { JsonObject } from "../strict-json.js";
import { ignore } from "../stream.js";
import { Answer, type ChatCallbacks, type ChatSource } from "./answer.js";
import { type ChatOptions, formatsOf } from "./chat.js";

/** Of one question. `voice` and `speed` hold until they are changed. */
export type QuestionOptions = Pick<ChatOptions, "voice" | "speed" | "audio" | "player" | "signal">;

export interface ChatSocketOptions extends Omit<DuplexOptions, "coder">, Pick<ChatOptions, "audio" | "player"> {
  /** The server refused a voice or a speed of `setVoice`. Nothing has changed. */
  readonly onRefused?: ((error: StreamError) => void) | undefined;
}

/**
 * Opens a connection for questions. `url` may be relative in a page, and begin with `http` or `ws`. Throws as `openDuplex`.
 *
 * @example
 * await using chat = await openChat("/api/chat/stream", { player });
 * const source = chat.ask("Hello!", { onText: (text) => show(text) });
 * await source.done;
 */
export async function openChat(url: string | URL, options: ChatSocketOptions = {}): Promise<ChatSocket> {
  return new ChatSocket(await openDuplex(url, { ...options, coder: chatCoder() }), options);
}

interface Question {
  answer: Answer | undefined; // until it is given up here
  readonly ended: (trailers: JsonObject) => void;
  readonly failed: (error: unknown) => void;
}

/** A connection for one question after the other. `openChat` makes it. */
export class ChatSocket {
  readonly #session: DuplexSession;
  readonly #options: ChatSocketOptions;
  readonly #questions: Question[] = []; // whose last frame has not come; the first one is answered now
  #current: ChatSource | undefined;

  /** @internal */
  constructor(session: DuplexSession, options: ChatSocketOptions) {
    this.#session = session;
    this.#options = options;
    void this.#read();
  }

  /** Whether questions can be asked. */
  get isConnected(): boolean {
    return this.#session.isConnected;
  }

  /**
   * Asks. An answer that is coming or heard is closed before: `close()` of what this returns stops the answer here and at the
   * server. An answer of a connection that was lost fails, and cannot be continued.
   */
  ask(message: string, callbacks: ChatCallbacks = {}, options: QuestionOptions = {}): ChatSource {
    this.#current?.close();
    const { voice, speed, audio = this.#options.audio, player = this.#options.player, signal } = options;
    const question = { message, voice, speed, audio: formatsOf(audio) };
    const source = new Answer(callbacks, { player, signal }, (answer, left) => this.#ask(question, answer, left));
    this.#current = source;
    return source;
  }

  /** From the next sentence on that the voice begins, and for the next questions. */
  setVoice(voice: Pick<ChatOptions, "voice" | "speed">): void {
    this.#send(voice);
  }

  /** Stops the answer, and ends the connection. Throws an `IdleTimeoutError` if the server does not end it too. */
  async close(): Promise<void> {
    this.#current?.close();
    await this.#session.close();
  }

  /** What `await using` calls: `close`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #ask(question: object, answer: Answer, left: AbortSignal): Promise<JsonObject> {
    return new Promise((ended, failed) => {
      left.throwIfAborted();
      const asked: Question = { answer, ended, failed };
      this.#questions.push(asked);
      left.addEventListener("abort", () => {
        this.#giveUp(asked, left.reason);
      });
      this.#session.send({ kind: "event", type: "metadata", data: question }).catch(failed);
    });
  }

  #giveUp(question: Question, error: unknown): void {
    question.failed(error);
    // A later question interrupts it too, and one whose last frame has come needs no interrupt.
    if (question.answer && this.#questions.at(-1) === question) this.#send({ interrupt: true });
    question.answer = undefined;
  }

  /** A connection that has failed tells it to the answer. */
  #send(data: object): void {
    this.#session.send({ kind: "event", type: "metadata", data }).catch(ignore);
  }

  async #read(): Promise<void> {
    let over: unknown;
    try {
      for await (const item of this.#session) {
        if (item.kind === "symbol") await this.#take(item.metadata, item.data);
      }
      over = new StreamIncompleteError("the connection has ended before the answer", this.#questions.length);
    } catch (error) {
      over = error;
    }
    for (const { failed } of this.#questions.splice(0)) failed(over);
  }

  async #take(header: JsonObject, payload: Uint8Array<ArrayBuffer>): Promise<void> {
    const { kind, ...members } = header;
    const [question] = this.#questions;
    if (kind === "end" || kind === "error") this.#questions.shift();
    if (kind === "end") question?.ended(members);
    else if (kind === "error") question?.failed(reportedError(members));
    else if (kind === "refused") queueMicrotask(() => this.#options.onRefused?.(reportedError(members)));
    else if (question) {
      try {
        await question.answer?.add(header, payload);
      } catch (error) {
        this.#giveUp(question, error); // of a callback, or of the sound
      }
    }
  }
}

/** Frames are symbols, with their headers as metadata. What is sent is the content of an event, as the header of a frame. */
function chatCoder(): Coder<StreamItem, undefined, StreamItemInput, undefined> {
  const raw = rawCoder();
  return {
    name: raw.name,
    neutral: raw.neutral,
    encode: (item) => raw.encode(item.kind === "event" ? (item.data as object) : {}, new Uint8Array()),
    decode(frame) {
      const { header: metadata, payload: data } = raw.decode(frame);
      const header = { kind: "symbol", modality: "text", mimeType: "", data, metadata, timestamp: new Date() } as const;
      return { header, payload: undefined };
    },
  };
}
