/**
 * A chat whose answer comes as text and as speech (`POST /api/chat/stream`).
 *
 * It asks for frames, and reads server-sent events if those come. In both, an answer is whole or an error: a stream that
 * stops before its end, or falls silent, is never taken for a short answer.
 */

import { ACCEPT, type FetchLike, openStream, openWith } from "../client.js";
import { rawReader } from "../coders/raw.js";
import type { Place } from "../resuming.js";
import type { JsonObject } from "../strict-json.js";
import { Answer, type ChatCallbacks, type ChatSource } from "./answer.js";
import { type AudioFormat, readable } from "./compressed.js";
import { AudioPlayer } from "./player.js";
import { EVENTS, LINES, textMessages } from "./text-messages.js";
import { decodeWav, fromBase64 } from "./wav.js";

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
  return new Answer(callbacks, options, (answer, signal) => read(message, options, answer, signal));
}

const ACCEPTED = { frames: `${ACCEPT}, ${EVENTS};q=0.3`, sse: EVENTS, jsonlines: LINES };

/** Reads the answer. Returns the trailers. */
async function read(
  message: string | Place,
  options: ChatOptions,
  answer: Answer,
  signal: AbortSignal,
): Promise<JsonObject> {
  const { url = "/api/chat/stream", transport = "frames", voice, speed, audio, ...others } = options;
  const { headers, idleTimeout, resume, fetch } = others;
  const common = { coder: rawReader, signal, requireEnd: true, headers, idleTimeout, resume, fetch };
  const json = { message, voice, speed, audio: formatsOf(audio) };
  const stream = await (typeof message === "string"
    ? openWith<JsonObject, Uint8Array<ArrayBuffer> | string>(
        url,
        { ...common, json },
        { accept: ACCEPTED[transport], decoder: textMessages },
      )
    : openStream(message, common));
  answer.stream = stream;
  try {
    for await (const { header, payload } of stream) {
      const room = answer.add(header, payload);
      if (room) await room;
    }
    return stream.trailers ?? {};
  } finally {
    await stream.close();
  }
}

/** @internal The member `audio` of a question. Without it the server sends PCM. */
export function formatsOf(audio: ChatOptions["audio"]): readonly AudioFormat[] | false | undefined {
  return audio === true ? undefined : audio && readable(audio);
}

let shared: AudioPlayer | undefined;

/** The player of the page, which `playBase64Audio` uses. Its `unlock` is for the handler of a click. */
export function sharedPlayer(): AudioPlayer {
  if (!shared || shared.closed) shared = new AudioPlayer();
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
