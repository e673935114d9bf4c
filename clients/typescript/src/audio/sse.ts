/** Server-sent events (WHATWG HTML, section 9.2.6), from text in pieces of any size. */

export interface SseEvent {
  readonly event: string;
  readonly data: string;
}

const LONGEST = 16_777_216; // characters of one event, as for frames

export class SseParser {
  #line: string[] = []; // the pieces of a line that is not whole, joined once
  #held = 0; // characters of that line
  #size = 0; // of the lines before it, of one event
  #carriage = false; // the text before ended with CR: an LF now belongs to it
  #event = "";
  #data: string[] = [];
  #first = true;

  /** The events that are now whole. */
  push(text: string): SseEvent[] {
    // What is whole was given before.
    if (this.#size + this.#held > LONGEST) {
      throw new RangeError(`a server-sent event has more than ${LONGEST} characters`);
    }
    const events: SseEvent[] = [];
    let rest = text;
    if (this.#first && rest !== "") {
      this.#first = false;
      if (rest.startsWith("\ufeff")) rest = rest.slice(1);
    }
    if (this.#carriage && rest !== "") {
      this.#carriage = false;
      if (rest.startsWith("\n")) rest = rest.slice(1);
    }
    const end = /\r\n|\n|\r/g;
    let from = 0;
    for (let match = end.exec(rest); match !== null; match = end.exec(rest)) {
      this.#line.push(rest.slice(from, match.index));
      from = end.lastIndex;
      this.#carriage = match[0] === "\r" && from === rest.length;
      const line = this.#line.join("");
      this.#line = [];
      this.#held = 0;
      if (line === "") {
        if (this.#data.length > 0) events.push({ event: this.#event || "message", data: this.#data.join("\n") });
        this.#event = "";
        this.#data = [];
        this.#size = 0;
      } else this.#field(line);
    }
    if (from < rest.length) this.#line.push(rest.slice(from));
    this.#held += rest.length - from;
    return events;
  }

  #field(line: string): void {
    const colon = line.indexOf(":");
    if (colon === 0) return; // a comment
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (name === "event") this.#event = value;
    else if (name === "data") {
      this.#data.push(value);
      this.#size += value.length + 1;
    }
  }
}
