/**
 * Conversion of sound from one sample rate to another, piece by piece.
 *
 * Output sample k is the sound at input position k * from / to, by a windowed sinc. The position is kept as whole numbers, so
 * that it never drifts, and each output sample is computed from the same input samples in the same order, wherever the
 * sound was cut: the pieces together are bit for bit the conversion of the uncut sound. Browsers convert each buffer for
 * itself, some of them linearly, which is heard as clicks and as hiss.
 */

const HALF_TAPS = 16;
const PHASES = 4096; // so many filters at most; rates that want more get the one before, which is at most 1/4096 off

export class Resampler {
  readonly from: number;
  readonly to: number;
  readonly channels: number;
  readonly #up: number;
  readonly #down: number;
  readonly #half: number;
  readonly #filters: Float64Array[] = []; // by phase, made on first use
  #held: Float32Array[]; // by channel; its first sample is input number #first
  #first: number;
  #taken = 0; // input sample frames taken
  #given = 0; // output sample frames given

  constructor(from: number, to: number, channels: number) {
    for (const rate of [from, to]) {
      if (!Number.isInteger(rate) || rate < 1000 || rate > 768_000) {
        throw new RangeError(`a sample rate is an integer from 1,000 to 768,000, not ${rate}`);
      }
    }
    if (!Number.isInteger(channels) || channels < 1 || channels > 32) {
      throw new RangeError(`channels are 1 to 32, not ${channels}`);
    }
    this.from = from;
    this.to = to;
    this.channels = channels;
    const divisor = greatestCommonDivisor(from, to);
    this.#up = to / divisor;
    this.#down = from / divisor;
    // Going down, the filter must be as much longer as its cut-off frequency is lower.
    this.#half = from === to ? 0 : Math.ceil(HALF_TAPS * Math.max(1, from / to));
    this.#first = -this.#half; // silence before the sound
    this.#held = Array.from({ length: channels }, () => new Float32Array(this.#half));
  }

  /** The next piece of the sound, interleaved, as whole sample frames. Returns what is now known, an array a channel. */
  push(samples: Int16Array | Float32Array): Float32Array<ArrayBuffer>[] {
    const { channels } = this;
    if (samples.length % channels) {
      throw new RangeError(`${samples.length} samples are not whole sample frames of ${channels} channels`);
    }
    const frames = samples.length / channels;
    const scale = samples instanceof Int16Array ? 1 / 32768 : 1;
    this.#taken += frames;
    this.#held = this.#held.map((held, channel) => {
      const all = new Float32Array(held.length + frames);
      all.set(held);
      for (let n = 0; n < frames; n++) all[held.length + n] = (samples[n * channels + channel] as number) * scale;
      return all;
    });
    return this.#convert(Math.floor(((this.#taken - this.#half) * this.#up - 1) / this.#down) + 1);
  }

  /** The rest of the sound. In all there are ceil(n * to / from) samples for n. Then a new sound may begin. */
  end(): Float32Array<ArrayBuffer>[] {
    this.#held = this.#held.map((held) => {
      const all = new Float32Array(held.length + this.#half);
      all.set(held);
      return all;
    });
    const rest = this.#convert(Math.ceil((this.#taken * this.#up) / this.#down));
    this.#first = -this.#half;
    this.#held = this.#held.map(() => new Float32Array(this.#half));
    this.#taken = this.#given = 0;
    return rest;
  }

  /** The output samples up to number `until`, exclusive. */
  #convert(until: number): Float32Array<ArrayBuffer>[] {
    const given = this.#given;
    const count = Math.max(0, until - given);
    const output = this.#held.map((held) => {
      const one = new Float32Array(count);
      if (this.#half === 0) one.set(held.subarray(0, count));
      else this.#filtered(held, given, one);
      return one;
    });
    this.#given += count;
    // The next output needs the input from here on.
    const needed = Math.floor((this.#given * this.#down) / this.#up) - Math.max(0, this.#half - 1);
    const drop = Math.min(Math.max(0, needed - this.#first), this.#held[0]?.length ?? 0);
    this.#held = this.#held.map((held) => held.slice(drop));
    this.#first += drop;
    return output;
  }

  /** The output samples from number `given` on. */
  #filtered(held: Float32Array, given: number, output: Float32Array): void {
    const up = this.#up;
    const down = this.#down;
    const step = Math.ceil(up / PHASES);
    const base = Math.floor((given * down) / up);
    let phase = given * down - base * up;
    let start = base - this.#half + 1 - this.#first;
    for (let k = 0; k < output.length; k++) {
      const kept = phase - (phase % step);
      const filter = this.#filters[kept] ?? this.#filter(kept);
      const taps = filter.length; // an even number
      // Two sums, because a processor adds faster if it need not wait for the sum before.
      let even = 0;
      let odd = 0;
      for (let tap = 0; tap < taps; tap += 2) {
        even += (filter[tap] as number) * (held[start + tap] as number);
        odd += (filter[tap + 1] as number) * (held[start + tap + 1] as number);
      }
      output[k] = even + odd;
      phase += down;
      const whole = Math.floor(phase / up);
      phase -= whole * up;
      start += whole;
    }
  }

  #filter(phase: number): Float64Array {
    const cutOff = Math.min(1, this.to / this.from) * 0.95;
    const filter = new Float64Array(2 * this.#half);
    let sum = 0;
    for (let tap = 0; tap < filter.length; tap++) {
      const distance = tap - this.#half + 1 - phase / this.#up;
      const x = Math.PI * distance * cutOff;
      // Blackman: its stop band is below -74 dB
      const w = Math.PI * (distance / this.#half);
      const window = 0.42 + 0.5 * Math.cos(w) + 0.08 * Math.cos(2 * w);
      sum += filter[tap] = Math.abs(distance) > this.#half ? 0 : (x === 0 ? 1 : Math.sin(x) / x) * window;
    }
    for (let tap = 0; tap < filter.length; tap++) filter[tap] = (filter[tap] as number) / sum; // a constant stays itself
    this.#filters[phase] = filter;
    return filter;
  }
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
