/** The frames of an answer, as a table. */

import { at } from "./elements.js";

const MOST = 500; // rows; a long answer of small pieces has thousands of frames

export class FrameList {
  readonly #rows = at("frames", HTMLTableSectionElement);

  begin(): void {
    this.#rows.replaceChildren();
    at("frame-count", HTMLElement).textContent = "0";
  }

  /** `arrived` in milliseconds since the question, `heard` in seconds of the sound. */
  add(frame: number, arrived: number, kind: string, bytes: number, heard?: number): void {
    at("frame-count", HTMLElement).textContent = String(frame);
    if (this.#rows.rows.length >= MOST) return;
    const row = this.#rows.insertRow();
    const from = heard === undefined ? "" : `${heard.toFixed(2)} s`;
    for (const text of [String(frame), `${arrived.toFixed(0)} ms`, kind, bytes.toLocaleString("en"), from]) {
      row.insertCell().textContent = text;
    }
  }
}
