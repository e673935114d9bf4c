/** A program that uses the built package. It is compiled with all checks, against the types of the package. */

import { type Coder, decodeStream, type FrameError, jsonCoder, openStream, talCoder } from "@objectstreaming/client";

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

export const place = (error: FrameError): number => error.offset;
export type Mine = Coder<string, number>;
