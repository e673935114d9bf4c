/**
 * Compressed sound, whole files, by the browser's own decoder.
 *
 * It is decoded at the rate that the header says, in a context of its own, and then cut or padded to the number of samples there:
 * decoders differ by some samples (WebKit), and Opus has a rate of its own. So a sentence has as many samples as it has as PCM, and
 * the player converts both in the same way.
 *
 * What a browser says of its decoders is not to be relied on. A format that failed is not asked for again.
 */

/** What sound may come as. A server that knows only others answers with an error. */
export type AudioFormat = "opus" | "flac" | "pcm";

const NAMES = new Map<unknown, AudioFormat>([
  ["flac", "flac"],
  ["ogg-opus", "opus"],
]);
const failed = new Set<AudioFormat>();
let context: OfflineAudioContext | undefined; // of the last rate

/** Whether a header's `format` is that of a compressed file. */
export function isCompressed(format: unknown): boolean {
  return NAMES.has(format);
}

/** The formats that can be asked for: those of `wanted` that this browser did not fail to read; at least PCM. */
export function readable(wanted: readonly AudioFormat[]): readonly AudioFormat[] {
  const decodes = typeof OfflineAudioContext === "function";
  const left = wanted.filter((name) => name === "pcm" || (decodes && !failed.has(name)));
  return left.length > 0 ? left : ["pcm"];
}

/** Interleaved samples at `rate`, `samples` sample frames of them; `undefined` if the browser cannot read the file. */
export async function decodeSound(
  file: Uint8Array,
  format: unknown,
  { rate, channels, samples }: { readonly rate: number; readonly channels: number; readonly samples: number },
): Promise<Float32Array<ArrayBuffer> | undefined> {
  try {
    if (context?.sampleRate !== rate) context = new OfflineAudioContext(1, 1, rate);
    const buffer = await context.decodeAudioData(file.slice().buffer); // it takes the bytes away
    const sound = new Float32Array(samples * channels);
    for (let channel = 0; channel < Math.min(channels, buffer.numberOfChannels); channel++) {
      const from = buffer.getChannelData(channel);
      const frames = Math.min(samples, from.length);
      for (let n = 0; n < frames; n++) sound[n * channels + channel] = from[n] as number;
    }
    return sound;
  } catch {
    const name = NAMES.get(format);
    if (name !== undefined) failed.add(name);
    return undefined;
  }
}
