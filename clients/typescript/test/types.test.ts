/** The public types. `npm run types` compiles this file, so each line is a test although nothing runs. */

import { describe, expectTypeOf, it } from "vitest";
import {
  type AnyCoder,
  type Bytes,
  type Coder,
  decodeStream,
  encodeFrame,
  type Frame,
  FrameDecoder,
  type FrameError,
  type FrameErrorCode,
  type JsonObject,
  type JsonValue,
  jsonCoder,
  MessageDecoderStream,
  type MessageStream,
  type OpenOptions,
  openStream,
  type Place,
  type ResponseStream,
  rawCoder,
  type Samples,
  StreamDecoder,
  StreamEncoder,
  type StreamError,
  type StreamErrorCode,
  type TalAudio,
  talCoder,
} from "../src/index.js";

interface Status {
  status: string;
}
interface Answer {
  answer: string;
  source?: string;
}

describe("coders", () => {
  it("infer the types of received messages", () => {
    expectTypeOf(new StreamDecoder(jsonCoder()).nextMessage()).toEqualTypeOf<
      { readonly header: JsonObject; readonly payload: JsonValue } | undefined
    >();
    expectTypeOf(new StreamDecoder(jsonCoder<Status, Answer>())).toEqualTypeOf<StreamDecoder<Status, Answer>>();
    expectTypeOf(new StreamDecoder(talCoder())).toEqualTypeOf<StreamDecoder<TalAudio, Samples>>();
    expectTypeOf(new StreamDecoder(rawCoder())).toEqualTypeOf<StreamDecoder<JsonObject, Uint8Array<ArrayBuffer>>>();
  });

  it("infer the types from a check of the payload", () => {
    const coder = jsonCoder({ payload: (value) => Number(value) });
    expectTypeOf(coder).toEqualTypeOf<Coder<JsonObject, number, object, unknown>>();
    expectTypeOf(jsonCoder({ header: () => "x" }).decode).returns.toExtend<{
      header: string;
      payload: JsonValue;
    }>();
  });

  it("have the types of messages to send", () => {
    const encoder = new StreamEncoder(talCoder());
    expectTypeOf(encoder.data).parameter(0).toEqualTypeOf<Partial<TalAudio>>();
    expectTypeOf(encoder.data).parameter(1).toEqualTypeOf<Bytes>();
    // @ts-expect-error: sign is 1, 2 or 3
    const wrong: Partial<TalAudio> = { sign: 4 };
    expectTypeOf(wrong).not.toBeAny();
    expectTypeOf(encodeFrame({})).toEqualTypeOf<Uint8Array<ArrayBuffer>>();
  });

  it("can be written by users", () => {
    const mine: Coder<number, string> = {
      name: "mine",
      neutral: new Uint8Array(),
      encode: (header) => encodeFrame({ header }),
      decode: (frame: Frame) => ({ header: frame.index, payload: "" }),
    };
    expectTypeOf(mine).toExtend<AnyCoder<number, string>>();
    expectTypeOf(decodeStream(new ReadableStream(), mine)).toEqualTypeOf<MessageStream<number, string>>();
  });
});

describe("streams", () => {
  it("are async iterables of messages", () => {
    type Item = NonNullable<Awaited<ReturnType<MessageStream<Status, Answer>["next"]>>["value"]>;
    expectTypeOf<Item["payload"]>().toEqualTypeOf<Answer>();
  });

  it("fit pipeThrough and the bodies of responses", () => {
    type Body = NonNullable<Response["body"]>;
    type Piped = (body: Body) => ReadableStream<{ readonly header: JsonObject; readonly payload: JsonValue }>;
    expectTypeOf((body: Body) => body.pipeThrough(new MessageDecoderStream(jsonCoder()))).toExtend<Piped>();
    expectTypeOf<Body>().toExtend<Parameters<typeof decodeStream>[0]>();
    expectTypeOf<NodeJS.ReadableStream>().not.toBeAny();
    expectTypeOf<Uint8Array | ArrayBuffer | Buffer | DataView>().toExtend<Parameters<FrameDecoder["feed"]>[0]>();
    expectTypeOf<FrameDecoder["feed"]>().returns.toEqualTypeOf<IterableIterator<Frame>>();
  });
});

describe("openStream", () => {
  it("resolves to messages of the coder", () => {
    expectTypeOf(openStream<Status, Answer>).returns.resolves.toEqualTypeOf<ResponseStream<Status, Answer>>();
    expectTypeOf(openStream).parameter(0).toEqualTypeOf<string | URL | Place>();
  });

  it("takes the global fetch, a wrapped one, and a narrow one such as expo/fetch", () => {
    type Fetch = NonNullable<OpenOptions<unknown, unknown>["fetch"]>;
    expectTypeOf<typeof globalThis.fetch>().toExtend<Fetch>();
    expectTypeOf<(url: string, init?: RequestInit) => Promise<Response>>().toExtend<Fetch>();
    interface NarrowInit {
      method?: string;
      headers?: Record<string, string>;
      body?: BodyInit;
      signal?: AbortSignal;
    }
    interface NarrowResponse {
      ok: boolean;
      status: number;
      statusText: string;
      headers: Headers;
      body: ReadableStream<Uint8Array> | null;
    }
    expectTypeOf<(url: string, init?: NarrowInit) => Promise<NarrowResponse>>().toExtend<Fetch>();
  });

  it("needs a coder, and takes the options of fetch", () => {
    // @ts-expect-error: the coder is missing
    const missing: OpenOptions<unknown, unknown> = { json: 1 };
    const options: OpenOptions<JsonObject, JsonValue> = {
      coder: jsonCoder(),
      credentials: "include",
      cache: "no-store",
    };
    expectTypeOf(missing).not.toBeAny();
    expectTypeOf(options.signal).toEqualTypeOf<AbortSignal | null | undefined>();
  });
});

it("errors have closed codes", () => {
  expectTypeOf<FrameError["code"]>().toEqualTypeOf<FrameErrorCode>();
  expectTypeOf<StreamError["code"]>().toEqualTypeOf<StreamErrorCode>();
  expectTypeOf<StreamErrorCode>().extract<"canceled" | "unauthenticated">().not.toBeNever();
  expectTypeOf<FrameErrorCode>()
    .exclude<"invalid_length" | "frame_too_large" | "header_too_large" | "invalid_header" | "truncated_frame">()
    .toBeNever();
  expectTypeOf(new FrameDecoder().position).toBeNumber();
});
