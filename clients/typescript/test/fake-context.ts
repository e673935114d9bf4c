/** An AudioContext for Node. */

export const RATE = 48_000;

/** Notes what is played, and whose clock the test moves. */
export class FakeContext {
  static last: FakeContext;
  sampleRate = RATE;
  currentTime = 0;
  state = "suspended";
  destination = {};
  sounds: { at: number; frames: number; ended: () => void }[] = [];

  constructor() {
    FakeContext.last = this;
  }
  resume = () => {
    this.state = "running";
    return Promise.resolve();
  };
  addEventListener = () => {};
  createGain = () => ({
    gain: { value: 1, setValueAtTime: () => {}, linearRampToValueAtTime: () => {} },
    connect: () => {},
  });
  createBuffer = (channels: number, length: number) => {
    const data = Array.from({ length: channels }, () => new Float32Array(length));
    return { numberOfChannels: channels, length, getChannelData: (channel: number) => data[channel] };
  };
  createBufferSource = () => {
    const node = {
      buffer: { length: 0 },
      onended: undefined as (() => void) | undefined,
      connect: () => {},
      disconnect: () => {},
      stop: () => {},
      start: (at: number) => {
        // A sound has a callback, its fade has none.
        queueMicrotask(() => {
          if (node.onended)
            this.sounds.push({ at: Math.round(at * RATE), frames: node.buffer.length, ended: node.onended });
        });
      },
    };
    return node;
  };

  /** Lets time pass until all is over. */
  playAll(): void {
    const end = Math.max(...this.sounds.map(({ at, frames }) => at + frames));
    this.currentTime = (end + 1) / RATE;
    for (const { ended } of this.sounds) ended();
  }
}
