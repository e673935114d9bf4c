/** The player in a real browser, in an OfflineAudioContext, which is exact. It posts what it found. */

import { AudioPlayer, streamChat } from "../../src/audio/index.js";
import { decodeSound, readable } from "../../src/audio/compressed.js";
import { fromBase64 } from "../../src/audio/wav.js";
import { rawCoder, StreamEncoder } from "../../src/index.js";
import { join } from "../vectors.js";
import { FLAC, OPUS } from "./sounds.js";

export interface AudioReport {
  /** By case: how many samples were compared, and the largest difference. */
  cuts: Record<string, [count: number, difference: number]>;
  /** Seconds from the flush to the last sample that is not 0, and the largest step after it, in slopes of the tone. */
  flush: { silentAfter: number; step: number; later: number };
  underrun: { count: number; step: number; heard: number };
  locked: { position: number; difference: number };
  jitter: { count: number; difference: number; underruns: number };
  /** By format: the samples of a sentence, those that are heard of three, and the largest difference and likeness to PCM. */
  compressed: Record<string, { sentence: number[]; heard: number; difference: number; likeness: number }>;
  /** The text of an answer whose sound cannot be decoded, its sounds, and what is asked for before and after. */
  broken: { text: string; count: number; asked: string[] };
  /** The speed is changed while the sound is heard: seconds until a change is heard, and of the whole; steps in slopes. */
  speed: { heardAfter: number; seconds: number; step: number; position: number; playing: unknown[]; byCutting: number };
  error?: string;
}

/** A tone whose every sample differs, at half of full scale. */
function tone(rate: number, frames: number, channels = 1): Int16Array {
  return Int16Array.from({ length: frames * channels }, (_, n) => {
    const frame = Math.floor(n / channels);
    return Math.round(16_000 * Math.sin((2 * Math.PI * (211 + 60 * (n % channels)) * frame) / rate + 0.7));
  });
}

async function played(
  sound: Int16Array,
  format: { rate: number; channels: number },
  to: number,
  sizes: () => number,
): Promise<Float32Array[]> {
  const { rate, channels } = format;
  const context = new OfflineAudioContext(channels, Math.ceil((sound.length / channels / rate + 0.3) * to), to);
  const player = new AudioPlayer({ context });
  for (let at = 0; at < sound.length;) {
    const next = at + sizes() * channels;
    player.push(sound.slice(at, next), format);
    at = next;
  }
  player.end();
  const buffer = await context.startRendering();
  await player.close();
  return Array.from({ length: channels }, (_, channel) => buffer.getChannelData(channel));
}

function difference(one: Float32Array[], other: Float32Array[]): [count: number, difference: number] {
  let largest = 0;
  let count = 0;
  one.forEach((samples, channel) =>
    samples.forEach((value, n) => {
      if (value !== 0) count++;
      largest = Math.max(largest, Math.abs(value - (other[channel]?.[n] ?? NaN)));
    }),
  );
  return [count, Number.isNaN(largest) ? 9 : largest];
}

function random(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 1_103_515_245 + 12_345) % 2_147_483_648) / 2_147_483_648;
}

async function cuts(): Promise<AudioReport["cuts"]> {
  const found: AudioReport["cuts"] = {};
  for (const [rate, to] of [
    [22_050, 48_000],
    [24_000, 44_100],
    [8_000, 48_000],
    [48_000, 48_000],
    [48_000, 44_100],
  ] as const) {
    for (const channels of [1, 2]) {
      const sound = tone(rate, 2 * rate + 17, channels);
      const whole = await played(sound, { rate, channels }, to, () => sound.length);
      const next = random(rate + channels);
      for (const [name, sizes] of [
        ["441", () => 441],
        ["333", () => 333],
        ["random", () => 1 + Math.floor(next() * 2000)],
      ] as const) {
        const name_ = `${rate} -> ${to}, ${channels}, ${name}`;
        found[name_] = difference(whole, await played(sound, { rate, channels }, to, sizes));
      }
    }
  }
  for (const frames of [0, 1, 7]) {
    const sound = tone(22_050, frames);
    const whole = await played(sound, { rate: 22_050, channels: 1 }, 48_000, () => frames || 1);
    found[`${frames} samples`] = difference(whole, await played(sound, { rate: 22_050, channels: 1 }, 48_000, () => 1));
  }
  return found;
}

const slope = (rate: number) => ((2 * Math.PI * 211) / rate) * (16_000 / 32_768);

function largestStep(samples: Float32Array, from = 1, to = samples.length): number {
  let largest = 0;
  for (let n = Math.max(1, from); n < to; n++) {
    largest = Math.max(largest, Math.abs((samples[n] as number) - (samples[n - 1] as number)));
  }
  return largest;
}

async function flush(): Promise<AudioReport["flush"]> {
  const rate = 48_000;
  const context = new OfflineAudioContext(1, 3 * rate, rate);
  const player = new AudioPlayer({ context });
  const sound = tone(22_050, 2 * 22_050);
  for (let at = 0; at < sound.length; at += 441) player.push(sound.slice(at, at + 441), { rate: 22_050 });
  const at = Math.round((0.5 * rate) / 128) * 128;
  let again = 0;
  void context.suspend(at / rate).then(() => {
    player.flush();
    return context.resume();
  });
  void context.suspend((at + rate) / rate).then(() => {
    player.push(tone(22_050, 2205), { rate: 22_050, id: "new" });
    player.end();
    again = Math.round(context.currentTime * rate);
    return context.resume();
  });
  const samples = (await context.startRendering()).getChannelData(0);
  let last = at;
  for (let n = at; n < again; n++) if (samples[n] !== 0) last = n;
  let later = 0;
  for (const value of samples.subarray(again)) if (value !== 0) later++;
  await player.close();
  return { silentAfter: (last - at) / rate, step: largestStep(samples, at - 500, again) / slope(rate), later };
}

async function underrun(): Promise<AudioReport["underrun"]> {
  const rate = 48_000;
  const context = new OfflineAudioContext(1, 3 * rate, rate);
  const player = new AudioPlayer({ context });
  const sound = tone(22_050, 22_050);
  player.push(sound.slice(0, 8_820), { rate: 22_050 });
  void context.suspend(1).then(() => {
    player.push(sound.slice(8_820), { rate: 22_050 });
    player.end();
    return context.resume();
  });
  const samples = (await context.startRendering()).getChannelData(0);
  const begin = samples.findIndex((value) => value !== 0);
  // The sound's own ends are steps, as it begins and ends in full voice.
  let end = samples.length - 1;
  while (samples[end] === 0) end--;
  const result = {
    count: player.underruns,
    step: largestStep(samples, begin + 50, end - 50) / slope(rate),
    heard: player.position,
  };
  await player.close();
  return result;
}

/** What is pushed while nothing runs is heard from the beginning. */
async function locked(): Promise<AudioReport["locked"]> {
  const rate = 48_000;
  const sound = tone(24_000, 24_000);
  const whole = await played(sound, { rate: 24_000, channels: 1 }, rate, () => sound.length);
  const context = new OfflineAudioContext(1, whole[0]?.length ?? 0, rate);
  const player = new AudioPlayer({ context });
  for (let at = 0; at < sound.length; at += 240) {
    player.push(sound.slice(at, at + 240), { rate: 24_000 });
    if (at % 4800 === 0) await new Promise((resolve) => setTimeout(resolve, 30));
  }
  player.end();
  const { position } = player;
  const buffer = await context.startRendering();
  await player.close();
  return { position, difference: difference(whole, [buffer.getChannelData(0)])[1] };
}

/** Pieces of odd sizes that come late, but before the cushion is used up. */
async function jitter(): Promise<AudioReport["jitter"]> {
  const rate = 48_000;
  const sound = tone(22_050, 22_050);
  const whole = await played(sound, { rate: 22_050, channels: 1 }, rate, () => sound.length);
  const context = new OfflineAudioContext(1, whole[0]?.length ?? 0, rate);
  const player = new AudioPlayer({ context });
  const next = random(7);
  let at = 0;
  const push = (until: number) => {
    while (at < Math.min(until, sound.length)) {
      const end = Math.min(sound.length, at + 1 + Math.floor(next() * 900));
      player.push(sound.slice(at, end), { rate: 22_050 });
      at = end;
    }
    if (at === sound.length) player.end();
  };
  push(4_410); // 0.2 s, before anything is heard
  for (let time = 0.05; time < 0.9; time += 0.05 + 0.09 * next()) {
    const quantum = Math.round((time * rate) / 128) * 128;
    void context.suspend(quantum / rate).then(() => {
      push(Math.ceil((quantum / rate + 0.2) * 22_050));
      return context.resume();
    });
  }
  void context.suspend((128 * Math.floor(0.9 * 375)) / rate).then(() => {
    push(sound.length);
    return context.resume();
  });
  const samples = (await context.startRendering()).getChannelData(0);
  const { underruns } = player;
  const [count, largest] = difference(whole, [samples]);
  await player.close();
  return { count, difference: largest < 1e-6 ? 0 : largest, underruns };
}

function product(one: Float32Array, other: Float32Array): number {
  return one.reduce((sum, value, n) => sum + value * (other[n] ?? 0), 0);
}

const OF_A_SENTENCE = 4411;

/** An answer of three sentences with the same sound, the second of them as PCM. */
function answer(format: string, file: Uint8Array): Uint8Array<ArrayBuffer> {
  const pcm = new Uint8Array(tone(22_050, OF_A_SENTENCE).buffer);
  const encoder = new StreamEncoder(rawCoder());
  const pieces = [encoder.open(), encoder.data({ kind: "text" }, new TextEncoder().encode("One. Two. Three."))];
  for (const sentence of [1, 2, 3]) {
    const form = { kind: "audio", sentence, text: "", rate: 22_050, channels: 1, samples: OF_A_SENTENCE, at: 0 };
    if (sentence !== 2) pieces.push(encoder.data({ ...form, format }, file));
    else {
      pieces.push(encoder.data({ ...form, format: "s16le" }, pcm.subarray(0, 2_000)));
      pieces.push(encoder.data({ ...form, format: "s16le" }, pcm.subarray(2_000)));
    }
  }
  pieces.push(encoder.end());
  return join(pieces);
}

async function heardOf(format: string, file: Uint8Array): Promise<{ sentence: number[]; samples: Float32Array }> {
  const context = new OfflineAudioContext(1, 44_100, 44_100);
  const player = new AudioPlayer({ context });
  const sentence = [0, 0, 0];
  const body = answer(format, file);
  const headers = { "content-type": "application/vnd.objectstreaming;v=1;coder=raw" };
  await streamChat(
    "Hi",
    { onSound: (piece) => (sentence[piece.sentence - 1] = (sentence[piece.sentence - 1] ?? 0) + piece.pcm.length) },
    { player, audio: ["opus", "flac", "pcm"], fetch: () => Promise.resolve(new Response(body, { headers })) },
  ).done;
  const samples = (await context.startRendering()).getChannelData(0);
  await player.close();
  return { sentence, samples };
}

async function compressed(): Promise<AudioReport["compressed"]> {
  const plain = await heardOf("s16le", new Uint8Array(tone(22_050, OF_A_SENTENCE).buffer));
  const found: AudioReport["compressed"] = {};
  for (const [name, format, file] of [
    ["pcm", "s16le", new Uint8Array(tone(22_050, OF_A_SENTENCE).buffer)],
    ["flac", "flac", fromBase64(FLAC)],
    ["opus", "ogg-opus", fromBase64(OPUS)],
  ] as const) {
    const { sentence, samples } = await heardOf(format, file);
    let heard = samples.length;
    while (heard > 0 && samples[heard - 1] === 0) heard--;
    const likeness = product(samples, plain.samples) / product(plain.samples, plain.samples);
    found[name] = { sentence, heard, difference: difference([samples], [plain.samples])[1], likeness };
  }
  return found;
}

async function broken(): Promise<AudioReport["broken"]> {
  const asked = [readable(["opus", "flac"]).join()];
  const headers = { "content-type": "application/vnd.objectstreaming;v=1;coder=raw" };
  const body = answer("ogg-opus", fromBase64(OPUS).subarray(0, 100));
  const fetch = () => Promise.resolve(new Response(body, { headers }));
  const { text, count } = await streamChat("Hi", { onSound: () => undefined }, { fetch, audio: ["opus"] }).done;
  asked.push(readable(["opus", "flac"]).join());
  const form = { rate: 22_050, channels: 1, samples: 1 };
  if (await decodeSound(new Uint8Array(9), "flac", form)) throw new Error("nine zeros are no FLAC");
  asked.push(readable(["opus", "flac"]).join());
  return { text, count, asked };
}

const CHANGES = [
  [0.5, 1.5],
  [1, 0.5],
  [1.5, 1],
  [2, 2],
] as const;

/** 3 s in two sounds, one after the other; the speed changes in both. */
async function atSpeeds(sizes: () => number, changes: readonly (readonly [time: number, speed: number])[]) {
  const rate = 48_000;
  const sound = tone(22_050, 66_150);
  const context = new OfflineAudioContext(1, 5 * rate, rate);
  const player = new AudioPlayer({ context });
  for (let at = 0; at < sound.length;) {
    const next = Math.min(sound.length, at + sizes(), at < 44_100 ? 44_100 : Infinity);
    player.push(sound.slice(at, next), { rate: 22_050, id: at < 44_100 ? 1 : 2 });
    at = next;
  }
  player.end();
  const playing: unknown[] = [];
  for (const [time, speed] of changes) {
    void context.suspend((128 * Math.round(time * 375)) / rate).then(() => {
      playing.push(player.playing);
      player.speed = speed;
      return context.resume();
    });
  }
  const samples = (await context.startRendering()).getChannelData(0);
  const { position } = player;
  await player.close();
  return { samples, position, playing };
}

async function speed(): Promise<AudioReport["speed"]> {
  const rate = 48_000;
  const plain = await atSpeeds(() => 99_999, []);
  const { samples, position, playing } = await atSpeeds(() => 99_999, CHANGES);
  const next = random(3);
  const cut = await atSpeeds(() => 1 + Math.floor(next() * 900), CHANGES);
  const heard = samples.findIndex((value, n) => Math.abs(value - (plain.samples[n] as number)) > 1e-6);
  const begin = samples.findIndex((value) => value !== 0);
  let end = samples.length - 1;
  while (samples[end] === 0) end--;
  return {
    heardAfter: heard / rate - 0.5,
    seconds: (end - begin) / rate,
    step: largestStep(samples, begin + 50, end - rate / 50) / slope(rate),
    position,
    playing,
    byCutting: difference([samples], [cut.samples])[1],
  };
}

async function report(): Promise<Partial<AudioReport>> {
  try {
    return {
      cuts: await cuts(),
      flush: await flush(),
      underrun: await underrun(),
      locked: await locked(),
      jitter: await jitter(),
      compressed: await compressed(),
      broken: await broken(),
      speed: await speed(),
    };
  } catch (error) {
    return { error: String((error as Error).stack) };
  }
}

void report()
  .then((found) => fetch("/result", { method: "POST", body: JSON.stringify(found) }))
  .then(() => location.assign("/closed"));
