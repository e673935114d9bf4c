/**
 * The sound as it comes: above when each frame arrived, below its wave in the same colour, on one scale of seconds. It is drawn
 * when a frame comes, not in every animation frame; the mark of what is heard is an element of its own.
 */

const COLUMNS = 100; // a second
const ARRIVALS = 0.25; // of the height

interface Column {
  low: number;
  high: number;
  frame: number;
}

export class Waveform {
  readonly #canvas: HTMLCanvasElement;
  readonly #mark: HTMLElement;
  #columns: Column[] = [];
  #rest = 0; // samples of the column that is not full
  #arrivals: { frame: number; at: number; isText: boolean }[] = [];
  #drawing = false;

  constructor(canvas: HTMLCanvasElement, mark: HTMLElement) {
    this.#canvas = canvas;
    this.#mark = mark;
    new ResizeObserver(() => this.#draw()).observe(canvas);
  }

  begin(): void {
    this.#columns = [];
    this.#arrivals = [];
    this.#rest = 0;
    this.mark(0);
    this.#draw();
  }

  /** A frame arrived, `at` seconds after the question. */
  arrived(frame: number, at: number, isText: boolean): void {
    this.#arrivals.push({ frame, at, isText });
    this.#draw();
  }

  /** The sound of a frame, interleaved. */
  add(frame: number, pcm: Int16Array | Float32Array, rate: number, channels: number): void {
    const scale = pcm instanceof Int16Array ? 1 / 32768 : 1;
    const width = Math.max(1, Math.round((rate * channels) / COLUMNS));
    for (const sample of pcm) {
      const value = sample * scale;
      let column = this.#columns.at(-1);
      if (column === undefined || this.#rest === width) {
        this.#columns.push((column = { low: value, high: value, frame }));
        this.#rest = 0;
      }
      this.#rest++;
      if (value < column.low) column.low = value;
      if (value > column.high) column.high = value;
    }
    this.#draw();
  }

  /** Marks what is heard: `at` seconds of the sound. */
  mark(at: number): void {
    this.#mark.hidden = at <= 0 || this.#columns.length === 0;
    this.#mark.style.left = `${Math.min(100, (100 * at) / this.#seconds)}%`;
  }

  get #seconds(): number {
    return Math.max(1, this.#columns.length / COLUMNS, this.#arrivals.at(-1)?.at ?? 0);
  }

  #draw(): void {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      this.#drawNow();
    });
  }

  #drawNow(): void {
    const canvas = this.#canvas;
    const context = canvas.getContext("2d");
    const { width, height } = canvas.getBoundingClientRect();
    if (!context || width === 0) return;
    canvas.width = Math.round(width * devicePixelRatio);
    canvas.height = Math.round(height * devicePixelRatio);
    context.scale(devicePixelRatio, devicePixelRatio);
    const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
    const colour = (frame: number) => `hsl(${(frame * 137.5) % 360} 65% ${isDark ? 65 : 42}%)`;
    const scale = width / this.#seconds;
    const upper = height * ARRIVALS;
    for (const { frame, at, isText } of this.#arrivals) {
      context.fillStyle = isText ? getComputedStyle(canvas).color : colour(frame);
      const top = isText ? 0 : upper / 2;
      context.fillRect(Math.min(at * scale, width - 2), top, 2, upper / 2 - 2);
    }
    const middle = upper + (height - upper) / 2;
    const half = (height - upper) / 2;
    const step = scale / COLUMNS;
    this.#columns.forEach(({ low, high, frame }, n) => {
      context.fillStyle = colour(frame);
      context.fillRect(n * step, middle - high * half, Math.max(1, step), Math.max(1, (high - low) * half));
    });
  }
}
