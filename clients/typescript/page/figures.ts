/** What an answer cost, in a table: a column for frames, one for server-sent events. */

import { type ChatOptions, streamChat } from "../src/audio/index.js";
import { at } from "./elements.js";
import type { Recording } from "./recording.js";

export type Transport = "frames" | "sse";

export interface Figures {
  /** Of the body. */
  bytes: number;
  /** Milliseconds since the question. */
  firstText?: number;
  firstSound?: number;
  lastSound?: number;
  /** Milliseconds of the main thread, to make text and samples of the bytes. */
  decoding?: number | undefined;
  underruns?: number;
}

const ROWS: [keyof Figures, string, (value: number) => string][] = [
  ["bytes", "Bytes", (value) => value.toLocaleString("en")],
  ["firstText", "First text", (value) => `${value.toFixed(0)} ms`],
  ["firstSound", "First sound", (value) => `${value.toFixed(0)} ms`],
  ["lastSound", "Last sound", (value) => `${value.toFixed(0)} ms`],
  ["decoding", "Main thread, decoding", (value) => `${value.toFixed(1)} ms`],
  ["underruns", "Sound came too late", (value) => `${value} times`],
];

export class FiguresTable {
  readonly #known: Partial<Record<Transport, Figures>> = {};

  show(transport: Transport, figures: Figures): void {
    this.#known[transport] = figures;
    const { frames, sse } = this.#known;
    const rows = ROWS.filter(([name]) => (frames?.[name] ?? sse?.[name]) !== undefined).map(([name, label, text]) => {
      const row = document.createElement("tr");
      const heading = document.createElement("th");
      heading.scope = "row";
      heading.textContent = label;
      row.append(heading);
      for (const column of [frames, sse]) {
        const value = column?.[name];
        const cell = row.insertCell();
        if (value !== undefined) cell.textContent = text(value);
      }
      const [one, other] = [frames?.[name], sse?.[name]];
      row.insertCell().textContent = one && other && name !== "underruns" ? `${(other / one).toFixed(2)} ×` : "";
      return row;
    });
    at("figures-body", HTMLTableSectionElement).replaceChildren(...rows);
    at("figures", HTMLElement).hidden = false;
  }
}

/** How long the main thread decodes an answer: the median of five times, from memory. */
export async function decodingTime(recording: Recording, transport: Transport): Promise<number | undefined> {
  const { again } = recording;
  if (again === undefined) return undefined;
  const times: number[] = [];
  const options: ChatOptions = { url: "", transport, fetch: again };
  for (let round = 0; round < 5; round++) {
    const began = performance.now();
    await streamChat("", { onText: () => undefined, onSound: () => undefined }, options).done;
    times.push(performance.now() - began);
  }
  return times.sort((one, other) => one - other)[2];
}
