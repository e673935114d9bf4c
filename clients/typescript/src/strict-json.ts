/**
 * The JSON of the specification (SPEC section 2.3), for headers and for the payloads of the `json` coder.
 *
 * It is RFC 8259 with fewer options: valid UTF-8, no byte order mark, no lone surrogate, not even as an escape, and a limit
 * on nesting. The engine parses. This module adds the checks that `JSON.parse` does not make.
 */

import { EncodeError } from "./errors.js";

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [member: string]: JsonValue;
}

/** How deep arrays and objects may nest. */
const MAX_DEPTH = 100;
// A text that nests deeper has at least this many brackets, opening and closing: a shorter one needs no check.
const SHALLOW = 2 * MAX_DEPTH;
// Matches escape by escape. The group matches only a surrogate without its other half.
const ESCAPES = /\\(?:ud[89ab]..\\ud[c-f]|(ud[89a-f])|.)/gi;

const utf8 = /* @__PURE__ */ new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = /* @__PURE__ */ new TextEncoder();

// Its declared type is string, but it returns undefined for undefined and for functions.
const toText: (value: unknown) => string | undefined = JSON.stringify;

/** Decodes UTF-8. Throws `TypeError` if it is invalid. A byte order mark is kept, so that `parse` refuses it. */
export function decodeUtf8(bytes: Uint8Array): string {
  return utf8.decode(bytes);
}

/** Parses any JSON value. Throws `SyntaxError`, which callers put into their documented errors. */
export function parse(text: string): JsonValue {
  if (text.length > SHALLOW) checkDepth(text);
  const value = JSON.parse(text) as JsonValue;
  checkSurrogates(text);
  return value;
}

/** Parses a JSON object, as every header must be. */
export function parseObject(text: string): JsonObject {
  const value = parse(text);
  if (!isObject(value)) throw new SyntaxError(`an object is expected, not ${shown(value)}`);
  return value;
}

/** A value for messages: the beginning of its JSON. */
export function shown(value: unknown): string {
  try {
    return (toText(value) ?? typeof value).slice(0, 60);
  } catch {
    return typeof value; // a BigInt, or a value that contains itself
  }
}

/** What is wrong, for messages: of an error, or of any other value that was thrown. */
export function reason(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : typeof thrown === "string" ? thrown : shown(thrown);
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Compact JSON in UTF-8. Throws `EncodeError` for a value that JSON cannot express or a receiver refuses. */
export function stringify(value: unknown): Uint8Array {
  return encoder.encode(stringifyText(value));
}

export function stringifyText(value: unknown): string {
  let text: string | undefined;
  try {
    text = toText(value);
    if (text === undefined) throw new TypeError(`a value of type ${typeof value}`);
    // JSON.stringify writes NaN and Infinity as null. If the text has a null, check that the value has one.
    if (text.includes("null")) JSON.stringify(value, refuseNonFinite);
    if (text.length > SHALLOW) checkDepth(text);
    checkSurrogates(text);
  } catch (error) {
    throw new EncodeError(`not JSON: ${reason(error)}`, { cause: error });
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
    if (match[1] !== undefined) throw new SyntaxError(`a lone surrogate in a string: \\${match[1]}..`);
  }
}

// A loop, because a regular expression on a string of megabytes overflows the stack of some engines.
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
