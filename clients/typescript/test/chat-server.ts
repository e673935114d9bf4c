/** A fetch that the test answers by hand, with the frames of `POST /api/chat/stream`. */

import { ReadableStream } from "node:stream/web"; // a window in a test has one of its own
import { type FetchInit, rawCoder, type ResponseLike, StreamEncoder } from "../src/index.js";

const utf8 = new TextEncoder();

export class Ask {
  readonly #encoder = new StreamEncoder(rawCoder());
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  /** Whether the client has closed the connection. */
  gone = false;
  readonly response: ResponseLike;

  constructor(
    readonly url: string,
    readonly init: FetchInit,
  ) {
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
        controller.enqueue(this.#encoder.open());
      },
      cancel: () => {
        this.gone = true;
      },
    });
    init.signal.addEventListener("abort", () => (this.gone = true));
    this.response = {
      ok: true,
      status: 200,
      statusText: "OK",
      headers: new Headers({ "content-type": "application/vnd.objectstreaming;v=1;coder=raw" }),
      body: body as unknown as NonNullable<ResponseLike["body"]>,
    };
  }

  text(text: string): void {
    this.#controller?.enqueue(this.#encoder.data({ kind: "text" }, utf8.encode(text)));
  }

  sound(sentence: number, ...samples: number[]): void {
    const header = { kind: "audio", format: "s16le", rate: 22_050, channels: 1, sentence, at: 0 };
    this.#controller?.enqueue(this.#encoder.data(header, new Uint8Array(Int16Array.from(samples).buffer)));
  }

  end(trailers: object = {}): void {
    this.#controller?.enqueue(this.#encoder.end({ trailers }));
    this.#controller?.close();
  }

  cut(): void {
    this.#controller?.error(new TypeError("network error"));
  }
}

export class ChatServer {
  asks: Ask[] = [];

  readonly fetch = async (url: string, init: FetchInit): Promise<ResponseLike> => {
    const ask = new Ask(url, init);
    this.asks.push(ask);
    return Promise.resolve(ask.response);
  };

  get last(): Ask {
    const ask = this.asks.at(-1);
    if (ask === undefined) throw new Error("nothing was asked");
    return ask;
  }

  /** How many connections are open. */
  get open(): number {
    return this.asks.filter((ask) => !ask.gone).length;
  }
}
