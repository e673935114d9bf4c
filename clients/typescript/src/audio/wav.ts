/** WAV files, read and written. A browser's own decoder drops samples at the seams, or is not exact (WebKit). */

const LITTLE_ENDIAN = /* @__PURE__ */ new Uint8Array(/* @__PURE__ */ new Uint16Array([1]).buffer)[0] === 1;

/** PCM, interleaved. */
export interface Pcm {
  readonly samples: Int16Array<ArrayBuffer> | Float32Array<ArrayBuffer>;
  readonly rate: number;
  readonly channels: number;
}

/**
 * The sound of a WAV file: integers of 8 to 32 bits, or floats of 32. A size that is wrong, as in files that were written as
 * a stream, means the rest of the file. Throws `TypeError` for anything else.
 */
export function decodeWav(bytes: Uint8Array): Pcm {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const name = (at: number) => String.fromCharCode(...bytes.subarray(at, at + 4));
  if (bytes.length < 12 || name(0) !== "RIFF" || name(8) !== "WAVE") throw new TypeError("not a WAV file");
  let format: { tag: number; channels: number; rate: number; bits: number } | undefined;
  for (let at = 12; at + 8 <= bytes.length;) {
    const start = at + 8;
    const size = Math.min(view.getUint32(at + 4, true), bytes.length - start);
    if (name(at) === "fmt " && size >= 16) {
      const tag = view.getUint16(start, true);
      format = {
        tag: tag === 0xfffe && size >= 26 ? view.getUint16(start + 24, true) : tag, // WAVE_FORMAT_EXTENSIBLE
        channels: view.getUint16(start + 2, true),
        rate: view.getUint32(start + 4, true),
        bits: view.getUint16(start + 14, true),
      };
    } else if (name(at) === "data" && format !== undefined) {
      return { samples: toSamples(view, start, size, format), rate: format.rate, channels: format.channels };
    }
    at = start + size + (size % 2);
  }
  throw new TypeError("the WAV file has no sound");
}

function toSamples(
  view: DataView,
  start: number,
  size: number,
  { tag, channels, bits }: { tag: number; channels: number; bits: number },
): Pcm["samples"] {
  const width = bits / 8;
  if (channels < 1 || !(tag === 1 ? [8, 16, 24, 32] : tag === 3 ? [32] : []).includes(bits)) {
    throw new TypeError(`a WAV file of format ${tag} with ${bits} bits and ${channels} channels is not read`);
  }
  const count = Math.floor(size / (width * channels)) * channels; // whole sample frames
  if (bits === 16) return toInt16(new Uint8Array(view.buffer, view.byteOffset + start, 2 * count));
  const samples = new Float32Array(count);
  for (let n = 0; n < count; n++) {
    const at = start + n * width;
    if (tag === 3) samples[n] = view.getFloat32(at, true);
    else if (bits === 8) samples[n] = (view.getUint8(at) - 128) / 128;
    else if (bits === 24) samples[n] = (view.getUint16(at, true) + view.getInt8(at + 2) * 65_536) / 8_388_608;
    else samples[n] = view.getInt32(at, true) / 2_147_483_648;
  }
  return samples;
}

/** The samples of 16-bit PCM bytes, little-endian. A copy. */
export function toInt16(bytes: Uint8Array): Int16Array<ArrayBuffer> {
  if (LITTLE_ENDIAN) return new Int16Array(bytes.slice().buffer, 0, bytes.length >> 1);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const samples = new Int16Array(bytes.length >> 1);
  for (let n = 0; n < samples.length; n++) samples[n] = view.getInt16(2 * n, true);
  return samples;
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
  const binary = atob(text.replace(/^data:[^,]*,/, ""));
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
