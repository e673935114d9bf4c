/** What an answer cost, in a table: a column for each transport, and how much more the others cost than frames. */

import { type ChatOptions, streamChat } from "../src/audio/index.js";
import { at } from "./elements.js";
import type { Recording } from "./recording.js";

export const TRANSPORTS = ["frames", "sse", "jsonlines"] as const;
export type Transport = (typeof TRANSPORTS)[number];

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
    const columns = TRANSPORTS.map((each) => this.#known[each]);
    const rows = ROWS.filter(([name]) => columns.some((each) => each?.[name] !== undefined)).map(
      ([name, label, text]) => {
        const row = document.createElement("tr");
        const heading = document.createElement("th");
        heading.scope = "row";
        heading.textContent = label;
        row.append(heading);
        for (const column of columns) {
          const value = column?.[name];
          const cell = row.insertCell();
          if (value === undefined) continue;
          cell.textContent = text(value);
          const frames = columns[0]?.[name];
          if (column === columns[0] || !frames || !value || name === "underruns") continue;
          const ratio = document.createElement("small");
          ratio.textContent = ` ${(value / frames).toFixed(2)} ×`;
          cell.append(ratio);
        }
        return row;
      },
    );
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
