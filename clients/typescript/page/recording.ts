/** Responses, recorded byte for byte, and read again from memory: so the work of a reader can be timed without the network. */

import type { FetchLike, ResponseLike } from "../src/client.js";

const LARGEST = 32 << 20;

export class Recording {
  /** Of the body, so far. */
  bytes = 0;
  #chunks: Uint8Array[] = [];
  #response: ResponseLike | undefined;

  /** The fetch that is recorded. */
  readonly fetch: FetchLike = async (url, init) => {
    const response = await fetch(url, init);
    this.#response = response;
    const recorded = new TransformStream<Uint8Array, Uint8Array>({
      transform: (chunk, controller) => {
        this.bytes += chunk.length;
        if (this.bytes <= LARGEST) this.#chunks.push(chunk.slice());
        controller.enqueue(chunk);
      },
    });
    return with_(response, response.body?.pipeThrough(recorded));
  };

  /** A fetch that gives the same response again, from memory. `undefined` if it was too large to keep. */
  get again(): FetchLike | undefined {
    const response = this.#response;
    if (response === undefined || this.bytes > LARGEST) return undefined;
    const chunks = this.#chunks;
    return () => {
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          for (const chunk of chunks) controller.enqueue(chunk);
          controller.close();
        },
      });
      return Promise.resolve(with_(response, body));
    };
  }
}

function with_(response: ResponseLike, body: ReadableStream<Uint8Array> | undefined): ResponseLike {
  const { ok, status, statusText, headers } = response;
  return { ok, status, statusText, headers, body };
}
