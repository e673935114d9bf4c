/** Answers as text, server-sent events or JSON lines, as messages: for `openStream`, a decoder like `StreamDecoder`. */

import type { Message } from "../coders/coder.js";
import { PayloadError, reportedError, StreamIncompleteError } from "../errors.js";
import { type Bytes, toBytes } from "../frames.js";
import type { ResponseDecoder } from "../stream.js";
import { type JsonObject, parseObject, reason } from "../strict-json.js";
import { type SseEvent, SseParser } from "./sse.js";

export const EVENTS = "text/event-stream";
export const LINES = "application/x-ndjson";
const LONGEST_LINE = 33_554_432; // characters

/** The payload is text, or a file in base64. */
type TextMessage = Message<JsonObject, string>;

/** @internal The decoder of a media type. */
export function textMessages(type: string): ResponseDecoder<JsonObject, string> | undefined {
  if (type === LINES || type === "application/jsonl") return new TextMessages(lines(), ofLine);
  const parser = new SseParser();
  return type === EVENTS ? new TextMessages((text) => parser.push(text), ofEvent) : undefined;
}

class TextMessages<T> implements ResponseDecoder<JsonObject, string> {
  position = 0;
  trailers: JsonObject | undefined;
  readonly metadata = {};
  readonly heartbeat: undefined;
  readonly resume: undefined;
  readonly buffered = 0;
  readonly #utf8 = new TextDecoder();
  #whole: T[] = []; // the last one is the next

  /** `split` gives what is whole with the next piece of text, `read` makes a message of it. */
  constructor(
    readonly split: (text: string) => T[],
    readonly read: (whole: T) => TextMessage,
  ) {}

  get ended(): boolean {
    return this.trailers !== undefined;
  }

  push(chunk: Bytes): void {
    // Neither spread nor shifted: a chunk may have hundreds of thousands of lines.
    const added = this.split(this.#utf8.decode(toBytes(chunk), { stream: true }));
    this.#whole = added.reverse().concat(this.#whole);
  }

  nextMessage(): TextMessage | undefined {
    const whole = this.#whole.pop();
    if (whole === undefined || this.ended) return undefined;
    let message: TextMessage;
    try {
      message = this.read(whole);
    } catch (cause) {
      throw new PayloadError(`the line is not a JSON object: ${reason(cause)}`, this.position++, 0, { cause });
    }
    const { kind, ...members } = message.header;
    if (kind === "error") throw reportedError(members);
    if (kind === "end") {
      this.trailers = members;
      return undefined;
    }
    this.position++;
    return message;
  }

  finish(): void {
    if (!this.ended) {
      throw new StreamIncompleteError("the answer stopped without its end: was it cut?", this.position);
    }
  }
}

const KINDS = new Map([
  ["text", "text"],
  ["audio", "wav"],
  ["done", "end"],
  ["error", "error"],
]);

/** The events are `text`, `audio`, and at last `done` or `error`. */
function ofEvent({ event, data }: SseEvent): TextMessage {
  const kind = KINDS.get(event) ?? "";
  return { header: kind === "error" ? { kind, message: data } : { kind }, payload: data };
}

/** A line has the header of a frame with `text`, or base64 as `data`; the last one has the kind `end` or `error`. */
function ofLine(line: string): TextMessage {
  const { data, ...header } = parseObject(line);
  const payload = header["kind"] === "text" ? header["text"] : data;
  return { header, payload: typeof payload === "string" ? payload : "" };
}

/** Splits text into lines. Empty ones are pings. */
function lines(): (text: string) => string[] {
  let rest: string[] = [];
  let size = 0;
  return (text) => {
    if (size > LONGEST_LINE) throw new RangeError(`a line has more than ${LONGEST_LINE} characters`);
    const [first = "", ...others] = text.split("\n");
    rest.push(first);
    size += first.length;
    const last = others.pop();
    if (last === undefined) return [];
    const whole = [rest.join(""), ...others];
    rest = [last];
    size = last.length;
    return whole.filter((line) => line.trim() !== "");
  };
}
