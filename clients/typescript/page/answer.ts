/**
 * The text of the answer. Whole sentences are elements of a live region, so that a screen reader announces sentences; the text
 * behind them, which still grows, is hidden from it. The sentence that is heard is marked.
 */

export class AnswerText {
  readonly #box: HTMLElement;
  #tail = document.createTextNode("");
  #growing = document.createElement("span");
  #sentences = new Map<unknown, HTMLElement>();
  #heard: HTMLElement | undefined;
  #splits = false;

  constructor(box: HTMLElement) {
    this.#box = box;
  }

  /** Begins a new answer. With `splits` its sentences are found in the text, because no sound tells them. */
  begin(splits: boolean): void {
    this.#splits = splits;
    this.#sentences.clear();
    this.#heard = undefined;
    this.#tail = document.createTextNode("");
    this.#growing = document.createElement("span");
    this.#growing.ariaHidden = "true";
    this.#growing.append(this.#tail);
    this.#box.replaceChildren(this.#growing);
    this.#box.ariaLive = splits ? "polite" : "off"; // the voice reads the others
  }

  add(text: string): void {
    this.#tail.appendData(text);
    if (!this.#splits) return;
    const segments = [...new Intl.Segmenter("en", { granularity: "sentence" }).segment(this.#tail.data)];
    for (const { segment } of segments.slice(0, -1)) this.#cut(segment.length);
  }

  /** A sentence, as its sound tells it. Text before it was not spoken. */
  sentence(number: number, text: string): void {
    const at = this.#tail.data.indexOf(text);
    if (at < 0 || text === "") return;
    if (at > 0) this.#cut(at);
    this.#sentences.set(number, this.#cut(text.length));
  }

  /** No more text comes. */
  end(): void {
    if (this.#tail.length > 0) this.#cut(this.#tail.length);
  }

  /** Marks the sentence that is heard now. */
  hear(number: unknown): void {
    const heard = this.#sentences.get(number);
    if (heard === this.#heard) return;
    this.#heard?.removeAttribute("aria-current");
    heard?.setAttribute("aria-current", "true");
    this.#heard = heard;
  }

  #cut(length: number): HTMLElement {
    const element = document.createElement("span");
    element.textContent = this.#tail.substringData(0, length);
    this.#tail.deleteData(0, length);
    this.#growing.before(element);
    return element;
  }
}
