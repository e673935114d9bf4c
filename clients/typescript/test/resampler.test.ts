/** Rates that have no small common ratio: the filters that are kept are bounded, and the tone stays right. */

import { expect, it } from "vitest";
import { Resampler } from "../src/audio/resampler.js";

function converted(from: number, to: number, size: number): Float32Array {
  const resampler = new Resampler(from, to, 1);
  const tone = Float32Array.from({ length: from }, (_, n) => 0.5 * Math.sin((2 * Math.PI * 440 * n) / from));
  const pieces: number[] = [];
  for (let at = 0; at < from; at += size) pieces.push(...(resampler.push(tone.subarray(at, at + size))[0] ?? []));
  return Float32Array.from([...pieces, ...(resampler.end()[0] ?? [])]);
}

it.each([
  [22_051, 48_000],
  [767_999, 48_000],
])("converts %d to %d with bounded filters", (from, to) => {
  const held = () => process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
  const before = held();
  const whole = converted(from, to, 65_536);
  expect(held() - before).toBeLessThan(100e6);
  expect(whole.length).toBe(to);
  const errors = whole.map((sample, k) => Math.abs(sample - 0.5 * Math.sin((2 * Math.PI * 440 * k) / to)));
  expect(Math.max(...errors.subarray(1_000, -1_000))).toBeLessThan(1e-4);
  expect(converted(from, to, 9_973)).toEqual(whole);
});
