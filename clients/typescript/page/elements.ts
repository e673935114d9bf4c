/** The elements of the page, by their ids, and words for a person. */

import { StreamError } from "../src/errors.js";

export function at<E extends HTMLElement>(id: string, type: new () => E): E {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new TypeError(`the page has no ${type.name} #${id}`);
  return element;
}

/** What a person should know of an error. */
export function reasonOf(error: unknown): string {
  if (error instanceof StreamError && error.rawMessage) return error.rawMessage;
  return error instanceof Error ? error.message : String(error);
}
