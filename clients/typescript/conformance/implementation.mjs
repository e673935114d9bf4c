/**
 * The implementation under test of the conformance suite: this package behind the protocol of
 * objectstreaming/conformance/README.md, JSON lines on stdin and stdout.
 * Run it on a built package: `make build`, then `node clients/typescript/conformance/implementation.mjs`.
 */

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import {
  encodeFrame,
  FrameDecoder,
  jsonCoder,
  ObjectStreamError,
  openStream,
  ResponseError,
  rawCoder,
  StreamDecoder,
  StreamEncoder,
  StreamError,
  talCoder,
} from "../dist/index.js";
import { msgpackCoder } from "../dist/coders/msgpack.js";
import { ndarrayCoder } from "../dist/coders/ndarray.js";

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
const coders = {
  json: jsonCoder,
  tal: talCoder,
  raw: rawCoder,
  msgpack: () => msgpackCoder({ useBigInt64: true }),
  ndarray: ndarrayCoder,
};

const hex = (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
const bytes = (text) => Uint8Array.from(Buffer.from(text, "hex"));
const json = (value) => Buffer.from(JSON.stringify(value)).toString("hex");

/** `-` is an empty chunk. */
function chunksOf({ chunks }) {
  return chunks.split(" ").flatMap((word) => (word === "" ? [] : [word === "-" ? new Uint8Array() : bytes(word)]));
}

function limitsOf({ max_frame: frame, max_header: header }) {
  return { frame, header };
}

function layoutOf({ byte_length: byteLength = 4, byte_order: byteOrder = "little" }) {
  return { byteLength, byteOrder };
}

/** A message as `header:payload`, in hex: the header as JSON, the payload as the coder has it on the wire. */
function spelled(coder, { header, payload }) {
  if (coder === "msgpack" || coder === "ndarray") {
    const [frame] = new FrameDecoder().feed(coders[coder]().encode(header, payload));
    return `${hex(frame.headerBytes)}:${hex(frame.payload)}`;
  }
  return `${json(header)}:${coder === "json" ? json(payload) : hex(payload)}`;
}

/** What a stream ended with: `error:<code>` if the peer said so, else the error with its place. */
function verdict(error, fed) {
  if (!(error instanceof ObjectStreamError)) throw error; // not documented: a bug
  if (error instanceof ResponseError) return { error: `http_status:${error.status}:${error.code}` };
  if (error instanceof StreamError) {
    return { end: `error:${error.code}`, message: Buffer.from(error.rawMessage).toString("hex") };
  }
  return {
    error: [error.code, error.index ?? "-", error.offset ?? "-", ...(fed === undefined ? [] : [fed])].join(" "),
  };
}

function decode(request) {
  const decoder = new FrameDecoder({ limits: limitsOf(request), layout: layoutOf(request) });
  const frames = [];
  let fed = 0;
  try {
    for (const chunk of chunksOf(request)) {
      fed += chunk.length;
      for (const frame of decoder.feed(chunk)) {
        frame.header; // reads it: invalid_header is thrown here
        frames.push(`${hex(frame.headerBytes)}:${hex(frame.payload)}`);
      }
    }
    decoder.finish();
  } catch (error) {
    return { frames: frames.join(" "), ...verdict(error, fed) };
  }
  return { frames: frames.join(" "), error: "" };
}

function encode(request) {
  const header = bytes(request.header);
  const payload = bytes(request.payload);
  const parse = (data) => JSON.parse(Buffer.from(data).toString());
  try {
    if (!request.coder) return { wire: hex(encodeFrame(header, payload, layoutOf(request))), error: "" };
    const encoder = new StreamEncoder(coders[request.coder](), { plain: true });
    return { wire: hex(encoder.data(parse(header), request.coder === "json" ? parse(payload) : payload)), error: "" };
  } catch (error) {
    if (!(error instanceof ObjectStreamError)) throw error;
    return { wire: "", error: error.code };
  }
}

function stream(request) {
  const requireEnd = { yes: true, no: false }[request.require_end];
  const decoder = new StreamDecoder(coders[request.coder](), { limits: limitsOf(request), requireEnd });
  const frames = [];
  let fed = 0;
  let ended = {};
  try {
    for (const chunk of chunksOf(request)) {
      fed += chunk.length;
      decoder.push(chunk);
      for (;;) {
        try {
          const message = decoder.nextMessage();
          if (message === undefined) break;
          frames.push(spelled(request.coder, message));
        } catch (error) {
          if (error.code !== "invalid_payload") throw error;
          frames.push(`!${error.index}:${error.offset}`);
        }
      }
    }
    decoder.finish();
  } catch (error) {
    ended = verdict(error, fed);
  }
  return {
    frames: frames.join(" "),
    end: decoder.ended ? "ok" : "missing",
    error: "",
    position: decoder.position,
    trailers: json(decoder.trailers ?? {}),
    message: "",
    ...ended,
  };
}

function fetchOp(request) {
  return read(request.url, request, {});
}

/** As `fetch`, with a client that picks the stream up again where the connection broke. */
async function resume(request) {
  const { url, position } = request;
  const where = position === undefined ? url : { url, position };
  return await read(where, request, { resume: request.patience ?? true });
}

/** The messages of a request over HTTP, and how they ended. */
async function read(where, request, options) {
  const coder = request.coder ?? "json";
  const frames = [];
  let messages;
  let ended = {};
  try {
    messages = await openStream(where, {
      ...(request.method ? { method: request.method } : {}),
      ...(request.body ? { body: bytes(request.body), headers: { "content-type": request.content_type } } : {}),
      limits: limitsOf(request),
      coder: coders[coder](),
      ...options,
    });
    for (;;) {
      try {
        const { done, value } = await messages.next();
        if (done) break;
        frames.push(spelled(coder, value));
        if (frames.length === request.stop_after) await messages.stop();
        if (frames.length === request.leave_after) await messages.close();
      } catch (error) {
        if (error.code !== "invalid_payload") throw error;
        frames.push(`!${error.index}:${error.offset}`);
      }
    }
  } catch (error) {
    // What fetch rejects with where there was no response is passed on as it is.
    ended = error instanceof ObjectStreamError ? verdict(error) : { error: "no_response" };
  }
  const { position = request.position ?? 0, trailers, place } = messages ?? {};
  return {
    frames: frames.join(" "),
    end: trailers ? "ok" : "missing",
    error: "",
    position,
    trailers: json(trailers ?? {}),
    message: "",
    place: place ? `${place.url} ${place.position}` : "",
    ...ended,
  };
}

const ops = {
  hello: () => ({
    name: `typescript ${version}`,
    features: "decode encode stream fetch resume limits layout json tal msgpack ndarray",
  }),
  decode,
  encode,
  stream,
  fetch: fetchOp,
  resume,
};

for await (const line of createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY })) {
  const request = JSON.parse(line);
  const { id, op } = request;
  let answer = { skipped: `no op ${op}` };
  if (Object.hasOwn(ops, op)) {
    answer =
      request.coder && !Object.hasOwn(coders, request.coder)
        ? { skipped: `no coder ${request.coder}` }
        : await ops[op](request);
  }
  process.stdout.write(`${JSON.stringify({ id, ...answer })}\n`);
}
