/** WAV files, read and written. A browser's own decoder drops samples at the seams, or is not exact (WebKit). */

import { LITTLE_ENDIAN, swap } from "../byte-order.js";

/** PCM, interleaved. */
export interface Pcm {
  readonly samples: Int16Array<ArrayBuffer> | Float32Array<ArrayBuffer>;
  readonly rate: number;
  readonly channels: number;
}

/**
 * The sound of a WAV file: integers of up to 32 bits, floats of 32 or 64, A-law or mu-law. A size of the sound that is beyond the
 * file, or after which no chunk follows, is one that its writer did not know: it means the rest of the file. Throws `TypeError`
 * for anything else.
 */
export function decodeWav(bytes: Uint8Array): Pcm {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const name = (at: number) => String.fromCharCode(...bytes.subarray(at, at + 4));
  if (bytes.length < 12 || name(0) !== "RIFF" || name(8) !== "WAVE") throw new TypeError("not a WAV file");
  const isChunk = (at: number) => at + 8 > bytes.length || /^[\w ]{4}$/.test(name(at));
  let format: Format | undefined;
  for (let at = 12; at + 8 <= bytes.length;) {
    const start = at + 8;
    const size = Math.min(view.getUint32(at + 4, true), bytes.length - start);
    if (name(at) === "fmt " && size >= 16) {
      const tag = view.getUint16(start, true);
      format = {
        tag: tag === 0xfffe && size >= 26 ? view.getUint16(start + 24, true) : tag, // WAVE_FORMAT_EXTENSIBLE
        channels: view.getUint16(start + 2, true),
        rate: view.getUint32(start + 4, true),
        block: view.getUint16(start + 12, true),
        bits: view.getUint16(start + 14, true),
      };
    } else if (name(at) === "data" && format !== undefined) {
      const { rate, channels } = format;
      const end = start + size;
      const isWhole = isChunk(end) || (size % 2 === 1 && isChunk(end + 1));
      return { samples: toSamples(view, start, isWhole ? size : bytes.length - start, format), rate, channels };
    }
    at = start + size + (size % 2);
  }
  throw new TypeError("the WAV file has no sound");
}

interface Format {
  readonly tag: number;
  readonly channels: number;
  readonly rate: number;
  readonly block: number; // bytes of a sample frame; some writers give those of one channel, or 0
  readonly bits: number;
}

const WIDTHS: Readonly<Record<number, readonly number[]>> = { 1: [1, 2, 3, 4], 3: [4, 8], 6: [1], 7: [1] }; // by tag

function toSamples(
  view: DataView,
  start: number,
  size: number,
  { tag, channels, rate, block, bits }: Format,
): Pcm["samples"] {
  const least = Math.ceil(bits / 8);
  // Samples may not fill their bytes: they are in the upper bits then.
  const width = block % channels === 0 ? Math.max(least, block / channels) : least;
  if (channels < 1 || rate < 1 || bits < 1 || !WIDTHS[tag]?.includes(width)) {
    throw new TypeError(
      `a WAV file of format ${tag} with ${bits} bits, ${channels} channels and ${rate} Hz is not read`,
    );
  }
  const count = Math.floor(size / (width * channels)) * channels; // whole sample frames
  if (width === 2) return toInt16(new Uint8Array(view.buffer, view.byteOffset + start, 2 * count));
  const samples = new Float32Array(count);
  for (let n = 0; n < count; n++) {
    const at = start + n * width;
    if (tag === 3) samples[n] = width === 4 ? view.getFloat32(at, true) : view.getFloat64(at, true);
    else if (tag > 3) samples[n] = ofLaw(view.getUint8(at), tag === 6) / 32_768;
    else if (width === 1) samples[n] = (view.getUint8(at) - 128) / 128;
    else if (width === 3) samples[n] = (view.getUint16(at, true) + view.getInt8(at + 2) * 65_536) / 8_388_608;
    else samples[n] = view.getInt32(at, true) / 2_147_483_648;
  }
  return samples;
}

/** A sample of 16 bits from A-law or mu-law (ITU-T G.711). */
function ofLaw(code: number, isA: boolean): number {
  const bits = code ^ (isA ? 0x55 : 0xff);
  const exponent = (bits >> 4) & 7;
  const mantissa = 2 * (bits & 15) + 1;
  const size = isA
    ? (mantissa + (exponent ? 32 : 0)) << Math.max(3, exponent + 2)
    : ((mantissa + 32) << (exponent + 2)) - 132;
  return (bits & 128) === (isA ? 128 : 0) ? size : -size;
}

/** The samples of 16-bit PCM bytes, little-endian. A copy. */
export function toInt16(bytes: Uint8Array): Int16Array<ArrayBuffer> {
  const pcm = new Uint8Array(bytes.subarray(0, bytes.length - (bytes.length % 2)));
  return new Int16Array((LITTLE_ENDIAN ? pcm : swap(pcm, 2)).buffer);
}

/** The bytes of 16-bit PCM, little-endian. Samples beyond full scale are clipped. */
export function toPcm(samples: Int16Array | Float32Array): Uint8Array<ArrayBuffer> {
  const scale = samples instanceof Int16Array ? 1 : 32_768;
  const view = new DataView(new ArrayBuffer(2 * samples.length));
  samples.forEach((value, n) =>
    view.setInt16(2 * n, Math.max(-32_768, Math.min(32_767, Math.round(scale * value))), true),
  );
  return new Uint8Array(view.buffer);
}

/** A WAV file of 16-bit PCM bytes. */
export function encodeWav(pcm: readonly Uint8Array[], rate: number, channels: number): Uint8Array<ArrayBuffer> {
  const size = pcm.reduce((sum, { length }) => sum + length, 0);
  const bytes = new Uint8Array(44 + size);
  const view = new DataView(bytes.buffer);
  const text = (at: number, value: string) => bytes.set(new TextEncoder().encode(value), at);
  text(0, "RIFF");
  view.setUint32(4, 36 + size, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, channels, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, rate * channels * 2, true);
  view.setUint16(32, channels * 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, size, true);
  let at = 44;
  for (const piece of pcm) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  let binary: string;
  try {
    binary = atob(text.replace(/^data:[^,]*,/, ""));
  } catch (cause) {
    throw new TypeError("the sound is not base64", { cause });
  }
  const bytes = new Uint8Array(binary.length);
  for (let n = 0; n < bytes.length; n++) bytes[n] = binary.charCodeAt(n);
  return bytes;
}

export function toBase64(bytes: Uint8Array): string {
  let binary = "";
  // In pieces: the arguments of one call are limited.
  for (let at = 0; at < bytes.length; at += 8192) binary += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(binary);
}
