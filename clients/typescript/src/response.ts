/** What a response is: a stream, something else, or an error (SPEC sections 5.4 and 6.1). */

import {
  ContentTypeError,
  type HeadersLike,
  isStreamErrorCode,
  ResponseError,
  type StreamErrorCode,
} from "./errors.js";
import { decodeUtf8, isObject, type JsonObject, type JsonValue, parse } from "./strict-json.js";

/** The content type of a stream of version 1. Its parameters are `v` and `coder`. */
export const MEDIA_TYPE = "application/vnd.objectstreaming";
/** The content type of a plain stream. */
export const PLAIN_MEDIA_TYPE = "application/octet-stream";

export interface ResponseLike {
  readonly ok: boolean;
  readonly status: number;
  readonly statusText: string;
  readonly headers: HeadersLike;
  readonly body: ReadableStream<Uint8Array> | null | undefined;
  /** Where the answer comes from, after redirects. If it is missing or empty, the URL of the request counts. */
  readonly url?: string | undefined;
}

/** The content type and its parameters, with names in lower case (RFC 9110, section 8.3.1). @internal */
export function mediaType(response: ResponseLike): [kind: string, parameters: Map<string, string>] {
  const [kind = "", ...rest] = (response.headers.get("content-type") ?? "").slice(0, 1024).split(";");
  const parameters = new Map<string, string>();
  for (const match of rest.join(";").matchAll(/([^\s;="]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))/g)) {
    const [, name = "", quoted, token = ""] = match;
    const value = quoted === undefined ? token : quoted.replace(/\\(.)/g, "$1");
    if (!parameters.has(name.toLowerCase())) parameters.set(name.toLowerCase(), value);
  }
  return [kind.trim().toLowerCase(), parameters];
}

/** The reason why the response is not a stream of this coder. Empty if it is one. @internal */
export function refuse(response: ResponseLike, coder: string, rest: boolean): string {
  const [kind, parameters] = mediaType(response);
  if (rest && kind === PLAIN_MEDIA_TYPE) return "a plain stream cannot be the rest of one";
  if (kind !== MEDIA_TYPE && kind !== PLAIN_MEDIA_TYPE) {
    return kind ? `the content type is '${kind}'` : "the response has no Content-Type";
  }
  const v = parameters.get("v");
  if (kind === MEDIA_TYPE && v !== "1") return `the stream is of version '${v ?? ""}', this reader knows '1'`;
  const theirs = parameters.get("coder") ?? coder;
  return theirs === coder ? "" : `the stream's coder is '${theirs}', this reader's '${coder}'`;
}

/** @internal */
export function notAStream(
  refusal: string,
  response: ResponseLike,
  beginning: Uint8Array<ArrayBuffer>,
): ContentTypeError {
  const begins = beginning.length > 0 ? `the body begins '${excerpt(beginning)}'` : "the body is empty";
  const message = `${refusal}; expected ${MEDIA_TYPE};v=1 or ${PLAIN_MEDIA_TYPE}; ${begins}`;
  return new ContentTypeError(message, response.headers.get("content-type") ?? "", beginning);
}

function excerpt(body: Uint8Array): string {
  const line = new TextDecoder().decode(body).replace(/[\s\p{Cc}]+/gu, " "); // no message controls a terminal
  return Array.from(line.trim()).slice(0, 80).join("");
}

const CODE_FOR_STATUS: Readonly<Record<number, StreamErrorCode>> = {
  400: "invalid_argument",
  401: "unauthenticated",
  403: "permission_denied",
  404: "not_found",
  408: "deadline_exceeded",
  409: "aborted",
  413: "resource_exhausted",
  415: "invalid_argument",
  422: "invalid_argument",
  429: "resource_exhausted",
  499: "canceled",
  500: "internal",
  501: "unimplemented",
  502: "unavailable",
  503: "unavailable",
  504: "deadline_exceeded",
};

const UNDERSTOOD = /* @__PURE__ */ new Set(
  /* @__PURE__ */ "code message details detail type title status instance".split(" "),
);

/**
 * The error of a response whose status is not 2xx. The message is taken from the specification's own members, from
 * `detail` as FastAPI uses it, from the `title` of RFC 9457, or from the text of the body. If there are members that none of
 * these has, all become the details.
 *
 * @internal
 */
export function problem(response: ResponseLike, body: Uint8Array<ArrayBuffer>): ResponseError {
  let members: JsonValue;
  try {
    members = parse(decodeUtf8(body));
  } catch {
    members = { message: excerpt(body) };
  }
  if (!isObject(members)) members = {};
  if (isObject(members["detail"])) members = members["detail"];
  let { details } = members;
  const { code, detail } = members;
  let message = [members["message"], detail, members["title"]].find((text) => typeof text === "string") ?? "";
  // What FastAPI found wrong with the request: an object for each error.
  if (details == null && Array.isArray(detail)) {
    details = detail;
    const first: unknown = detail[0];
    if (!message && isObject(first)) message = firstError(first);
  } else if (details == null && Object.keys(members).some((name) => !UNDERSTOOD.has(name))) details = members;
  return new ResponseError(
    isStreamErrorCode(code) ? code : (CODE_FOR_STATUS[response.status] ?? "unknown"),
    message === "" ? response.statusText : message,
    details ?? undefined,
    response.status,
    body,
    response.headers,
  );
}

/** The place of an error that FastAPI reports, and what is wrong there. */
function firstError({ loc, msg }: JsonObject): string {
  return `${Array.isArray(loc) ? loc.join(".") : "request"}: ${typeof msg === "string" ? msg : ""}`;
}
