/**
 * Answers that are broken on purpose, by the addresses under `demo/` (objectstreaming/app/faults.py), and what three readers
 * say of the same break: this client, a plain fetch, and EventSource.
 */

import { streamChat } from "../src/audio/index.js";
import { reasonOf } from "./elements.js";

const AFTER = 20_000;

type Reader = (url: string, message: string) => Promise<string>;

export const READERS: readonly (readonly [name: string, read: Reader])[] = [
  ["This client, frames", readFrames],
  ["fetch, read to its end", readPlainly],
  ["EventSource", readEvents],
];

/** What a reader says of an answer that breaks in this way. */
export function broken(how: "killed" | "ended", message: string, read: Reader): Promise<string> {
  return read(`demo/${how}?after=${AFTER}&message=${encodeURIComponent(message)}`, message);
}

async function readFrames(url: string, message: string): Promise<string> {
  let pieces = 0;
  const count = () => {
    pieces++;
  };
  const source = streamChat(message, { onText: count, onSound: count }, { url });
  return source.done.then(
    () => `No error: ${pieces} frames, taken for a whole answer`,
    (error: unknown) => `Error after ${pieces} whole frames: ${reasonOf(error)}`,
  );
}

async function readPlainly(url: string): Promise<string> {
  try {
    const response = await fetch(url, { headers: { Accept: "text/event-stream" } });
    const text = await response.text();
    return `No error: ${text.length.toLocaleString("en")} characters, taken for a whole answer`;
  } catch (error) {
    return `All is lost: ${String(error)}`;
  }
}

function readEvents(url: string): Promise<string> {
  return new Promise((resolve) => {
    let events = 0;
    const source = new EventSource(url);
    source.addEventListener("text", () => events++);
    source.addEventListener("audio", () => events++);
    source.addEventListener("done", () => {
      source.close();
      resolve(`No error: ${events} events`);
    });
    source.onerror = () => {
      const asksAgain = source.readyState === EventSource.CONNECTING ? "; it would ask the whole question again" : "";
      source.close();
      resolve(`After ${events} events an error without a reason${asksAgain}`);
    };
  });
}
