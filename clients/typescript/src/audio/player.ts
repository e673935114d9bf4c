/**
 * Plays sound that arrives in pieces, without a seam.
 *
 * **One grid.** All sound is converted to the sample rate of the AudioContext by one `Resampler`, and the pieces start at whole
 * samples of the context, one after the other. So every cutting of a sound plays as the uncut sound does, sample for sample.
 *
 * **The player is the queue.** At most five seconds are scheduled, in a hidden page all, because its timers are slow. The
 * rest waits as it came.
 *
 * **Late pieces.** After each piece a fade of 3 ms is scheduled, and taken back when the next piece comes in time. If it
 * does not, the sound fades out, and goes on with a fade-in as soon as there is a cushion, which grows.
 *
 * **Speed** (`wsola.ts`) keeps the pitch. What is scheduled is kept as it was before, so that a change is heard within 80 ms:
 * the sound that is 50 ms ahead is made again, from a place where old and new fit without a step.
 *
 * **Only the clock of the context tells what was heard.** `flush` never suspends the context: what is suspended plays on
 * after the resume.
 */

import { page } from "../page.js";
import { Resampler } from "./resampler.js";
import { type Mark, type Stretched, Stretcher } from "./wsola.js";

export interface SoundFormat {
  /** Sample frames a second. */
  readonly rate: number;
  /** Interleaved. The default is 1. */
  readonly channels?: number | undefined;
  /** What `playing` is while this sound is heard. */
  readonly id?: unknown;
}

export interface PlayerOptions {
  /** The default is one AudioContext for the page, made when it is first needed. */
  readonly context?: BaseAudioContext | undefined;
}

const FADE = 0.003; // seconds
const FIRST_CUSHION = 0.1;
const LARGEST_CUSHION = 0.6;
const SCHEDULED = 5;
const SMALLEST_PIECE = 0.02; // a node for less costs more than its sound
const PIECE = 0.1; // once there is time
const LATE = 0.015; // the audio thread is ahead of currentTime by at least one quantum
const PUMP = 100; // milliseconds
const SOON = 0.05; // from here on a change of speed makes the sound again
const SLOWEST = 0.5;
const FASTEST = 2;

interface Piece extends SoundFormat {
  readonly samples: Int16Array | Float32Array;
}

/** Converted sound, before its speed is changed. Without channels it is the end of a sound. */
interface Converted {
  readonly channels: Float32Array<ArrayBuffer>[];
  readonly at: number; // in sample frames of the sound since the last flush
  readonly end: number;
  readonly id: unknown;
}

interface Scheduled {
  readonly source: AudioBufferSourceNode;
  readonly start: number; // in sample frames of the context
  end: number;
  readonly from: number; // in sample frames of the sound
  to: number;
  readonly marks: readonly Mark[];
  readonly id: unknown;
}

export class AudioPlayer {
  /** Called when something of the player has changed: `playing`, `locked`, `underruns`, `buffered`. */
  onchange: (() => void) | undefined;
  #context: BaseAudioContext | undefined;
  readonly #owned: boolean;
  #master: GainNode | undefined;
  #bus: GainNode | undefined; // of the sound since the last flush
  #queue: Piece[] = [];
  #resampler: Resampler | undefined;
  #speed = 1;
  #stretcher: Stretcher | undefined;
  #converted: Converted[] = []; // what may still be made again with another speed
  #convertedFrames = 0;
  #ready: Float32Array<ArrayBuffer>[][] = []; // at its speed, not scheduled yet; by piece and channel
  #readyFrames = 0;
  #readyMarks: Mark[] = [];
  #readyFrom = 0; // in sample frames of the sound
  #id: unknown;
  #scheduled: Scheduled[] = [];
  #flushes = 0;
  #tail: AudioBufferSourceNode | undefined;
  #tailAt = 0; // where the sound that was scheduled last ends, in sample frames of the context
  #inSound = false; // a sound has begun, and end() has not been reached
  #ending = false; // end() was called, and its sound is still in the queue
  #fadeIn = false;
  #heardBefore = 0; // sample frames of the sound, of pieces that are over
  #cushion = FIRST_CUSHION;
  #underruns = 0;
  #muted = false;
  #volume = 1;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #idle: (() => void)[] = [];
  #isTold = true; // of all that has changed
  #closed = false;

  constructor(options: PlayerOptions = {}) {
    this.#context = options.context;
    this.#owned = options.context === undefined;
    if (this.#context) this.#connect(this.#context);
  }

  /** Makes sound possible. Call it from the handler of a click or a key, before any `await`: browsers demand it. */
  unlock(): void {
    if (this.#closed) return;
    const context = this.#made();
    if (context.state !== "running" && "resume" in context) {
      (context as AudioContext).resume().then(this.#changed, this.#changed);
    }
  }

  /** Whether the browser keeps the sound back until `unlock`. What is pushed waits, and nothing is lost. */
  get locked(): boolean {
    return this.#context !== undefined && this.#context.state !== "running";
  }

  /** The next piece of the sound: whole sample frames, interleaved. They are not copied: do not change them. */
  push(samples: Int16Array | Float32Array, format: SoundFormat): void {
    if (this.#closed) throw new TypeError("the player is closed");
    const { rate, channels = 1 } = format;
    if (samples.length % channels) {
      throw new RangeError(`${samples.length} samples are not whole sample frames of ${channels} channels`);
    }
    const context = this.#made();
    new Resampler(rate, context.sampleRate, channels); // refuses a rate or channels that cannot be, before anything changes
    if (this.#ending) this.#pump(true);
    this.#queue.push({ ...format, samples });
    this.#pump();
  }

  /** The sound is whole: its last samples are played, and no more are waited for. */
  end(): void {
    if (this.#context === undefined) return; // nothing was pushed
    this.#ending = true;
    this.#pump();
  }

  /** Silence, within 5 ms. All that was pushed is dropped. What is pushed afterwards is a new sound. */
  flush(): void {
    this.#flushes++;
    if (this.#context === undefined) return;
    const { currentTime, sampleRate } = this.#context;
    const until = currentTime + FADE;
    this.#bus?.gain.setValueAtTime(1, currentTime);
    this.#bus?.gain.linearRampToValueAtTime(0, until);
    for (const { source } of this.#scheduled) source.stop(until);
    this.#tail?.stop(until);
    this.#heardBefore = this.#heard();
    this.#scheduled = [];
    this.#tail = this.#resampler = this.#stretcher = this.#id = undefined;
    this.#queue = [];
    this.#converted = [];
    this.#unready();
    this.#convertedFrames = this.#readyFrom = 0;
    this.#tailAt = Math.ceil(until * sampleRate);
    this.#inSound = this.#ending = this.#fadeIn = false;
    this.#cushion = FIRST_CUSHION;
    this.#bus = undefined;
    this.#changed();
  }

  /** How often it was flushed: what was pushed, or began to be decoded, before the last time is not to be heard. */
  get flushes(): number {
    return this.#flushes;
  }

  /** How many seconds of the sound were heard, by the clock of the context. At speed 2 it is two a second. */
  get position(): number {
    return this.#context ? this.#heard() / this.#context.sampleRate : 0;
  }

  /** The `id` of the sound that is heard now. `undefined` in silence. */
  get playing(): unknown {
    const now = this.#now();
    return this.#scheduled.find(({ start, end }) => start <= now && now < end)?.id;
  }

  /** How many seconds are left to hear. */
  get buffered(): number {
    if (this.#context === undefined) return 0;
    const now = this.#now();
    let seconds = this.#readyFrames / this.#context.sampleRate;
    for (const { start, end } of this.#scheduled) {
      seconds += Math.max(0, end - Math.max(start, now)) / this.#context.sampleRate;
    }
    for (const { samples, rate, channels = 1 } of this.#queue) {
      seconds += samples.length / channels / rate / this.#speed;
    }
    return seconds;
  }

  /** 0.5 to 2, at the same pitch. A change is heard within 80 ms. */
  get speed(): number {
    return this.#speed;
  }

  set speed(speed: number) {
    speed = Math.min(FASTEST, Math.max(SLOWEST, speed));
    if (Number.isNaN(speed) || speed === this.#speed) return;
    this.#speed = speed;
    if (this.#stretcher) this.#remake(this.#stretcher);
  }

  /** How often a piece came too late. */
  get underruns(): number {
    return this.#underruns;
  }

  get muted(): boolean {
    return this.#muted;
  }

  set muted(muted: boolean) {
    this.#muted = muted;
    this.#setGain();
  }

  /** 0 to 1. */
  get volume(): number {
    return this.#volume;
  }

  set volume(volume: number) {
    if (Number.isNaN(volume)) return;
    this.#volume = Math.min(1, Math.max(0, volume));
    this.#setGain();
  }

  /** Resolves when all that was pushed was heard, or flushed. */
  async heard(): Promise<void> {
    if (this.buffered > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Silence for good. An AudioContext of the player's own is closed. */
  async close(): Promise<void> {
    if (this.#closed) return;
    if (this.#context) this.flush();
    this.#closed = true;
    clearTimeout(this.#timer);
    page()?.removeEventListener("visibilitychange", this.#visible);
    this.#context?.removeEventListener("statechange", this.#changed);
    if (this.#owned && this.#context) await (this.#context as AudioContext).close();
  }

  #made(): BaseAudioContext {
    if (this.#context === undefined) {
      this.#context = new AudioContext();
      this.#connect(this.#context);
    }
    return this.#context;
  }

  #connect(context: BaseAudioContext): void {
    this.#master = context.createGain();
    this.#master.connect(context.destination);
    this.#setGain();
    context.addEventListener("statechange", this.#changed);
    page()?.addEventListener("visibilitychange", this.#visible);
  }

  #setGain(): void {
    if (this.#master) this.#master.gain.value = this.#muted ? 0 : this.#volume;
  }

  readonly #visible = (): void => this.#pump();

  /** Later, and once for what changes together: `onchange` may call the player, and may throw. */
  readonly #changed = (): void => {
    if (this.#isTold) queueMicrotask(this.#tell);
    this.#isTold = false;
  };

  readonly #tell = (): void => {
    this.#isTold = true;
    if (this.#idle.length > 0 && this.buffered === 0) for (const resolve of this.#idle.splice(0)) resolve();
    this.onchange?.();
  };

  #now(): number {
    return this.#context ? this.#context.currentTime * this.#context.sampleRate : 0;
  }

  /** The sample frames of the sound that were heard in all. Forgets what is over. */
  #heard(): number {
    const now = this.#now();
    while (this.#scheduled[0] && this.#scheduled[0].end <= now) {
      const { from, to } = this.#scheduled.shift() as Scheduled;
      this.#heardBefore += to - from;
    }
    let frames = this.#heardBefore;
    for (const { start, end, from, to } of this.#scheduled) {
      frames += (Math.max(0, Math.min(end, now) - start) / (end - start)) * (to - from);
    }
    return frames;
  }

  /** Converts and schedules as much as is due. With `all`, everything. With `waited`, also what is little. */
  #pump(all = false, waited = false): void {
    const { sampleRate } = this.#made();
    const hidden = all || page()?.hidden === true;
    const lead = () => (this.#tailAt + this.#readyFrames - this.#now()) / sampleRate;
    while (this.#queue.length > 0 && (hidden || lead() < SCHEDULED)) {
      const { samples, rate, channels = 1, id } = this.#queue.shift() as Piece;
      if (this.#resampler?.from !== rate || this.#resampler.channels !== channels) {
        if (this.#resampler) this.#convert(this.#resampler.end());
        if (this.#resampler && this.#resampler.channels !== channels) this.#convert([]);
        this.#schedule();
        this.#resampler = new Resampler(rate, sampleRate, channels);
      }
      if (id !== this.#id) this.#schedule();
      this.#id = id;
      this.#convert(this.#resampler.push(samples));
      const smallest = lead() - this.#readyFrames / sampleRate > 3 * PIECE ? PIECE : SMALLEST_PIECE;
      if (this.#readyFrames >= smallest * sampleRate) this.#schedule();
    }
    if (this.#queue.length === 0) {
      if (this.#ending) {
        if (this.#resampler) this.#convert(this.#resampler.end());
        this.#convert([]);
        this.#finish();
        this.#ending = false;
      } else if ((this.#inSound || waited) && (this.#tailAt - this.#now()) / sampleRate < 3 * SMALLEST_PIECE) {
        this.#schedule(); // too little for a piece, but the sound would break off
      }
    }
    clearTimeout(this.#timer);
    if (!this.#closed && (this.#queue.length > 0 || this.#readyFrames > 0)) {
      this.#timer = setTimeout(() => this.#pump(false, true), PUMP / (this.#queue.length > 0 ? 1 : 4));
    }
  }

  /** Takes converted sound, or its end: no channels. */
  #convert(channels: Float32Array<ArrayBuffer>[]): void {
    const frames = channels[0]?.length ?? 0;
    if (frames === 0 && channels.length > 0) return;
    const at = this.#convertedFrames;
    this.#convertedFrames += frames;
    this.#converted.push({ channels, at, end: at + frames, id: this.#id });
    this.#stretcher ??= new Stretcher(this.#made().sampleRate, this.#speed);
    this.#stretch(this.#stretcher, channels);
  }

  #stretch(stretcher: Stretcher, piece: Float32Array<ArrayBuffer>[]): void {
    const { channels, marks }: Stretched = piece.length > 0 ? stretcher.push(piece) : stretcher.end();
    const frames = channels[0]?.length ?? 0;
    if (frames === 0) return;
    for (const mark of marks) this.#readyMarks.push({ ...mark, offset: mark.offset + this.#readyFrames });
    this.#ready.push(channels);
    this.#readyFrames += frames;
  }

  #unready(): void {
    this.#ready = [];
    this.#readyFrames = 0;
    this.#readyMarks = [];
  }

  /** The sound has ended as it should: it needs no fade. */
  #finish(): void {
    this.#schedule();
    this.#untail();
    this.#inSound = false;
  }

  /** Makes what is not heard soon again, with the speed of now. */
  #remake(before: Stretcher): void {
    const { sampleRate } = this.#made();
    const soon = Math.ceil(this.#now() + SOON * sampleRate);
    let mark: Mark | undefined;
    const index = this.#scheduled.findIndex((each) => (mark = markAt(each, soon)));
    mark ??= this.#readyMarks[0];
    before.speed = this.#speed;
    if (mark === undefined) return; // nothing is left that could change
    const { next } = mark;
    if (index >= 0) {
      const [cut, ...later] = this.#scheduled.splice(index) as [Scheduled, ...Scheduled[]];
      cut.end = this.#tailAt = cut.start + mark.offset;
      cut.to = next;
      cut.source.stop((cut.end - 0.25) / sampleRate); // browsers round up to the next sample
      if (mark.offset > 0) this.#scheduled.push(cut);
      for (const { source } of later) {
        source.onended = null;
        source.disconnect();
        source.stop();
      }
      this.#untail();
      this.#id = cut.id;
    }
    this.#unready();
    this.#readyFrom = next;
    const stretcher = (this.#stretcher = new Stretcher(sampleRate, this.#speed, mark));
    const { needed } = stretcher;
    for (const { channels, at, end, id } of this.#converted) {
      if (channels.length === 0) {
        if (at <= next) continue; // of a sound that is over
        this.#stretch(stretcher, channels);
        this.#finish();
      } else if (end > needed) {
        if (end > next && id !== this.#id) this.#schedule();
        if (end > next) this.#id = id;
        this.#stretch(
          stretcher,
          channels.map((samples) => samples.subarray(Math.max(0, needed - at))),
        );
      }
    }
    this.#schedule();
    this.#pump();
  }

  /** Makes one node of what is ready, and lets it start where the sound before it ends. */
  #schedule(): void {
    const length = this.#readyFrames;
    if (length === 0) return;
    const context = this.#made();
    const { sampleRate } = context;
    const channels = this.#ready[0]?.length ?? 1;
    const buffer = context.createBuffer(channels, length, sampleRate);
    for (let channel = 0; channel < channels; channel++) {
      const data = buffer.getChannelData(channel);
      let at = 0;
      for (const piece of this.#ready) {
        data.set(piece[channel] as Float32Array, at);
        at += piece[channel]?.length ?? 0;
      }
    }
    const marks = this.#readyMarks;
    this.#unready();
    this.#place(buffer);
    this.#untail();
    const start = this.#tailAt;
    const source = this.#start(buffer, start);
    const end = start + length;
    const from = this.#readyFrom;
    const to = (this.#readyFrom = this.#stretcher?.next ?? from);
    this.#scheduled.push({ source, start, end, from, to, marks, id: this.#id });
    const past = (this.#scheduled[0]?.from ?? from) - sampleRate; // a second more than what may be needed
    this.#converted = this.#converted.filter((each) => each.end > past);
    source.onended = () => {
      this.#heard();
      this.#changed();
    };
    this.#tailAt = end;
    this.#inSound = true;
    this.#tail = this.#start(tailOf(buffer, context), end);
    this.#changed();
  }

  /** Decides where the next sound starts: where the last one ends; if that is too late, after a cushion. */
  #place(buffer: AudioBuffer): void {
    const { sampleRate } = this.#made();
    const now = this.#now();
    if (this.#tailAt >= now + LATE * sampleRate) return;
    if (this.#inSound) {
      this.#underruns++;
      this.#cushion = Math.min(LARGEST_CUSHION, this.#cushion * 1.5);
      this.#tail = undefined; // it is heard, or will be
      this.#fadeIn = true;
    }
    this.#tailAt = Math.ceil(now + this.#cushion * sampleRate);
    // A node tells its end and not its beginning: one sample of silence tells that the sound has begun.
    this.#start(this.#made().createBuffer(1, 1, sampleRate), this.#tailAt).onended = this.#changed;
    if (!this.#fadeIn) return;
    this.#fadeIn = false;
    const frames = Math.min(buffer.length, Math.ceil(FADE * sampleRate));
    for (let channel = 0; channel < buffer.numberOfChannels; channel++) {
      const data = buffer.getChannelData(channel);
      for (let n = 0; n < frames; n++) data[n] = (data[n] as number) * (1 - faded(n / frames));
    }
  }

  #start(buffer: AudioBuffer, at: number): AudioBufferSourceNode {
    const context = this.#made();
    if (this.#bus === undefined) {
      this.#bus = context.createGain();
      if (this.#master) this.#bus.connect(this.#master);
    }
    const source = context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.#bus);
    source.start(at / context.sampleRate);
    return source;
  }

  #untail(): void {
    this.#tail?.disconnect();
    this.#tail?.stop();
    this.#tail = undefined;
  }
}

/** The first mark of a piece that is at this sample frame of the context or later. */
function markAt({ start, end, marks }: Scheduled, frame: number): Mark | undefined {
  const offset = Math.max(0, frame - start);
  if (end <= frame) return undefined;
  const after = marks.findIndex((mark) => mark.offset >= offset);
  const before = marks.at(after < 0 ? -1 : after - 1);
  if (marks[after]?.offset === offset || after === 0 || !before?.isCopy) return marks[after];
  const ahead = offset - before.offset;
  return { ...before, offset, next: before.next + ahead, ideal: before.ideal + ahead };
}

/** From 1 to 0, without a corner at either end. */
function faded(part: number): number {
  return 0.5 + 0.5 * Math.cos(Math.PI * part);
}

/** The end of a sound, mirrored and faded out: it goes on from the last sample without a step. */
function tailOf(buffer: AudioBuffer, context: BaseAudioContext): AudioBuffer {
  const frames = Math.ceil(FADE * context.sampleRate);
  const tail = context.createBuffer(buffer.numberOfChannels, frames, context.sampleRate);
  for (let channel = 0; channel < buffer.numberOfChannels; channel++) {
    const from = buffer.getChannelData(channel);
    const to = tail.getChannelData(channel);
    for (let n = 0; n < frames; n++)
      to[n] = (from[Math.max(0, from.length - 2 - n)] as number) * faded((n + 1) / frames);
  }
  return tail;
}
