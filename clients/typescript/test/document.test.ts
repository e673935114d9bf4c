/**
 * The calls of the system that `/audio` replaces, as its document has them: `streamChat`, `playBase64Audio`. Those of the hook
 * are in react.test.ts.
 */

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { decodeWav, playBase64Audio, sharedPlayer, streamChat } from "../src/audio/index.js";
import { encodeWav, fromBase64, toBase64 } from "../src/audio/wav.js";
import { ChatServer } from "./chat-server.js";
import { FakeContext, RATE } from "./fake-context.js";

const wav = (...samples: number[]) => toBase64(encodeWav([new Uint8Array(Int16Array.from(samples).buffer)], RATE, 1));

let server = new ChatServer();

beforeEach(() => {
  server = new ChatServer();
  vi.stubGlobal("AudioContext", FakeContext);
  vi.stubGlobal("fetch", server.fetch);
});

afterEach(() => {
  vi.unstubAllGlobals();
});

describe("streamChat, as the document uses it", () => {
  it("gives text and audio, and then their number", async () => {
    const appendToChat = vi.fn();
    const played: string[] = [];
    const log = vi.spyOn(console, "log").mockImplementation(() => {});
    const playBase64Audio = (audioBase64: string) => played.push(audioBase64);

    const source = streamChat("Hello!", {
      onText: (chunk) => {
        // Append to UI immediately
        appendToChat(chunk);
      },
      onAudio: (audioBase64) => {
        // Play audio chunk
        playBase64Audio(audioBase64);
      },
      onComplete: (count) => {
        console.log(`Done! ${count} audio chunks`);
      },
      onError: (error) => {
        console.error(error);
      },
    });

    const { url, init } = server.last;
    expect([url, init.method, JSON.parse(init.body)]).toEqual(["/api/chat/stream", "POST", { message: "Hello!" }]);
    server.last.text("Why did the chicken?");
    server.last.sound(1, 1, 2);
    server.last.end();
    await source.done;
    expect(appendToChat.mock.calls).toEqual([["Why did the chicken?"]]);
    expect(played.map((base64) => decodeWav(fromBase64(base64)))).toEqual([
      { samples: Int16Array.of(1, 2), rate: 22_050, channels: 1 },
    ]);
    expect(log).toHaveBeenCalledWith("Done! 1 audio chunks");
    log.mockRestore();

    // Cancel streaming
    source.close();
  });

  it("is tried in a browser's console", async () => {
    const log = vi.spyOn(console, "log").mockImplementation(() => {});
    const source = streamChat("Hello!", {
      onText: (chunk) => console.log("Text:", chunk),
      onAudio: (audio) => console.log("Audio:", audio.length, "bytes"),
      onComplete: (count) => console.log("Done:", count, "chunks"),
    });
    server.last.text("Hi.");
    server.last.sound(1, 1, 2);
    server.last.end();
    await source.done;
    expect(log.mock.calls).toEqual([
      ["Text:", "Hi."],
      ["Audio:", 64, "bytes"],
      ["Done:", 1, "chunks"],
    ]);
    log.mockRestore();
  });
});

describe("playBase64Audio", () => {
  const second = () => wav(...Array.from({ length: RATE / 2 }, (_, n) => n % 100));

  it("plays one sound after the other, without a gap, and resolves when it was heard", async () => {
    const heard: number[] = [];
    const both = [1, 2].map((n) => playBase64Audio(second()).then(() => heard.push(n)));
    await vi.waitFor(() => expect(sharedPlayer().buffered).toBeCloseTo(1, 1));
    const context = FakeContext.last;
    expect(context.state).toBe("running"); // unlocked
    // A sound of one frame only tells the player that the first sentence is heard.
    const sounds = () => context.sounds.filter(({ frames }) => frames > 1);
    await vi.waitFor(() => expect(sounds().reduce((sum, { frames }) => sum + frames, 0)).toBe(RATE));
    for (const [n, sound] of sounds().entries()) {
      const before = sounds()[n - 1];
      if (before) expect(sound.at).toBe(before.at + before.frames);
    }
    expect(heard).toEqual([]);
    context.playAll();
    await Promise.all(both);
    expect(heard).toEqual([1, 2]);
  });

  it("refuses what is no WAV file, and no base64", async () => {
    for (const wrong of ["", "not base64!", toBase64(new TextEncoder().encode("OggS, which is not WAV"))]) {
      await expect(playBase64Audio(wrong)).rejects.toBeInstanceOf(Error);
    }
    expect(sharedPlayer().buffered).toBe(0);
  });
});
