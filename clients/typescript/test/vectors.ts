/**
 * The vectors of the conformance suite (objectstreaming/conformance/vectors) against this package: what is asked of each
 * case, under which chunkings, and what is wrong with the answer. Runs in Node and in a browser, so it uses neither's API.
 */

import {
  type AnyCoder,
  encodeFrame,
  FrameDecoder,
  type JsonObject,
  type JsonValue,
  jsonCoder,
  type Layout,
  ObjectStreamError,
  PayloadError,
  rawCoder,
  StreamDecoder,
  StreamEncoder,
  StreamError,
  type TalAudio,
  talCoder,
} from "../src/index.js";

type Part = string | { repeat: string; times: number } | { file: string };
type Packed = string | Part[];

export interface Case {
  id: string;
  flags: string[];
  level: "must" | "should" | "may";
  limits?: { frame?: number; header?: number };
  layout?: { byte_length: number; byte_order: "little" | "big" };
  coder?: string;
  require_end?: boolean;
  wire?: Part[];
  header?: Part[];
  payload?: Part[];
  expect: {
    frames?: Expected[];
    error?: { code: string; index?: number; offset?: number; by?: number };
    end?: string;
    trailers?: JsonObject;
    message?: string;
    position?: number;
    wire?: Part[];
  };
}

interface Expected {
  header?: JsonObject | Part[];
  payload?: Packed;
  json?: JsonValue;
  refused?: string;
  index?: number;
  offset?: number;
}

export interface Suite {
  suite: string;
  op: "decode" | "stream" | "encode";
  cases: Case[];
}

/** Not tried here: integers beyond 2^53, which JSON loses; msgpack and ndarray, which the conformance suite tries. */
export const SKIPPED_FLAGS = ["msgpack", "ndarray", "bigint"];

type Coders = AnyCoder<JsonObject | TalAudio, JsonValue | Uint8Array | Int16Array | Int32Array>;

export function coderOf(name: string | undefined): Coders {
  if (name === "tal") return talCoder();
  if (name === "raw") return rawCoder();
  return jsonCoder();
}

export function fromHex(hex: string): Uint8Array {
  const bytes = new Uint8Array(hex.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

export function toHex(bytes: Uint8Array): string {
  let hex = "";
  for (const byte of bytes) hex += HEX[byte];
  return hex;
}

function unpack(packed: Packed | undefined, files: ReadonlyMap<string, Uint8Array>): Uint8Array {
  const parts = (typeof packed === "string" ? [packed] : (packed ?? [])).map((part) => {
    if (typeof part === "string") return fromHex(part);
    if ("file" in part) return files.get(part.file) ?? new Uint8Array();
    const one = fromHex(part.repeat);
    const many = new Uint8Array(one.length * part.times);
    for (let at = 0; at < many.length; at += one.length) many.set(one, at);
    return many;
  });
  return join(parts);
}

export function join(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** The same numbers on every run (a linear congruential generator; Numerical Recipes' constants). */
export function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Whole, bytewise, with empty chunks, every cut in two, and some at random. */
export function* chunkings(wire: Uint8Array): Generator<Uint8Array[]> {
  yield [wire];
  if (wire.length > 4096) {
    // Byte by byte a megabyte takes a second, here and in the browser; test/frames.test.ts does that once.
    for (const size of wire.length > 100_000 ? [999, 65536] : [1, 7, 1460]) yield slices(wire, size);
    return;
  }
  yield slices(wire, 1);
  yield slices(wire, 1).flatMap((byte) => [new Uint8Array(), byte, new Uint8Array()]);
  for (let cut = 1; cut < wire.length; cut++) yield [wire.slice(0, cut), wire.slice(cut)];
  const next = random(wire.length + 1);
  for (let round = 0; round < 10; round++) {
    const chunks: Uint8Array[] = [];
    for (let at = 0; at < wire.length;) {
      const end = Math.min(wire.length, at + next(40));
      chunks.push(wire.slice(at, end));
      at = end;
    }
    yield chunks;
  }
}

function slices(wire: Uint8Array, size: number): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < wire.length; at += size) chunks.push(wire.slice(at, at + size));
  return chunks;
}

interface Verdict {
  frames: (
    | { header: unknown; payload: string }
    | { header: unknown; json: unknown }
    | { refused: string; index: number; offset: number }
  )[];
  error?: { code: string; index?: number; offset?: number; fed: number };
  end?: string;
  trailers?: unknown;
  message?: string;
  position?: number;
}

function errorOf(error: unknown, fed: number): NonNullable<Verdict["error"]> {
  if (!(error instanceof ObjectStreamError)) throw error; // not documented: a bug
  const { code, index, offset } = error as ObjectStreamError & { index?: number; offset?: number };
  return { code, fed, ...(index === undefined ? {} : { index }), ...(offset === undefined ? {} : { offset }) };
}

function decode(test: Case, chunks: Uint8Array[]): Verdict {
  const layout: Layout | undefined = test.layout && {
    byteLength: test.layout.byte_length,
    byteOrder: test.layout.byte_order,
  };
  const decoder = new FrameDecoder({ limits: test.limits, layout });
  const frames: Verdict["frames"] = [];
  let fed = 0;
  try {
    for (const chunk of chunks) {
      fed += chunk.length;
      for (const { header, payload } of decoder.feed(chunk)) frames.push({ header, payload: toHex(payload) });
    }
    decoder.finish();
  } catch (error) {
    return { frames, error: errorOf(error, fed) };
  }
  return { frames };
}

function stream(test: Case, chunks: Uint8Array[]): Verdict {
  const decoder = new StreamDecoder(coderOf(test.coder), { limits: test.limits, requireEnd: test.require_end });
  const verdict: Verdict = { frames: [] };
  let fed = 0;
  let end = "";
  try {
    for (const chunk of chunks) {
      fed += chunk.length;
      decoder.push(chunk);
      for (;;) {
        try {
          const message = decoder.nextMessage();
          if (message === undefined) break;
          verdict.frames.push(shownMessage(test, message));
        } catch (error) {
          if (!(error instanceof PayloadError)) throw error;
          verdict.frames.push({ refused: error.code, index: error.index, offset: error.offset });
        }
      }
    }
    decoder.finish();
  } catch (error) {
    if (error instanceof StreamError) {
      end = `error:${error.code}`;
      verdict.message = error.rawMessage;
    } else verdict.error = errorOf(error, fed);
  }
  verdict.end = end || (decoder.ended ? "ok" : "missing");
  verdict.position = decoder.position;
  if (decoder.ended) verdict.trailers = decoder.trailers;
  return verdict;
}

function shownMessage(test: Case, { header, payload }: { header: unknown; payload: unknown }): Verdict["frames"][0] {
  if (test.coder === "json") return { header, json: payload };
  const { buffer, byteOffset, byteLength } = payload as Uint8Array;
  return { header, payload: toHex(new Uint8Array(buffer, byteOffset, byteLength)) };
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_, item) =>
    typeof item === "object" && item !== null && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
      : item,
  );
}

function compare(test: Case, got: Verdict, files: ReadonlyMap<string, Uint8Array>): string {
  const { expect } = test;
  const frames = (expect.frames ?? []).map((frame) => {
    if (frame.refused !== undefined) return frame;
    const { header } = frame;
    const parsed = Array.isArray(header) ? JSON.parse(new TextDecoder().decode(unpack(header, files))) : header;
    return "json" in frame
      ? { header: parsed, json: frame.json }
      : { header: parsed, payload: toHex(unpack(frame.payload, files)) };
  });
  if (canonical(got.frames) !== canonical(frames)) {
    return `frames ${canonical(got.frames).slice(0, 300)} instead of ${canonical(frames).slice(0, 300)}`;
  }
  for (const name of ["end", "trailers", "message", "position"] as const) {
    const wanted = expect[name];
    const given = name === "message" ? (got.message ?? "") : got[name];
    if (wanted !== undefined && canonical(given) !== canonical(wanted)) {
      return `${name} ${canonical(given)} instead of ${canonical(wanted)}`;
    }
  }
  const { fed: _fed, ...error } = got.error ?? { fed: 0 };
  const { by: _by, ...wanted } = expect.error ?? {};
  if (canonical(error) !== canonical(wanted)) return `error ${canonical(error)} instead of ${canonical(wanted)}`;
  return "";
}

function encode(test: Case, files: ReadonlyMap<string, Uint8Array>): string {
  const header = unpack(test.header, files);
  const payload = unpack(test.payload, files);
  const { layout } = test;
  let got: string;
  try {
    if (test.coder === undefined) {
      const wire = layout
        ? encodeFrame(header, payload, { byteLength: layout.byte_length, byteOrder: layout.byte_order })
        : encodeFrame(header, payload);
      got = toHex(wire);
    } else {
      const members = JSON.parse(new TextDecoder().decode(header));
      const options = { plain: true };
      if (test.coder === "tal") got = toHex(new StreamEncoder(talCoder(), options).data(members, payload));
      else {
        const value = JSON.parse(new TextDecoder().decode(payload));
        got = toHex(new StreamEncoder(jsonCoder(), options).data(members, value));
      }
    }
  } catch (error) {
    got = errorOf(error, 0).code;
  }
  const wanted = test.expect.error?.code ?? toHex(unpack(test.expect.wire, files));
  if (got === wanted) return "";
  // A frame written by a coder may be spelled in another way: what counts is what it says.
  if (test.coder !== undefined && test.expect.wire && /^[0-9a-f]+$/.test(got)) {
    const say = (hex: string) => canonical([...new StreamDecoder(coderOf(test.coder)).feed(fromHex(hex))]);
    if (say(got) === say(wanted)) return "";
  }
  return `${got.slice(0, 200)} instead of ${wanted.slice(0, 200)}`;
}

/** What is wrong, under any chunking; empty if nothing is. */
export function failureOf(suite: Suite, test: Case, files: ReadonlyMap<string, Uint8Array>): string {
  if (suite.op === "encode") return encode(test, files);
  const run = suite.op === "decode" ? decode : stream;
  const wire = unpack(test.wire, files);
  for (const chunks of chunkings(wire)) {
    const verdict = run(test, chunks);
    const bad = compare(test, verdict, files);
    if (bad) return `${bad} (chunks of ${chunks.slice(0, 20).map((chunk) => chunk.length)})`;
    // Bytewise, the error must be out at the byte that settles it.
    const by = test.expect.error?.by;
    const fed = verdict.error?.fed;
    if (by !== undefined && fed !== undefined && chunks.length >= wire.length && fed > by) {
      return `the error came at byte ${fed}, not ${by}`;
    }
  }
  return "";
}
