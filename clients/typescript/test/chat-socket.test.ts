/** `openChat`: question after question over a WebSocket, against a socket of the test and against the reference server. */

import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type AudioPlayer, type ChatSocketOptions, openChat } from "../src/audio/index.js";
import { ObjectStreamError, rawCoder, StreamDecoder, StreamEncoder } from "../src/index.js";
import { FakeSocket } from "./fake-socket.js";
import { ReferenceServer } from "./reference-server.js";

class Socket extends FakeSocket {
  static latest: Socket;
  readonly #peer = new StreamEncoder(rawCoder());
  readonly #sent = new StreamDecoder(rawCoder());

  constructor(url: string, protocols: string[]) {
    super(url, protocols);
    Socket.latest = this;
  }

  begin(): void {
    this.message(this.#peer.open());
  }

  give(header: object, text = ""): void {
    this.message(this.#peer.data(header, new TextEncoder().encode(text)));
  }

  end(): void {
    this.message(this.#peer.end());
  }

  /** The headers that were sent since the last call. */
  sent(): unknown[] {
    return this.wires.splice(0).flatMap((wire) => [...this.#sent.feed(wire)].map(({ header }) => header));
  }
}

async function opened(options: ChatSocketOptions = {}) {
  const opening = openChat("http://host/api/chat/stream", { webSocket: Socket, ...options });
  await Promise.resolve();
  const socket = Socket.latest;
  socket.begin();
  return [await opening, socket] as const;
}

/** Notes what is called back. */
function noted(name: string, told: string[]) {
  return {
    onText: (text: string) => void told.push(`${name} ${text}`),
    onComplete: () => void told.push(`${name} whole`),
    onError: (error: unknown) => void told.push(`${name} ${(error as { code: string }).code}`),
  };
}

const sound = { kind: "audio", sentence: 1, format: "s16le", rate: 8_000, channels: 1 };

describe("openChat", () => {
  it("asks, and gets an answer with its text and sound, again and again", async () => {
    const [chat, socket] = await opened({ audio: false });
    for (const question of ["one", "two"]) {
      const pieces: number[] = [];
      const source = chat.ask(question, { onSound: ({ pcm }) => pieces.push(...pcm) }, { voice: "af_sarah" });
      expect(socket.sent()).toEqual([{ message: question, voice: "af_sarah", audio: false }]);
      socket.give({ kind: "text" }, "Yes.");
      socket.give(sound, "ab");
      socket.give({ kind: "later" });
      socket.give({ kind: "end", sentences: 1 });
      expect(await source.done).toEqual({ text: "Yes.", count: 1, trailers: { sentences: 1 } });
      expect(pieces).toEqual([0x6261]);
    }
    const closing = chat.close();
    socket.end();
    await closing;
    expect(chat.isConnected).toBe(false);
    await expect(chat.ask("late").done).rejects.toBeInstanceOf(ObjectStreamError);
  });

  it("closes the answer before: nothing more of it is told or heard, and what comes next is the next one's", async () => {
    const told: string[] = [];
    const player = { push: () => told.push("push"), flush: () => told.push("flush"), end: () => told.push("end") };
    const [chat, socket] = await opened({
      player: { ...player, heard: () => Promise.resolve() } as unknown as AudioPlayer,
    });
    const first = chat.ask("one", noted("first", told));
    socket.give({ kind: "text" }, "a");
    await vi.waitFor(() => expect(told).toEqual(["first a"]));
    const second = chat.ask("two", noted("second", told));
    await expect(first.done).rejects.toMatchObject({ name: "AbortError" });
    expect(socket.sent()).toEqual([{ message: "one" }, { interrupt: true }, { message: "two" }]);
    socket.give({ kind: "text" }, "stale");
    socket.give(sound, "ab");
    socket.give({ kind: "error", code: "canceled", message: "interrupted" });
    socket.give({ kind: "text" }, "b");
    socket.give({ kind: "end" });
    expect((await second.done).text).toBe("b");
    expect(told).toEqual(["first a", "flush", "second b", "end", "second whole"]);
    first.close();
    expect(socket.sent()).toEqual([]);
  });

  it("stops an answer by close, by its signal, and if a callback throws; an error is told once", async () => {
    const told: string[] = [];
    const [chat, socket] = await opened();
    const stop = new AbortController();
    const aborted = chat.ask("one", noted("first", told), { signal: stop.signal });
    stop.abort("enough");
    await expect(aborted.done).rejects.toBe("enough");
    socket.give({ kind: "error", code: "canceled", message: "" });
    const throwing = chat.ask("two", {
      ...noted("second", told),
      onText: () => {
        throw Object.assign(new Error("mine"), { code: "mine" });
      },
    });
    socket.give({ kind: "text" }, "a");
    socket.give({ kind: "text" }, "b");
    await expect(throwing.done).rejects.toThrow("mine");
    socket.give({ kind: "error", code: "canceled", message: "" });
    const failing = chat.ask("", noted("third", told));
    socket.give({ kind: "error", code: "invalid_argument", message: "a question, please" });
    await expect(failing.done).rejects.toMatchObject({ rawMessage: "a question, please" });
    expect(socket.sent()).toEqual([
      { message: "one" },
      { interrupt: true },
      { message: "two" },
      { interrupt: true },
      { message: "" },
    ]);
    expect(told).toEqual(["second mine", "third invalid_argument"]);
  });

  it("changes the voice, and tells what was refused", async () => {
    const refused: unknown[] = [];
    const [chat, socket] = await opened({ onRefused: (error) => refused.push(error) });
    chat.setVoice({ voice: "nobody", speed: 2 });
    expect(socket.sent()).toEqual([{ voice: "nobody", speed: 2 }]);
    socket.give({ kind: "refused", code: "invalid_argument", message: "no such voice" });
    await vi.waitFor(() => expect(refused).toEqual([expect.objectContaining({ rawMessage: "no such voice" })]));
  });

  it.each([
    ["is closed", (socket: Socket) => socket.hangUp(1006)],
    ["ends", (socket: Socket) => socket.end()],
  ])("never takes an answer for whole whose connection %s", async (_, stop) => {
    const told: string[] = [];
    const [chat, socket] = await opened();
    const source = chat.ask("?", noted("it", told));
    socket.give({ kind: "text" }, "a");
    stop(socket);
    await expect(source.done).rejects.toMatchObject({ code: "stream_incomplete" });
    expect(told).toEqual(["it a", "it stream_incomplete"]);
  });
});

describe("openChat with the reference server", () => {
  const server = new ReferenceServer();
  beforeAll(() => server.start(), 60_000);
  afterAll(() => server.stop());

  it("asks, interrupts, and asks again", async () => {
    await using chat = await openChat(`${server.url}api/chat/stream`);
    const stopped = chat.ask("What is a frame?", { onText: () => stopped.close() });
    await expect(stopped.done).rejects.toMatchObject({ name: "AbortError" });
    const before = chat.ask("What is a frame?");
    const { text, count, trailers } = await chat.ask("What is a coder?", {}, { speed: 2 }).done;
    await expect(before.done).rejects.toMatchObject({ name: "AbortError" });
    expect(text).toMatch(/coder/i);
    expect(count).toBe(trailers["audio"] ?? 0);
  });
});
