/**
 * A chat whose answer comes as text and as speech (`POST /api/chat/stream`).
 *
 * It asks for frames, and reads server-sent events if those come. In both, an answer is whole or an error: a stream that
 * stops before its end, or falls silent, is never taken for a short answer.
 */

import { ACCEPT, type FetchLike, openStream } from "../client.js";
import { Connection } from "../connection.js";
import { rawCoder } from "../coders/raw.js";
import { isStreamErrorCode, PayloadError, StreamError, StreamIncompleteError } from "../errors.js";
import type { ResponseLike } from "../response.js";
import type { Place } from "../resuming.js";
import { type JsonObject, parseObject, reason } from "../strict-json.js";
import { type AudioFormat, decodeSound, isCompressed, readable } from "./compressed.js";
import { AudioPlayer } from "./player.js";
import { SseParser } from "./sse.js";
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

export interface ChatOptions {
  /** The default is `/api/chat/stream`. */
  readonly url?: string | undefined;
  /** `sse` and `jsonlines` ask for server-sent events and JSON lines, for comparisons. The default is `frames`. */
  readonly transport?: "frames" | "sse" | "jsonlines" | undefined;
  readonly voice?: string | undefined;
  /** 0.5 to 2. */
  readonly speed?: number | undefined;
  /**
   * `false`: text only. Or the formats in which sound may come, such as `["opus", "flac", "pcm"]`: the server chooses among them
   * as the connection needs it. A sentence that the browser cannot decode is silent, and its format is not asked for again. The
   * default is PCM.
   */
  readonly audio?: boolean | readonly AudioFormat[] | undefined;
  /** Plays the sound. `close` silences it. */
  readonly player?: AudioPlayer | undefined;
  /** A function is called for each request. */
  readonly headers?:
    Record<string, string> | (() => Record<string, string> | Promise<Record<string, string>>) | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly fetch?: FetchLike | undefined;
  /**
   * How long to wait for the response, and then for the next byte, in milliseconds. The default is three of the heartbeats
   * that the server announces in frames, and else one minute.
   */
  readonly idleTimeout?: number | undefined;
  /** As for `openStream`: an answer that was cut is continued, if the server keeps it. It needs frames. */
  readonly resume?: boolean | number | undefined;
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
  /** Closes the connection, and silences the player. No callback is called any more. */
  close(): void;
}

/**
 * Sends a message, once, and reads the answer. `onComplete` or `onError` is called last, unless `close` was called.
 *
 * Instead of a message it takes the place of an answer that was not read to its end, and asks for the rest.
 *
 * @example
 * const source = streamChat("Hello!", { onText: (text) => show(text), onError: console.error }, { player });
 * button.onclick = () => source.close();
 */
export function streamChat(
  message: string | Place,
  callbacks: ChatCallbacks = {},
  options: ChatOptions = {},
): ChatSource {
  const controller = new AbortController();
  const { signal } = controller;
  const answer = new Answer(callbacks, options.player, signal);
  const stop = () => {
    if (answer.over) return;
    answer.over = true;
    options.signal?.removeEventListener("abort", stop);
    controller.abort(options.signal?.aborted ? options.signal.reason : undefined);
    options.player?.flush();
  };
  if (options.signal?.aborted) stop();
  else options.signal?.addEventListener("abort", stop);
  const done = read(message, options, answer, signal).then(
    (trailers) => {
      options.signal?.removeEventListener("abort", stop);
      options.player?.end();
      answer.over = true;
      const { text, count } = answer;
      callbacks.onComplete?.(count);
      return { text, count, trailers };
    },
    (error: unknown) => {
      options.signal?.removeEventListener("abort", stop);
      if (answer.over) throw signal.reason;
      answer.over = true;
      controller.abort(error); // a callback that threw leaves the connection open
      options.player?.end(); // what was said before is heard
      callbacks.onError?.(error);
      throw error;
    },
  );
  done.catch(() => undefined); // who uses callbacks need not use the promise
  return {
    get text() {
      return answer.text;
    },
    done,
    get place() {
      return answer.place;
    },
    close: stop,
  };
}

/** What has come, told to the callbacks and to the player. */
class Answer {
  text = "";
  messages = 0;
  count = 0;
  over = false;
  stream: { readonly place: Place | undefined } | undefined;
  #sentence = 0;
  #decoding: Promise<void> | undefined; // what comes meanwhile waits for it, in order
  #behind = 0;
  #waiting: { pieces: Uint8Array[]; rate: number; channels: number } | undefined; // for onAudio

  constructor(
    readonly callbacks: ChatCallbacks,
    readonly player: AudioPlayer | undefined,
    readonly signal: AbortSignal,
  ) {}

  get place(): Place | undefined {
    return this.stream?.place;
  }

  addText(text: string): void {
    this.messages++;
    if (this.over || text === "") return;
    this.text += text;
    this.callbacks.onText?.(text);
  }

  /** Resolves when there is room for more: not before a decoder that is slow has caught up. */
  async addAudio(header: JsonObject, payload: Uint8Array<ArrayBuffer>): Promise<void> {
    this.messages++;
    const { sentence, format, rate, channels = 1, samples } = header;
    if (typeof sentence !== "number") return; // of a later version
    if (isCompressed(format)) {
      if (!isCount(rate) || !isCount(channels) || !isCount(samples) || samples > LONGEST * rate) {
        throw new TypeError("the header of the sound does not say how long it is");
      }
      const flushes = this.player?.flushes;
      const decoded = decodeSound(payload, format, { rate, channels, samples });
      this.#inOrder(async () => {
        const sound = await decoded;
        if (sound) this.#addSound(header, sentence, sound, rate, channels, flushes);
      });
    } else if (format === "s16le") {
      if (!isCount(rate) || !isCount(channels) || payload.length % (2 * channels)) {
        throw new TypeError("the sound is not whole sample frames of 16 bits");
      }
      const pcm = toInt16(payload);
      if (!this.#decoding) this.#addSound(header, sentence, pcm, rate, channels);
      else {
        const flushes = this.player?.flushes;
        this.#inOrder(() => this.#addSound(header, sentence, pcm, rate, channels, flushes));
      }
    } // else one that failed, or of a later version
    if (this.#behind >= BEHIND) await this.#decoding;
  }

  /** What has come is decoded, and told. */
  async decoded(): Promise<void> {
    await this.#decoding;
  }

  #inOrder(tell: () => void | Promise<void>): void {
    this.#behind++;
    const decoding = (this.#decoding ?? Promise.resolve()).then(tell).then(() => {
      this.#behind--;
      if (this.#decoding === decoding) this.#decoding = undefined;
    });
    this.#decoding = decoding;
    decoding.catch(() => undefined); // a callback that threw: who waits for the end is told
  }

  #addSound(
    { text, at }: JsonObject,
    sentence: number,
    pcm: SpokenPiece["pcm"],
    rate: number,
    channels: number,
    flushes = this.player?.flushes,
  ): void {
    if (sentence !== this.#sentence) {
      this.finishAudio();
      this.#sentence = sentence;
      this.count++;
    }
    if (this.callbacks.onAudio) {
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

  addWav(base64: string): void {
    this.messages++;
    if (this.over) return;
    this.count++;
    this.callbacks.onAudio?.(base64);
    if (!this.callbacks.onSound && !this.player) return;
    const { samples: pcm, rate, channels } = decodeWav(fromBase64(base64));
    this.#tell({ sentence: this.count, text: undefined, pcm, rate, channels, at: undefined });
  }

  /** The sentence is whole. */
  finishAudio(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (this.over || !waiting) return;
    this.callbacks.onAudio?.(toBase64(encodeWav(waiting.pieces, waiting.rate, waiting.channels)));
  }

  /** `flushes` is how often the player had been flushed when the piece came. */
  #tell(piece: SpokenPiece, flushes = this.player?.flushes): void {
    // Asked each time: a callback may have closed the source.
    if (!this.over && this.player?.flushes === flushes) {
      this.player?.push(piece.pcm, { rate: piece.rate, channels: piece.channels, id: piece.sentence });
    }
    if (!this.over) this.callbacks.onSound?.(piece);
  }
}

const SSE = "text/event-stream";
const JSON_LINES = "application/x-ndjson";
const LONGEST_LINE = 32 * 1024 * 1024;
/** Seconds: a sound that claims to be longer is refused before there is memory for it. */
const LONGEST = 600;
/** The most sounds that wait for a decoder. */
const BEHIND = 8;

function isCount(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) > 0;
}

/** Reads the answer. Returns the trailers. */
async function read(
  message: string | Place,
  options: ChatOptions,
  answer: Answer,
  signal: AbortSignal,
): Promise<JsonObject> {
  const { headers, idleTimeout, resume } = options;
  const send: FetchLike = options.fetch ?? globalThis.fetch;
  const connection = new Connection(signal, idleTimeout);
  try {
    let at: string | Place = options.url ?? "/api/chat/stream";
    let first: ResponseLike | undefined;
    if (typeof message === "string") {
      first = await ask(at, message, options, connection, send);
      const type = first.ok ? (first.headers.get("content-type") ?? "").toLowerCase() : "";
      if (type.startsWith(SSE)) return await readText(first, connection, answer, eventReader(answer));
      if (type.startsWith(JSON_LINES)) return await readText(first, connection, answer, lineReader(answer));
    } else at = message;
    // openStream checks the status and the type, notices silence, and resumes.
    const stream = await openStream(at, {
      coder: rawCoder(),
      signal,
      requireEnd: true,
      headers: typeof headers === "function" ? () => (first ? {} : headers()) : headers,
      idleTimeout,
      resume,
      fetch: (url, init) => {
        const response = first;
        first = undefined;
        return response ? Promise.resolve(response) : send(url, init);
      },
    });
    answer.stream = stream;
    for await (const { header, payload } of stream) {
      if (header["kind"] === "text") answer.addText(new TextDecoder().decode(payload));
      else if (header["kind"] === "audio") await answer.addAudio(header, payload);
    }
    await answer.decoded();
    answer.finishAudio();
    return stream.trailers ?? {};
  } catch (error) {
    await answer.decoded().catch(() => undefined); // what came before is told and heard
    throw error;
  } finally {
    connection.close();
  }
}

/** Sends the message, and waits for the response. */
async function ask(
  url: string,
  message: string,
  { transport, voice, speed, audio, headers }: ChatOptions,
  connection: Connection,
  send: FetchLike,
): Promise<ResponseLike> {
  const late = () => connection.noResponse();
  const { signal } = connection;
  if (signal.aborted) throw signal.reason;
  const given = typeof headers === "function" ? await connection.within(Promise.resolve(headers()), late) : headers;
  const formats = typeof audio === "object" ? readable(audio) : undefined; // the server's default is PCM
  const init = {
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: transport === "sse" ? SSE : transport === "jsonlines" ? JSON_LINES : `${ACCEPT}, ${SSE};q=0.3`,
      ...given,
    },
    body: JSON.stringify({ message, voice, speed, audio: audio === false ? false : formats }),
    signal,
  };
  return await connection.within(send(url, init), late);
}

/** Takes a piece of the body. Returns the trailers, once the end has come. */
type TextReader = (text: string) => JsonObject | undefined | Promise<JsonObject | undefined>;

async function readText(
  response: ResponseLike,
  connection: Connection,
  answer: Answer,
  read: TextReader,
): Promise<JsonObject> {
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  try {
    for (;;) {
      const result = reader && (await connection.within(reader.read(), () => connection.silence(answer.messages)));
      if (!result || result.done) break;
      const trailers = await read(decoder.decode(result.value, { stream: true }));
      if (trailers) return trailers;
    }
  } finally {
    reader?.cancel().catch(() => undefined);
  }
  throw new StreamIncompleteError("the answer stopped without its end: was it cut?", answer.messages);
}

/** Server-sent events: `text`, `audio`, and at last `done` or `error`. */
function eventReader(answer: Answer): TextReader {
  const parser = new SseParser();
  return (text) => {
    for (const { event, data } of parser.push(text)) {
      if (event === "text") answer.addText(data);
      else if (event === "audio") answer.addWav(data);
      else if (event === "error") throw new StreamError("unknown", data);
      else if (event === "done") return {};
    }
    return undefined;
  };
}

/** Lines of JSON: the headers of the frames, with `text`, or base64 as `data`, and at last the kind `end` or `error`. */
function lineReader(answer: Answer): TextReader {
  let rest: string[] = [];
  let size = 0;
  return async (text) => {
    const [first = "", ...others] = text.split("\n");
    rest.push(first);
    size = others.length > 0 ? 0 : size + first.length;
    if (size > LONGEST_LINE) throw new PayloadError(`a line of more than ${LONGEST_LINE} characters`, answer.messages);
    for (const next of others) {
      const line = rest.join("");
      rest = [next];
      if (line === "") continue; // a ping
      const { kind, text, data, ...header } = readLine(line, answer.messages);
      if (kind === "text" && typeof text === "string") answer.addText(text);
      else if (kind === "audio") {
        const bytes = typeof data === "string" ? fromBase64(data) : new Uint8Array();
        await answer.addAudio({ ...header, ...(text === undefined ? {} : { text }) }, bytes);
      } else if (kind === "error") {
        const { code, message } = header;
        throw new StreamError(isStreamErrorCode(code) ? code : "unknown", typeof message === "string" ? message : "");
      } else if (kind === "end") {
        await answer.decoded();
        answer.finishAudio();
        return header;
      }
    }
    return undefined;
  };
}

function readLine(line: string, index: number): JsonObject {
  try {
    return parseObject(line);
  } catch (cause) {
    throw new PayloadError(`the line is not a JSON object: ${reason(cause)}`, index, 0, { cause });
  }
}

let shared: AudioPlayer | undefined;

/** The player of the page, which `playBase64Audio` uses. Its `unlock` is for the handler of a click. */
export function sharedPlayer(): AudioPlayer {
  shared ??= new AudioPlayer();
  return shared;
}

/** Plays a WAV file in base64, after those that play or wait already. Resolves when all of them were heard. */
export async function playBase64Audio(audioBase64: string): Promise<void> {
  const { samples, rate, channels } = decodeWav(fromBase64(audioBase64));
  const player = sharedPlayer();
  player.unlock();
  player.push(samples, { rate, channels });
  player.end();
  await player.heard();
}
