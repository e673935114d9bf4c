/** Faster and slower speech: lengths, pitch, and that no cutting changes a sample. */

import { describe, expect, it } from "vitest";
import { Stretcher } from "../src/audio/wsola.js";

const RATE = 48_000;
const SPEEDS = [0.5, 0.8, 1, 1.25, 1.5, 2];

const tone = (frames: number, frequency = 440): Float32Array =>
  Float32Array.from({ length: frames }, (_, n) => 0.5 * Math.sin((2 * Math.PI * frequency * n) / RATE));

/** Syllables: a tone that glides, with silences, and noise. */
function speech(frames: number): Float32Array {
  let noise = 1;
  return Float32Array.from({ length: frames }, (_, n) => {
    noise = (noise * 16_807) % 2_147_483_647;
    const time = n / RATE;
    const loud = Math.max(0, Math.sin(2 * Math.PI * 3 * time));
    return loud * (0.4 * Math.sin(2 * Math.PI * (140 * time + 20 * time * time)) + 0.1 * (noise / 2 ** 30 - 1));
  });
}

function stretched(sound: Float32Array[], speed: number, size = Infinity): number[][] {
  const stretcher = new Stretcher(RATE, speed);
  const all: number[][] = sound.map(() => []);
  const frames = sound[0]?.length ?? 0;
  const add = (channels: Float32Array[]) =>
    channels.forEach((samples, n) => samples.forEach((sample) => all[n]?.push(sample)));
  for (let at = 0; at < frames; at += size) add(stretcher.push(sound.map((one) => one.slice(at, at + size))).channels);
  add(stretcher.end().channels);
  return all;
}

/** The frequency of a tone, from the times of its first and last rising zero. */
function frequency(samples: number[]): number {
  const zeros: number[] = [];
  for (let n = 1; n < samples.length; n++) {
    const [before, after] = [samples[n - 1] as number, samples[n] as number];
    if (before < 0 && after >= 0) zeros.push(n - after / (after - before));
  }
  return (RATE * (zeros.length - 1)) / ((zeros.at(-1) as number) - (zeros[0] as number));
}

describe("Stretcher", () => {
  it.each(SPEEDS)("at speed %d: the length, the pitch and the slope of a tone", (speed) => {
    const [got = []] = stretched([tone(2 * RATE)], speed);
    expect(Math.abs(got.length / ((2 * RATE) / speed) - 1)).toBeLessThan(0.005);
    expect(frequency(got.slice(0, -RATE / 50))).toBeGreaterThan(439.9);
    expect(frequency(got.slice(0, -RATE / 50))).toBeLessThan(440.6);
    const inner = got.slice(0, -RATE / 20); // the end of the tone is a step of its own
    let steepest = 0;
    for (let n = 1; n < inner.length; n++) {
      steepest = Math.max(steepest, Math.abs((inner[n] as number) - (inner[n - 1] as number)));
    }
    expect(steepest).toBeLessThan(1.01 * 0.5 * ((2 * Math.PI * 440) / RATE));
  });

  it.each(SPEEDS)("at speed %d: no cutting changes a sample", (speed) => {
    const sound = [speech(RATE / 4), tone(RATE / 4, 333)];
    const whole = stretched(sound, speed);
    for (const size of [333, 441, 5000]) expect(stretched(sound, speed, size)).toEqual(whole);
  });

  it("is the sound itself at speed 1", () => {
    const sound = speech(5000);
    expect(stretched([sound], 1, 333)).toEqual([[...sound]]);
  });

  it.each([0, 1, 7, 500])("takes a sound of %d samples", (frames) => {
    for (const speed of SPEEDS) {
      const [got = []] = stretched([tone(frames)], speed, 1);
      expect(Math.abs(got.length - frames / speed)).toBeLessThanOrEqual(1);
      expect(got.every(Number.isFinite)).toBe(true);
    }
  });

  it("goes on from a mark with another speed, as if it had not stopped", () => {
    const sound = speech(RATE);
    const before = new Stretcher(RATE, 1.5);
    const { channels, marks } = before.push([sound]);
    for (const [mark, at] of [
      [marks[10], 10 * 480],
      [marks[30], 30 * 480],
    ] as const) {
      if (mark === undefined) throw new Error("there is no mark");
      expect(mark.offset).toBe(at);
      const same = new Stretcher(RATE, 1.5, mark);
      expect(same.push([sound.slice(same.needed)]).channels[0]).toEqual(channels[0]?.slice(at));
      const slow = new Stretcher(RATE, 0.5, mark);
      const rest = slow.push([sound.slice(slow.needed)]).channels[0]?.length ?? 0;
      const last = slow.end().channels[0]?.length ?? 0;
      expect(Math.abs(rest + last - (RATE - mark.ideal) / 0.5)).toBeLessThanOrEqual(1);
    }
  });

  it("begins a new sound after the end, with other channels", () => {
    const stretcher = new Stretcher(RATE, 2);
    stretcher.push([tone(3000)]);
    stretcher.end();
    expect(stretcher.next).toBe(3000);
    const { channels } = stretcher.push([tone(3000), tone(3000)]);
    expect(channels.length).toBe(2);
    expect(stretcher.end().channels.length).toBe(2);
    expect(stretcher.next).toBe(6000);
  });
});
