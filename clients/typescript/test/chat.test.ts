/** streamChat, server-sent events and WAV, in Node. */

import type { ServerResponse } from "node:http";
import { afterEach, describe, expect, it, vi } from "vitest";
import {
  AudioPlayer,
  Chat,
  decodeWav,
  type ChatCallbacks,
  type ChatOptions,
  SseParser,
  streamChat,
} from "../src/audio/index.js";
import { textMessages } from "../src/audio/text-messages.js";
import { encodeWav, fromBase64, toBase64 } from "../src/audio/wav.js";
import { encodeFrame, type Place, rawCoder, StreamEncoder, StreamError, StreamIncompleteError } from "../src/index.js";
import { FakeContext } from "./fake-context.js";
import { serve } from "./server.js";
import { join } from "./vectors.js";

const utf8 = new TextEncoder();
const pcm = (...samples: number[]) => Int16Array.from(samples);
const bytes = (samples: Int16Array) => new Uint8Array(samples.buffer);
const RAW = { "content-type": "application/vnd.objectstreaming;v=1;coder=raw" };
const LINES = { "content-type": "application/x-ndjson" };
const SSE = { "content-type": "text/event-stream" };
const audio = { kind: "audio", format: "s16le", rate: 22_050, channels: 1 };

function frames(): Uint8Array {
  const encoder = new StreamEncoder(rawCoder());
  return join([
    encoder.open(),
    encoder.data({ kind: "text" }, utf8.encode("One.\n ")),
    encoder.data({ ...audio, sentence: 1, text: "One.\n ", samples: 3, at: 0 }, bytes(pcm(1, 2))),
    encoder.data({ ...audio, sentence: 1, at: 91 }, bytes(pcm(3))),
    encoder.data({ kind: "text" }, utf8.encode("Two. é")),
    encoder.data({ kind: "audio", sentence: 2, text: "Two. é", error: "unavailable" }, new Uint8Array()),
    encoder.data({ kind: "later", what: 1 }, bytes(pcm(9))),
    encoder.data({ ...audio, sentence: 3, at: 136 }, bytes(pcm(4))),
    encoder.end({ trailers: { sentences: 3 } }),
  ]);
}

const wav = (...samples: number[]) => toBase64(encodeWav([bytes(pcm(...samples))], 22_050, 1));
const base64 = (...samples: number[]) => toBase64(bytes(pcm(...samples)));
const lines = (...last: object[]) =>
  [
    { kind: "text", text: "One.\n " },
    { ...audio, sentence: 1, text: "One.\n ", samples: 3, at: 0, data: base64(1, 2) },
    { ...audio, sentence: 1, at: 91, data: base64(3) },
    { kind: "text", text: "Two. é" },
    { kind: "audio", sentence: 2, text: "Two. é", error: "unavailable" },
    { kind: "later", what: 1 },
    { ...audio, sentence: 3, at: 136, data: base64(4) },
    ...last,
  ]
    .map((line) => `${JSON.stringify(line)}\n\n`)
    .join("");
const events = (last = "event: done\ndata: 2\n\n") =>
  `: hello\n\nevent: text\ndata: One.\ndata:  \n\nevent: audio\ndata: ${wav(1, 2, 3)}\n\n` +
  `event: text\r\ndata: Two. é\r\n\r\nevent: audio\ndata: ${wav(4)}\n\n${last}`;

async function chat(body: Uint8Array | string, headers: object, status = 200, options: ChatOptions = {}) {
  const server = await serve((response) => response.writeHead(status, { ...headers }).end(body));
  const told: unknown[] = [];
  const sounds: number[] = [];
  const callbacks: ChatCallbacks = {
    onText: (text) => told.push(text),
    onAudio: (base64) => told.push([...decodeWav(fromBase64(base64)).samples]),
    onSound: (piece) => sounds.push(...piece.pcm),
    onComplete: (count) => told.push(count),
    onError: (error) => told.push(error),
  };
  const source = streamChat("Hello!", callbacks, { url: server.url, ...options });
  const result = await source.done.catch((error: unknown) => error);
  await server.close();
  return { told, sounds, result, requests: server.requests, text: source.text };
}

describe("streamChat", () => {
  it("reads frames: text at once, sounds by sentence, what it does not know is skipped", async () => {
    const { told, sounds, result, requests } = await chat(frames(), RAW);
    expect(told).toEqual(["One.\n ", "Two. é", [1, 2, 3], [4], 2]);
    expect(sounds).toEqual([1, 2, 3, 4]);
    expect(result).toEqual({ text: "One.\n Two. é", count: 2, trailers: { sentences: 3 } });
    expect(requests.length).toBe(1);
    expect(JSON.parse(requests[0]?.body ?? "")).toEqual({ message: "Hello!" });
    expect(requests[0]?.headers.accept).toContain("application/vnd.objectstreaming;v=1");
  });

  it("reads server-sent events where those come, with newlines and leading spaces", async () => {
    const { told, sounds, result, requests } = await chat(events(), SSE, 200, { transport: "sse", voice: "af_sarah" });
    expect(told).toEqual(["One.\n ", [1, 2, 3], "Two. é", [4], 2]);
    expect(sounds).toEqual([1, 2, 3, 4]);
    expect(result).toMatchObject({ text: "One.\n Two. é", count: 2 });
    expect(requests[0]?.headers.accept).toBe("text/event-stream");
    expect(JSON.parse(requests[0]?.body ?? "").voice).toBe("af_sarah");
  });

  it("asks for the formats that it is given, and for PCM where nothing decodes", async () => {
    const asked = async (audio: ChatOptions["audio"]) =>
      JSON.parse((await chat(frames(), RAW, 200, { audio })).requests[0]?.body ?? "").audio;
    expect(await asked(["opus", "pcm"])).toEqual(["pcm"]); // Node has no decoder
    expect(await asked(["opus"])).toEqual(["pcm"]);
    expect(await asked(true)).toBeUndefined();
    expect(await asked(false)).toBe(false);
  });

  describe("with compressed sound", () => {
    let decode: () => void = () => undefined;
    let go: Promise<unknown> = Promise.resolve();
    class Decoder {
      constructor(
        _channels: number,
        _length: number,
        readonly sampleRate: number,
      ) {}
      async decodeAudioData(file: ArrayBuffer) {
        await go;
        const samples = Float32Array.from(new Uint8Array(file), (value) => value / 8);
        return { numberOfChannels: 1, getChannelData: () => samples };
      }
    }
    afterEach(() => vi.unstubAllGlobals());

    function answer() {
      const encoder = new StreamEncoder(rawCoder());
      const flac = { ...audio, format: "flac" };
      return join([
        encoder.open(),
        encoder.data({ ...flac, sentence: 1, text: "One. ", samples: 4, at: 0 }, new Uint8Array([1, 2])),
        encoder.data({ ...audio, sentence: 2, text: "Two. ", samples: 1, at: 0 }, bytes(pcm(3))),
        encoder.data({ kind: "text" }, utf8.encode("One. Two. Three.")),
        encoder.data({ ...flac, sentence: 3, text: "Three.", samples: 1, at: 0 }, new Uint8Array([4, 5])),
        encoder.end(),
      ]);
    }

    it("text does not wait for the decoder, sounds stay in order, cut or padded, and a flush drops what waits", async () => {
      vi.stubGlobal("OfflineAudioContext", Decoder);
      go = new Promise<undefined>((resolve) => (decode = () => resolve(undefined)));
      const told: unknown[] = [];
      const pushed: unknown[] = [];
      const player = {
        flushes: 0,
        push: (_: unknown, { id }: { id: number }) => pushed.push(id),
        end: () => undefined,
        heard: () => Promise.resolve(),
      };
      const server = await serve((response) => response.writeHead(200, RAW).end(answer()));
      const source = streamChat(
        "Hello!",
        { onText: (text) => told.push(text), onSound: ({ sentence, pcm }) => told.push([sentence, ...pcm]) },
        { url: server.url, player: player as unknown as AudioPlayer },
      );
      await vi.waitFor(() => expect(told).toEqual(["One. Two. Three."]));
      player.flushes++;
      decode();
      await source.done;
      await server.close();
      expect(told.slice(1)).toEqual([
        [1, 1 / 8, 2 / 8, 0, 0],
        [2, 3],
        [3, 4 / 8],
      ]);
      expect(pushed.filter((id) => id !== 3)).toEqual([]);
    });

    it("a callback that throws is an error, and the sound of before is told", async () => {
      vi.stubGlobal("OfflineAudioContext", Decoder);
      const server = await serve((response) => response.writeHead(200, RAW).end(answer()));
      const onSound = () => {
        throw new RangeError("mine");
      };
      const source = streamChat("Hello!", { onSound }, { url: server.url });
      await expect(source.done).rejects.toThrow("mine");
      await server.close();
    });

    it.each([
      ["samples", -1],
      ["samples", 1e12],
      ["rate", 0.5],
      ["channels", "2"],
    ])("a header whose %s is %s is an error", async (name, value) => {
      const encoder = new StreamEncoder(rawCoder());
      const header = { ...audio, format: "flac", sentence: 1, samples: 1, [name]: value };
      const { result } = await chat(join([encoder.open(), encoder.data(header, bytes(pcm(1)))]), RAW);
      expect(result).toBeInstanceOf(TypeError);
    });
  });

  it("reads JSON lines, the same as frames", async () => {
    const body = lines({ kind: "end", sentences: 3 });
    const { told, sounds, result, requests } = await chat(body, LINES, 200, { transport: "jsonlines" });
    expect(told).toEqual(["One.\n ", "Two. é", [1, 2, 3], [4], 2]);
    expect(sounds).toEqual([1, 2, 3, 4]);
    expect(result).toEqual({ text: "One.\n Two. é", count: 2, trailers: { sentences: 3 } });
    expect(requests[0]?.headers.accept).toBe("application/x-ndjson");
    expect((await chat(body.replaceAll("\n", "\r\n"), LINES)).told).toEqual(told);
  });

  it("reads a chunk of very many lines", () => {
    const decoder = textMessages("application/x-ndjson");
    decoder?.push(utf8.encode('{"kind":"text","text":"a"}\n'.repeat(200_000)));
    let count = 0;
    while (decoder?.nextMessage()) count++;
    expect(count).toBe(200_000);
  });

  it("keeps every character of a text: a byte order mark in the middle is one", async () => {
    const encoder = new StreamEncoder(rawCoder());
    const wire = [encoder.open(), encoder.data({ kind: "text" }, utf8.encode("\ufeffOne")), encoder.end()];
    expect((await chat(join(wire), RAW)).told).toEqual(["\ufeffOne", 0]);
  });

  it("sends the headers that it is given in place of its own, in whatever case", async () => {
    const headers = { "Content-Type": "application/json; charset=utf-8", ACCEPT: "text/event-stream" };
    const { requests } = await chat(events(), SSE, 200, { headers });
    expect(requests[0]?.headers).toMatchObject({
      "content-type": "application/json; charset=utf-8",
      accept: "text/event-stream",
    });
  });

  it("takes no cut for an end, at any byte", async () => {
    const wire = frames();
    for (let at = 0; at < wire.length; at += 7) {
      const { told } = await chat(wire.slice(0, at), RAW);
      expect(told.at(-1)).toMatchObject({ code: expect.stringMatching(/truncated_frame|stream_incomplete/) });
    }
    const text = events();
    const json = lines({ kind: "end" });
    for (const at of [0, 1, 30, 60, -5, -3]) {
      expect((await chat(text.slice(0, at), SSE)).told.at(-1)).toBeInstanceOf(StreamIncompleteError);
      expect((await chat(json.slice(0, at), LINES)).told.at(-1)).toBeInstanceOf(StreamIncompleteError);
    }
  });

  it("reports an error of the server once, in events, in the end frame and by status", async () => {
    const inEvents = await chat(events("event: error\ndata: the model is down\n\n"), SSE);
    expect((inEvents.told.at(-1) as StreamError).rawMessage).toBe("the model is down");
    expect(inEvents.result).toBe(inEvents.told.at(-1));
    const inLines = await chat(lines({ kind: "error", code: "unavailable", message: "down" }), LINES);
    expect(inLines.told.at(-1)).toMatchObject({ code: "unavailable", rawMessage: "down" });
    expect((await chat("no JSON\n", LINES)).told).toEqual([expect.objectContaining({ code: "invalid_payload" })]);
    const encoder = new StreamEncoder(rawCoder());
    const wire = join([encoder.open(), encoder.end({ error: new StreamError("unavailable", "down") })]);
    expect((await chat(wire, RAW)).told).toEqual([expect.objectContaining({ code: "unavailable" })]);
    expect((await chat("event: audio\ndata: *\n\n", SSE)).result).toBeInstanceOf(TypeError); // no base64
    const problem = await chat('{"code":"resource_exhausted"}', { "retry-after": "3" }, 429);
    expect(problem.told).toEqual([expect.objectContaining({ status: 429, retryAfter: 3 })]);
  });

  it("calls nothing after close, and closes the connection", async () => {
    const encoder = new StreamEncoder(rawCoder());
    const server = await serve((response) => {
      response.writeHead(200, RAW).write(join([encoder.open(), encoder.data({ kind: "text" }, utf8.encode("One"))]));
    });
    const told: unknown[] = [];
    const tell = (value: unknown) => told.push(value);
    const source = streamChat(
      "?",
      {
        onText: (text) => {
          tell(text);
          source.close();
        },
        onComplete: tell,
        onError: tell,
      },
      { url: server.url },
    );
    expect(await source.done.catch((error: unknown) => error)).toMatchObject({ name: "AbortError" });
    await server.gone;
    source.close();
    expect(told).toEqual(["One"]);
    await server.close();
  });

  it("reports a connection that breaks in events and lines as in frames", async () => {
    for (const [body, headers] of [
      [events(""), SSE],
      [lines(), LINES],
      [new StreamEncoder(rawCoder()).open(), RAW],
    ] as const) {
      const server = await serve((response) => {
        response.writeHead(200, { ...headers }).write(body, () => response.socket?.destroy());
      });
      const error = await streamChat("?", {}, { url: server.url }).done.catch((error: unknown) => error);
      expect(error).toMatchObject({ code: "stream_incomplete", cause: expect.any(Error) });
      await server.close();
    }
  });

  it("calls nothing after close, which the last callback but one may call", async () => {
    const server = await serve((response) => response.writeHead(200, RAW).end(frames()));
    const told: string[] = [];
    const source = streamChat(
      "?",
      {
        onAudio: () => {
          told.push("audio");
          if (told.length === 2) source.close();
        },
        onComplete: () => told.push("complete"),
        onError: () => told.push("error"),
      },
      { url: server.url },
    );
    await expect(source.done).rejects.toMatchObject({ name: "AbortError" });
    expect(told).toEqual(["audio", "audio"]);
    await server.close();
  });

  it("silences by close what is heard after the end, and nothing that is not its own", async () => {
    const server = await serve((response) => response.writeHead(200, RAW).end(frames()));
    let hear = () => {};
    const player = {
      flushes: 0,
      push: () => undefined,
      end: () => undefined,
      flush: () => player.flushes++,
      heard: () => new Promise<void>((resolve) => (hear = resolve)),
    };
    const options = { url: server.url, player: player as unknown as AudioPlayer };
    const [heard, speaking] = [streamChat("?", {}, options), streamChat("?", {}, options)];
    await heard.done;
    hear();
    await speaking.done;
    const { close } = speaking;
    close();
    expect(player.flushes).toBe(1);
    hear();
    await Promise.resolve();
    heard.close();
    close();
    expect(player.flushes).toBe(1);
    await server.close();
  });

  it("needs no AudioContext for an answer without sound", async () => {
    const { told } = await chat("event: text\ndata: One\n\nevent: done\ndata: 0\n\n", SSE, 200, {
      player: new AudioPlayer(),
    });
    expect(told).toEqual(["One", 0]);
  });

  it("may share its signal with many others, without a warning", async () => {
    const server = await serve((response) => response.writeHead(200, RAW).flushHeaders());
    const stop = new AbortController();
    const added = vi.spyOn(stop.signal, "addEventListener");
    const sources = Array.from({ length: 20 }, () => streamChat("?", {}, { url: server.url, signal: stop.signal }));
    stop.abort("stopped");
    for (const { done } of sources) await expect(done).rejects.toBe("stopped");
    expect(added).toHaveBeenCalledTimes(1);
    await server.close();
  });

  it("ends by its signal as by close, also before it began", async () => {
    const told: unknown[] = [];
    const options = { url: "http://127.0.0.1:1/", signal: AbortSignal.abort("left") };
    const source = streamChat("?", { onError: (error) => told.push(error) }, options);
    expect(await source.done.catch((error: unknown) => error)).toBe("left");
    expect(told).toEqual([]);
  });
});

describe("silence", () => {
  async function failure(handler: Parameters<typeof serve>[0], options: ChatOptions = {}): Promise<unknown> {
    const server = await serve(handler);
    const told: unknown[] = [];
    const callbacks = { onError: (error: unknown) => told.push(error) };
    const source = streamChat("?", callbacks, { url: server.url, idleTimeout: 60, ...options });
    const error = await source.done.catch((reason: unknown) => reason);
    expect(told).toEqual([error]);
    await server.gone;
    await server.close();
    return error;
  }

  it("before the response is an error", async () => {
    expect(await failure(() => {})).toMatchObject({ code: "idle_timeout" });
    expect(await failure(() => {}, { transport: "sse" })).toMatchObject({ code: "idle_timeout" });
  });

  it("in server-sent events is an error, after what has come", async () => {
    const error = await failure((response) => void response.writeHead(200, SSE).write("event: text\ndata: One\n\n"));
    expect(error).toMatchObject({ code: "idle_timeout", position: 1 });
  });

  it("in server-sent events is ended by comments", async () => {
    const server = await serve((response) => {
      response.writeHead(200, SSE);
      let pings = 0;
      const timer = setInterval(() => {
        if (++pings < 5) return void response.write(": ping\n\n");
        clearInterval(timer);
        response.end("event: done\ndata: 0\n\n");
      }, 100);
    });
    expect((await streamChat("?", {}, { url: server.url, idleTimeout: 400 }).done).count).toBe(0);
    await server.close();
  });

  it("in frames is an error by the heartbeat that was announced", async () => {
    const open = new StreamEncoder(rawCoder()).open({ heartbeat: 0.02 });
    const write = (response: ServerResponse) => void response.writeHead(200, RAW).write(open);
    expect(await failure(write, { idleTimeout: undefined })).toMatchObject({ code: "idle_timeout" });
  });
});

describe("an answer that the server keeps", () => {
  const about = { type: "open", v: 1, coder: "raw", resume: "/streams/1" };
  const text = (words: string) => rawCoder().encode({ kind: "text" }, utf8.encode(words));
  const control = (members: object) => encodeFrame({ $stream: members }, new Uint8Array());
  const first = join([control(about), text("One. ")]);
  const rest = join([control({ ...about, position: 1 }), text("Two."), control({ type: "end", frames: 1 })]);

  it("is continued with GET after a cut, and its headers are asked for again", async () => {
    const server = await serve((response, { method }) => {
      response.writeHead(200, RAW);
      if (method === "GET") response.end(rest);
      else response.write(first, () => response.socket?.destroy());
    });
    let token = 0;
    const headers = () => ({ authorization: `token ${++token}` });
    const source = streamChat("?", {}, { url: `${server.url}chat`, resume: true, headers });
    expect((await source.done).text).toBe("One. Two.");
    expect(server.requests.map(({ method, headers: { authorization } }) => [method, authorization])).toEqual([
      ["POST", "token 1"],
      ["GET", "token 2"],
    ]);
    await server.close();
  });

  it("can be continued later, from its place", async () => {
    const server = await serve((response, { method }) => {
      response.writeHead(200, RAW);
      if (method === "GET") response.end(rest);
      else response.write(first, () => response.socket?.destroy());
    });
    const cut = streamChat("?", {}, { url: server.url });
    await expect(cut.done).rejects.toMatchObject({ code: "stream_incomplete" });
    expect(cut.place).toEqual({ url: `${server.url}streams/1`, position: 1 });
    const told: unknown[] = [];
    const after = streamChat(cut.place as Place, {
      onText: (words) => told.push(words),
      onComplete: () => told.push(1),
    });
    await after.done;
    expect(told).toEqual(["Two.", 1]);

    // The same by the store that a page subscribes to.
    const chat = new Chat({ url: server.url, audio: false });
    chat.sendMessage("?");
    await vi.waitFor(() => expect(chat.getSnapshot()).toMatchObject({ status: "error", fullText: "One. " }));
    chat.getSnapshot().resume?.();
    expect(chat.getSnapshot()).toMatchObject({ status: "submitted", fullText: "One. ", error: undefined });
    await vi.waitFor(() => expect(chat.getSnapshot()).toMatchObject({ status: "ready", fullText: "One. Two." }));
    expect(chat.getSnapshot().resume).toBeUndefined();
    await server.close();
  });
});

describe("Chat", () => {
  const open = new StreamEncoder(rawCoder());
  const begun = join([open.open(), open.data({ kind: "text" }, utf8.encode("One"))]);

  it("is ready again when its signal has aborted, as after cancelStream", async () => {
    const server = await serve((response) => void response.writeHead(200, RAW).write(begun));
    const stop = new AbortController();
    const onError = vi.fn();
    const chat = new Chat({ url: server.url, audio: false, signal: stop.signal, onError });
    chat.sendMessage("?");
    await vi.waitFor(() => expect(chat.getSnapshot().fullText).toBe("One"));
    stop.abort();
    await vi.waitFor(() => expect(chat.getSnapshot()).toMatchObject({ status: "ready", fullText: "One" }));
    expect(onError).not.toHaveBeenCalled();
    await server.close();
  });

  it("asks, and tells all its subscribers, also if one of them throws", async () => {
    const server = await serve((response) => response.writeHead(200, RAW).end(frames()));
    const thrown: unknown[] = [];
    const queue = queueMicrotask;
    vi.stubGlobal("queueMicrotask", (work: () => void) =>
      queue(() => {
        try {
          work();
        } catch (error) {
          thrown.push(error);
        }
      }),
    );
    const chat = new Chat({ url: server.url, audio: false });
    const told = vi.fn();
    chat.subscribe(() => {
      throw new Error("mine");
    });
    chat.subscribe(told);
    chat.sendMessage("?");
    await vi.waitFor(() => expect(chat.getSnapshot()).toMatchObject({ status: "ready", fullText: "One.\n Two. é" }));
    await Promise.resolve();
    expect(told).toHaveBeenCalledTimes(thrown.length);
    expect(told.mock.calls.length).toBeGreaterThan(1);
    vi.unstubAllGlobals();
    await server.close();
  });

  it("silences an answer that failed, when it is cancelled or asked again", async () => {
    const header = { ...audio, sentence: 1, at: 0 };
    const broken = join([begun, rawCoder().encode(header, bytes(pcm(1)))]);
    const server = await serve((response) =>
      response.writeHead(200, RAW).write(broken, () => response.socket?.destroy()),
    );
    for (const stop of ["cancelStream", "sendMessage"] as const) {
      const told: string[] = [];
      const tell = (word: string) => () => void told.push(word);
      const player = { unlock: tell("unlock"), push: tell("push"), end: tell("end"), flush: tell("flush") };
      const heard = () => new Promise(() => undefined);
      const chat = new Chat({ url: server.url, player: { ...player, heard } as unknown as AudioPlayer });
      chat.sendMessage("?");
      await vi.waitFor(() => expect(chat.getSnapshot().status).toBe("error"));
      chat[stop]("?");
      expect(told.slice(0, 4)).toEqual(["unlock", "push", "end", "flush"]);
      expect(chat.getSnapshot().status).toBe(stop === "sendMessage" ? "submitted" : "error");
      chat.cancelStream();
    }
    await server.close();
  });
});

describe("AudioPlayer", () => {
  afterEach(() => vi.unstubAllGlobals());

  it("keeps its volume and its speed where the new one is no number", () => {
    const player = new AudioPlayer({ context: new FakeContext() as unknown as AudioContext });
    player.volume = 0.5;
    player.speed = 2;
    player.volume = player.speed = NaN;
    expect([player.volume, player.speed]).toEqual([0.5, 2]);
  });

  it("tells a change when it is made, so that onchange may flush, push and throw", async () => {
    vi.stubGlobal("AudioContext", FakeContext);
    const player = new AudioPlayer();
    const told: unknown[] = [];
    const queue = queueMicrotask;
    vi.stubGlobal("queueMicrotask", (work: () => void) => queue(() => void Promise.resolve().then(work).catch(note)));
    const note = (error: Error) => told.push(error.message);
    player.onchange = () => {
      player.onchange = undefined;
      player.flush();
      player.push(new Int16Array(800), { rate: 8_000, id: "new" });
      throw new Error("mine");
    };
    for (const id of ["a", "b", "c"]) player.push(new Int16Array(4_000), { rate: 8_000, id });
    expect(player.buffered).toBeCloseTo(1.5, 2);
    await vi.waitFor(() => expect(told).toEqual(["mine"]));
    expect(player.buffered).toBeCloseTo(0.1, 2);
    await player.close().catch(() => undefined);
  });
});

describe("SseParser", () => {
  it("gives the same events for every cut", () => {
    const text = "\ufeffevent: a\r\ndata: 1\r\ndata:2\r\rdata\n\n: no\nid: 3\ndata:  x\n\nevent: lost\n\ndata: cut";
    const whole = new SseParser().push(text);
    expect(whole).toEqual([
      { event: "a", data: "1\n2" },
      { event: "message", data: "" },
      { event: "message", data: " x" },
    ]);
    for (let at = 0; at <= text.length; at++) {
      const parser = new SseParser();
      expect([...parser.push(text.slice(0, at)), ...parser.push(text.slice(at))]).toEqual(whole);
    }
    const bytewise = new SseParser();
    expect(text.split("").flatMap((unit) => bytewise.push(unit))).toEqual(whole);
  });

  it("takes an event of 12 million characters, wherever it is cut", () => {
    const event = `data: ${"x".repeat(12_000_000)}\n\n`;
    for (let at = event.length - 3; at <= event.length; at++) {
      const parser = new SseParser();
      expect([...parser.push(event.slice(0, at)), ...parser.push(event.slice(at))].length).toBe(1);
    }
  });

  it("keeps no more of an event than a frame may have", () => {
    const parser = new SseParser();
    const piece = "x".repeat(1 << 20);
    expect(() => {
      for (let n = 0; n < 20; n++) parser.push(piece);
    }).toThrow(RangeError);
    const lines = new SseParser();
    expect(() => {
      for (let n = 0; n < 20; n++) lines.push(`data: ${piece}\n`);
    }).toThrow(RangeError);
  });
});

describe("decodeWav", () => {
  const file = encodeWav([bytes(pcm(1, -2, 3, -4))], 8000, 2);

  it("reads what encodeWav writes, and files with a wrong size", () => {
    expect(decodeWav(file)).toEqual({ samples: pcm(1, -2, 3, -4), rate: 8000, channels: 2 });
    const streamed = file.slice();
    new DataView(streamed.buffer).setUint32(40, 0xffffffff, true);
    expect([...decodeWav(streamed).samples]).toEqual([1, -2, 3, -4]);
    expect([...decodeWav(file.slice(0, -1)).samples]).toEqual([1, -2]);
    new DataView(streamed.buffer).setUint32(40, 0, true);
    expect([...decodeWav(streamed).samples]).toEqual([1, -2, 3, -4]);
    const listed = join([file, utf8.encode("LIST\x04\0\0\0abcd")]);
    expect([...decodeWav(listed).samples]).toEqual([1, -2, 3, -4]);
    new DataView(listed.buffer).setUint32(40, 0, true);
    expect(decodeWav(join([file.slice(0, 40), new Uint8Array(4), listed.slice(52)])).samples.length).toBe(0);
  });

  const f64 = new Uint8Array(Float64Array.of(0.5, -0.25).buffer);
  const samples = (...values: number[]) => Float32Array.from(values);
  it.each([
    ["8 bits", 1, 8, 1, [0, 192], samples(-1, 0.5)],
    ["12 bits in two bytes", 1, 12, 2, [0x10, 0x40], pcm(0x4010)],
    ["24 bits", 1, 24, 3, [0, 0, 0x40, 0, 0, 0x80], samples(0.5, -1)],
    ["24 bits in four bytes", 1, 24, 4, [0, 0, 0, 0x40, 0, 0, 0, 0xc0], samples(0.5, -0.5)],
    ["16 bits, the size of a sample frame missing", 1, 16, 0, [1, 0, 2, 0], pcm(1, 2)],
    ["floats of 64 bits", 3, 64, 8, [...f64], samples(0.5, -0.25)],
    ["A-law", 6, 8, 1, [0x55, 0xd5, 0x2a], samples(-8 / 32_768, 8 / 32_768, -32_256 / 32_768)],
    ["mu-law", 7, 8, 1, [0xff, 0x00, 0x80], samples(0, -32_124 / 32_768, 32_124 / 32_768)],
  ])("reads %s", (_, tag, bits, block, data, samples) => {
    const wav = encodeWav([Uint8Array.from(data)], 8000, 1);
    const view = new DataView(wav.buffer);
    [tag, block, bits].forEach((value, n) => view.setUint16([20, 32, 34][n] ?? 0, value, true));
    expect(decodeWav(wav)).toEqual({ samples, rate: 8000, channels: 1 });
    view.setUint32(24, 0, true); // Hz
    expect(() => decodeWav(wav)).toThrow(TypeError);
  });

  it("refuses anything else", () => {
    for (const wrong of [new Uint8Array(), utf8.encode("OggS not a WAV file"), file.slice(0, 30)]) {
      expect(() => decodeWav(wrong)).toThrow(TypeError);
    }
  });
});
