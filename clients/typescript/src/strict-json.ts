/**
 * JSON as the specification means it (SPEC section 2.3): what headers are, and the payloads of the `json` coder.
 *
 * RFC 8259 without its latitude: valid UTF-8, no byte order mark, no lone surrogate also as an escape, nesting bounded.
 * The parsing is the engine's own; this room adds what `JSON.parse` leaves open.
 */

import { EncodeError } from "./errors.js";

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [member: string]: JsonValue;
}

/** How deep arrays and objects may nest. */
const MAX_DEPTH = 100;
// A text that nests deeper has this many brackets, opening and closing, at least: shorter ones need no look.
const SHALLOW = 2 * MAX_DEPTH;
// A text is read escape by escape; what matches last alone is half of a pair.
const ESCAPES = /\\(?:ud[89ab]..\\ud[c-f]|(ud[89a-f])|.)/gi;

const utf8 = /* @__PURE__ */ new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = /* @__PURE__ */ new TextEncoder();

// Its type says string; of undefined and of functions it makes nothing.
const toText: (value: unknown) => string | undefined = JSON.stringify;

/** UTF-8 as a text. Throws `TypeError` where it is none; a byte order mark stays, for `parse` to refuse. */
export function decodeUtf8(bytes: Uint8Array): string {
  return utf8.decode(bytes);
}

/** Any JSON value. Throws `SyntaxError`; the callers make it their documented error. */
export function parse(text: string): JsonValue {
  if (text.length > SHALLOW) checkDepth(text);
  const value = JSON.parse(text) as JsonValue;
  checkSurrogates(text);
  return value;
}

/** A JSON object: what a header must be. */
export function parseObject(text: string): JsonObject {
  const value = parse(text);
  if (!isObject(value)) throw new SyntaxError(`it is ${Array.isArray(value) ? "an array" : shown(value)}`);
  return value;
}

/** A value in brief, for messages. */
export function shown(value: unknown): string {
  try {
    return (toText(value) ?? typeof value).slice(0, 60);
  } catch {
    return typeof value; // a BigInt, or what contains itself
  }
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Compact UTF-8 JSON; `EncodeError` for what JSON cannot say or a receiver would refuse. */
export function stringify(value: unknown): Uint8Array {
  return encoder.encode(stringifyText(value));
}

export function stringifyText(value: unknown): string {
  let text: string | undefined;
  try {
    text = toText(value);
    if (text === undefined) throw new TypeError(`${typeof value} is not JSON`);
    // JSON.stringify writes NaN and Infinity as null: where a null went out, look whether it was one.
    if (text.includes("null")) JSON.stringify(value, refuseNonFinite);
    if (text.length > SHALLOW) checkDepth(text);
    checkSurrogates(text);
  } catch (error) {
    throw new EncodeError(`this cannot be sent as JSON: ${(error as Error).message}`, { cause: error });
  }
  return text;
}

function refuseNonFinite(name: string, value: unknown): unknown {
  if (typeof value === "number" && !Number.isFinite(value)) {
    throw new TypeError(`${name || "the value"} is ${value}; send null or a string instead`);
  }
  return value;
}

function checkSurrogates(text: string): void {
  if (!text.includes("\\u")) return;
  for (const match of text.matchAll(ESCAPES)) {
    if (match[1] !== undefined) throw new SyntaxError(`a lone surrogate, \\${match[1]}.., in a string`);
  }
}

// A loop, for a regular expression over a string of megabytes overflows the stack of some engines.
function checkDepth(text: string): void {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit === 0x22) {
      while (++at < text.length && text.charCodeAt(at) !== 0x22) if (text.charCodeAt(at) === 0x5c) at++;
    } else if (unit === 0x5b || unit === 0x7b) {
      if (++depth > MAX_DEPTH) throw new SyntaxError(`nested deeper than ${MAX_DEPTH} levels`);
    } else if (unit === 0x5d || unit === 0x7d) depth--;
  }
}
