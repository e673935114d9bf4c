/** An HTTP server on loopback for tests, and a stream to send. */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { jsonCoder, StreamEncoder } from "../src/index.js";
import { join } from "./vectors.js";

export const V1 = { "content-type": "application/vnd.objectstreaming;v=1;coder=json" };
export const PLAIN = { "content-type": "application/octet-stream" };

export interface Served {
  url: string;
  requests: { method: string; headers: IncomingMessage["headers"]; body: string }[];
  /** Resolves when a connection was closed before its response had ended. */
  gone: Promise<void>;
  close(): Promise<void>;
}

export async function serve(handler: (response: ServerResponse, request: IncomingMessage) => unknown): Promise<Served> {
  let left = () => {};
  const requests: Served["requests"] = [];
  const gone = new Promise<void>((resolve) => {
    left = resolve;
  });
  const server = createServer((request, response) => {
    response.on("close", () => {
      if (!response.writableFinished) left();
    });
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const { method = "", headers } = request;
      requests.push({ method, headers, body: Buffer.concat(parts).toString("latin1") });
      void handler(response, request);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    requests,
    gone,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** A whole stream of version 1: open, ping, two messages, end. */
export function wholeStream(heartbeat?: number): Uint8Array<ArrayBuffer> {
  const encoder = new StreamEncoder(jsonCoder());
  return join([
    encoder.open({ metadata: { id: "q7" }, ...(heartbeat === undefined ? {} : { heartbeat }) }),
    encoder.ping(),
    encoder.data({ status: "success" }, { answer: "é漢😀" }),
    encoder.data({ status: "success" }, { answer: "No." }),
    encoder.end({ trailers: { tokens: 7 } }),
  ]);
}

export async function collect<T>(items: AsyncIterable<T>): Promise<{ got: T[]; error: unknown }> {
  const got: T[] = [];
  try {
    for await (const item of items) got.push(item);
  } catch (error) {
    return { got, error };
  }
  return { got, error: undefined };
}
