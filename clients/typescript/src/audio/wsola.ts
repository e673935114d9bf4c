/**
 * Faster or slower sound at the same pitch, piece by piece: WSOLA, waveform similarity overlap-add (Verhelst and Roelands,
 * ICASSP 1993, "An overlap-add technique based on waveform similarity").
 *
 * The output is made in hops of 10 ms. Each fades from what would follow the hop before, at `next`, to the piece of the input
 * around `ideal` (6 ms to either side) that is most like it. `ideal` is where the speed wants to be, and never drifts. A hop is
 * made only when all its input is known, so that no cutting of the sound changes a sample. At speed 1 the input passes through.
 */

const HOP = 0.01; // seconds: half of a Hann window of 20 ms
const SEARCH = 0.006;
const COARSE = 4; // the search looks at every fourth place and sample first

/** The state at a place of the output, from which it can be made again with another speed. */
export interface Mark {
  /** In the output that it came with. */
  readonly offset: number;
  readonly next: number;
  readonly ideal: number;
  /** Up to the next mark the output is the input: each of its samples has a mark. */
  readonly isCopy: boolean;
}

export interface Stretched {
  /** By channel. */
  readonly channels: Float32Array<ArrayBuffer>[];
  readonly marks: Mark[];
}

export class Stretcher {
  speed: number;
  readonly #hop: number;
  readonly #search: number;
  readonly #rising: Float64Array;
  #held: Float32Array[] = []; // by channel; its first sample is input number #first
  #first: number;
  #next: number;
  #ideal: number;

  /** `from` is a mark, or the beginning. */
  constructor(rate: number, speed: number, from: Pick<Mark, "next" | "ideal"> = { next: 0, ideal: 0 }) {
    this.speed = speed;
    this.#hop = Math.round(rate * HOP);
    this.#search = Math.round(rate * SEARCH);
    this.#rising = Float64Array.from(
      { length: this.#hop },
      (_, n) => 0.5 - 0.5 * Math.cos((Math.PI * (n + 0.5)) / this.#hop),
    );
    this.#next = from.next;
    this.#ideal = from.ideal;
    this.#first = this.needed;
  }

  /** The number of the input sample that the next output goes on from. */
  get next(): number {
    return this.#next;
  }

  /** The first input sample that is still needed: what `push` begins with, after a mark. */
  get needed(): number {
    return Math.max(0, Math.min(this.#next, Math.floor(this.#ideal) - this.#search));
  }

  /** The next piece of the sound, by channel. Returns what is now known. */
  push(piece: readonly Float32Array[]): Stretched {
    this.#add(piece);
    return this.#stretch(this.#end);
  }

  /** The rest of the sound. Then a new one may begin, with other channels. */
  end(): Stretched {
    const end = this.#end;
    const rest = this.speed === 1 ? end - this.#next : Math.round((end - this.#ideal) / this.speed);
    if (this.speed !== 1) this.#add(this.#held.map(() => new Float32Array(2 * (this.#hop + this.#search))));
    const { channels, marks } = this.#stretch(this.#end, Math.max(0, rest));
    this.#held = [];
    this.#first = this.#next = this.#ideal = end;
    return { channels, marks };
  }

  get #end(): number {
    return this.#first + (this.#held[0]?.length ?? 0);
  }

  #add(piece: readonly Float32Array[]): void {
    this.#held = piece.map((samples, channel) => joined([this.#held[channel] ?? new Float32Array(), samples]));
  }

  #stretch(end: number, most = Infinity): Stretched {
    const made: Float32Array[][] = this.#held.map(() => []);
    const marks: Mark[] = [];
    if (this.speed === 1) {
      marks.push({ offset: 0, next: this.#next, ideal: this.#ideal, isCopy: true });
      const count = Math.min(end - this.#next, most);
      const at = this.#next - this.#first;
      this.#held.forEach((held, channel) => made[channel]?.push(held.subarray(at, at + count)));
      this.#next += count;
      this.#ideal += count;
    } else {
      const reach = this.#search + this.#hop;
      for (let offset = 0; offset < most; offset += this.#hop) {
        if (Math.max(this.#next + this.#hop, Math.round(this.#ideal) + reach + 1) > end) break;
        marks.push({ offset, next: this.#next, ideal: this.#ideal, isCopy: false });
        const best = this.#best();
        const count = Math.min(this.#hop, most - offset);
        this.#held.forEach((held, channel) => made[channel]?.push(this.#faded(held, best, count)));
        this.#next = best + this.#hop;
        this.#ideal += this.#hop * this.speed;
      }
    }
    const channels = made.map(joined);
    const drop = Math.max(0, this.needed - this.#first);
    this.#held = this.#held.map((held) => held.slice(drop));
    this.#first += drop;
    return { channels, marks: channels[0]?.length ? marks : [] };
  }

  #faded(held: Float32Array, best: number, count: number): Float32Array {
    const hop = new Float32Array(count);
    const from = this.#next - this.#first;
    const to = best - this.#first;
    for (let n = 0; n < count; n++) {
      const rising = this.#rising[n] as number;
      hop[n] = (1 - rising) * (held[from + n] as number) + rising * (held[to + n] as number);
    }
    return hop;
  }

  /** Where the input around `ideal` is most like what would follow. */
  #best(): number {
    const wanted = Math.round(this.#ideal);
    const lowest = Math.max(this.#first, wanted - this.#search);
    const highest = wanted + this.#search;
    let best = this.#mostLike(lowest, highest, COARSE);
    best = this.#mostLike(Math.max(lowest, best - COARSE + 1), Math.min(highest, best + COARSE - 1), 1);
    return best;
  }

  #mostLike(lowest: number, highest: number, step: number): number {
    let best = lowest;
    let most = -Infinity;
    for (let place = lowest; place <= highest; place += step) {
      let product = 0;
      let energy = 1e-9; // silence is like nothing
      for (const held of this.#held) {
        const from = this.#next - this.#first;
        const to = place - this.#first;
        for (let n = 0; n < this.#hop; n += step) {
          const value = held[to + n] as number;
          product += (held[from + n] as number) * value;
          energy += value * value;
        }
      }
      const likeness = product / Math.sqrt(energy);
      if (likeness > most) {
        most = likeness;
        best = place;
      }
    }
    return best;
  }
}

function joined(pieces: readonly Float32Array[]): Float32Array<ArrayBuffer> {
  const all = new Float32Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}
