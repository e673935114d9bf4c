/** A program that uses the built package. It is compiled with all checks, against the types of the package. */

import {
  type Coder,
  decodeStream,
  type FrameError,
  jsonCoder,
  MessageEncoderStream,
  openStream,
  rawCoder,
  type ResponseError,
  StreamEncoder,
  talCoder,
} from "@objectstreaming/client";

import { openDuplex, symbolText, textSymbol } from "@objectstreaming/client/duplex";

interface Answer {
  answer: string;
}

export async function ask(url: string): Promise<string[]> {
  const answers: string[] = [];
  const stream = await openStream(url, {
    coder: jsonCoder<{ status: string }, Answer>(),
    json: { question: "?" },
    fetch,
  });
  for await (const { header, payload } of stream) answers.push(header.status + payload.answer);
  return answers;
}

export async function sound(body: ReadableStream<Uint8Array>): Promise<number> {
  let samples = 0;
  for await (const { header, payload } of decodeStream(body, talCoder())) samples += payload.length / header.channels;
  return samples;
}

/** Payloads are what Blob takes. */
export async function save(body: ReadableStream<Uint8Array>): Promise<Blob> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for await (const { payload } of decodeStream(body, rawCoder())) parts.push(payload);
  return new Blob(parts);
}

export async function first(url: string): Promise<unknown> {
  await using stream = await openStream(url, { coder: jsonCoder() });
  const { value } = await stream.next();
  return value?.payload;
}

export async function converse(url: string): Promise<string[]> {
  await using session = await openDuplex(url);
  await session.send(textSymbol("?"));
  const texts: string[] = [];
  for await (const item of session.answer()) if (item.kind === "symbol") texts.push(symbolText(item));
  return texts;
}

export const written = new MessageEncoderStream(jsonCoder(), { heartbeat: 15 }).writable;
export const wait = (error: ResponseError): number => error.retryAfter ?? Number(error.headers.get("x-wait"));
export const place = (error: FrameError): number => error.offset;
/** What may be undefined is given as it is. */
export function maybe(payload: ((value: unknown) => string) | undefined, heartbeat: number | undefined): Uint8Array {
  return new StreamEncoder(jsonCoder({ payload })).open({ heartbeat });
}
export type Mine = Coder<string, number>;
