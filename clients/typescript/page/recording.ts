/** Responses, recorded byte for byte, and read again from memory: so the work of a reader can be timed without the network. */

import type { FetchLike } from "../src/client.js";
import type { ResponseLike } from "../src/response.js";

const LARGEST = 32 << 20;
const STEP = 0.1; // seconds of slow reading at a time

export class Recording {
  /** Of the body, so far. */
  bytes = 0;
  #chunks: Uint8Array[] = [];
  #response: ResponseLike | undefined;

  /** In how many responses it came: more than one if it was resumed. */
  parts = 0;
  readonly #cutAfter: number;
  readonly #rate: () => number;

  /**
   * With `cutAfter`, the connection is cut in the page when so many bytes of the first response have come. `rate` is how many
   * bits a second are read, asked for again and again. What is not read waits in the network, and then at the server.
   */
  constructor(rate: () => number, cutAfter = Infinity) {
    this.#rate = rate;
    this.#cutAfter = cutAfter;
  }

  /** The fetch that is recorded. */
  readonly fetch: FetchLike = async (url, init) => {
    const response = await fetch(url, init);
    this.#response = response;
    this.parts++;
    const reader = response.body?.getReader();
    if (reader === undefined) return response;
    const limit = this.parts === 1 ? this.#cutAfter : Infinity;
    let rest = new Uint8Array(); // of a chunk that is read slowly
    const body = new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          if (this.bytes >= limit) {
            await reader.cancel();
            controller.error(new TypeError("cut on purpose"));
            return;
          }
          if (rest.length === 0) {
            const { done, value } = await reader.read();
            if (done) {
              controller.close();
              return;
            }
            rest = value;
          }
          const rate = this.#rate();
          const chunk = rest.subarray(0, Math.min(limit - this.bytes, Math.ceil((rate * STEP) / 8)));
          rest = rest.subarray(chunk.length);
          if (rate < Infinity) await new Promise((resolve) => setTimeout(resolve, (8000 * chunk.length) / rate));
          this.bytes += chunk.length;
          if (this.bytes <= LARGEST) this.#chunks.push(chunk.slice());
          controller.enqueue(chunk);
        },
        cancel: (reason) => reader.cancel(reason),
      },
      { highWaterMark: 0 },
    );
    return with_(response, body);
  };

  /** A fetch that gives the same response again, from memory. `undefined` if it was too large to keep, or came in parts. */
  get again(): FetchLike | undefined {
    const response = this.#response;
    if (response === undefined || this.bytes > LARGEST || this.parts > 1) return undefined;
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
