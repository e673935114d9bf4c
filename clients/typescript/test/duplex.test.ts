/** `/duplex`: sessions over a WebSocket, against a socket of the test and against the reference server. */

import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import {
  audioSymbol,
  type DuplexOptions,
  type DuplexSession,
  openDuplex,
  type StreamItem,
  type StreamItemInput,
  symbolCoder,
  symbolText,
  textSymbol,
} from "../src/duplex/index.js";
import { FrameDecoder, isStreamErrorCode, StreamDecoder, StreamEncoder, StreamError } from "../src/index.js";
import { FakeSocket } from "./fake-socket.js";
import { ReferenceServer } from "./reference-server.js";

class Socket extends FakeSocket {
  static latest: Socket;
  readonly peer = new StreamEncoder(symbolCoder());
  readonly #sent = new StreamDecoder(symbolCoder());

  constructor(url: string, protocols: string[]) {
    super(url, protocols);
    Socket.latest = this;
  }

  give(...items: StreamItemInput[]): void {
    for (const item of items) this.message(this.peer.data(item, undefined));
  }

  /** What was sent since the last call: texts, types of events, and at last the end or its error. */
  sent(): string[] {
    const shown: string[] = [];
    for (const wire of this.wires.splice(0)) this.#sent.push(wire);
    try {
      for (let message = this.#sent.nextMessage(); message; message = this.#sent.nextMessage()) {
        shown.push(show(message.header));
      }
      if (this.#sent.ended) shown.push("end");
    } catch (error) {
      shown.push((error as StreamError).code);
    }
    return shown;
  }
}

function show(item: StreamItem): string {
  if (item.kind === "event") return item.type;
  return item.modality === "text" ? symbolText(item) : item.modality;
}

async function opened(options: DuplexOptions = {}): Promise<[DuplexSession, Socket]> {
  const opening = openDuplex("http://host/duplex", { webSocket: Socket, ...options });
  await Promise.resolve();
  const socket = Socket.latest;
  socket.message(socket.peer.open({ metadata: { app: "test" } }));
  return [await opening, socket];
}

async function all(items: AsyncIterable<StreamItem>): Promise<string[]> {
  const shown: string[] = [];
  for await (const item of items) shown.push(show(item));
  return shown;
}

const END: StreamItemInput = { kind: "event", type: "stream_end" };
const INTERRUPT: StreamItemInput = { kind: "event", type: "interrupt" };

describe("the symbol coder", () => {
  it("reads and writes the example of the specification", () => {
    const text = readFileSync(new URL("../../../spec/SPEC.md", import.meta.url), "utf8");
    const [, example = ""] = /## 7\. The duplex session.*?```example[^\n]*\n(.*?)=>/s.exec(text) ?? [];
    const hex = example.replace(/#.*$/gm, "").replace(/\s/g, "");
    const bytes = Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
    const items = [...new StreamDecoder(symbolCoder()).feed(bytes)].map(({ header }) => header);
    expect(items.map(show)).toEqual(["hello", "stream_end"]);
    expect(items[0]).toMatchObject({ modality: "text", mimeType: "text/plain", metadata: {} });
    expect(items[0]?.timestamp).toEqual(new Date("2026-11-20T12:00:00Z"));
    const again = items.map((item) => symbolCoder().encode(item, undefined));
    const frames = new FrameDecoder();
    const headers = again.flatMap((wire) => [...frames.feed(wire)].map(({ header }) => header));
    expect(headers).toEqual([
      {
        kind: "symbol",
        modality: "text",
        mime_type: "text/plain",
        timestamp: "2026-11-20T12:00:00.000Z",
        metadata: {},
      },
      { kind: "event", type: "stream_end", timestamp: "2026-11-20T12:00:01.000Z" },
    ]);
  });

  it("makes PCM that says what it is", () => {
    const { mimeType, metadata, data } = audioSymbol(Int16Array.of(1, -2), 16_000, 2);
    expect(mimeType).toBe("audio/pcm;rate=16000;channels=2;bits=16");
    expect(metadata).toEqual({ sample_rate: 16_000, channels: 2, bit_depth: 16 });
    expect([...data]).toEqual([1, 0, 0xfe, 0xff]);
    expect(() => audioSymbol(new Int16Array(3), 16_000, 2)).toThrow(RangeError);
  });

  it.each([
    [{ kind: "symbol", modality: "smell", mime_type: "x", timestamp: "2026-11-20T12:00:00Z" }],
    [{ kind: "event", type: "sneeze", timestamp: "2026-11-20T12:00:00Z" }],
    [{ kind: "event", type: "error", timestamp: "2026-11-20T12:00:00" }],
    [{ kind: "event", type: "error", timestamp: "2026-13-20T12:00:00Z" }],
    [{ kind: "thing" }],
  ])("refuses the header %j", (header) => {
    const wire = new StreamEncoder({ ...symbolCoder(), encode: encodeRaw }).data(header, undefined);
    expect(() => [...new StreamDecoder(symbolCoder()).feed(wire)]).toThrow(
      expect.objectContaining({ code: "invalid_header" }),
    );
  });
});

function encodeRaw(header: object): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(JSON.stringify(header));
  const wire = new Uint8Array(10 + text.length);
  new DataView(wire.buffer).setUint32(0, wire.length, true);
  new DataView(wire.buffer).setUint32(4, text.length, true);
  wire.set(text, 8);
  wire.set([0x7b, 0x7d], 8 + text.length);
  return wire;
}

describe("a session", () => {
  it("asks and gets an answer, again and again", async () => {
    const [session, socket] = await opened();
    expect(socket.url).toBe("ws://host/duplex");
    expect(session.metadata).toEqual({ app: "test" });
    for (const n of ["1", "2"]) {
      await session.send(textSymbol(`question ${n}`));
      await session.sendEnd();
      expect(socket.sent()).toEqual([`question ${n}`, "stream_end"]);
      socket.give(textSymbol(`answer ${n}`), END);
      expect(await all(session.answer())).toEqual([`answer ${n}`, "stream_end"]);
    }
    const closing = session.close();
    socket.give(textSymbol("nobody reads this"));
    socket.message(socket.peer.end());
    await closing;
    expect(socket.sent()).toEqual(["end"]);
    expect(socket.closed).toEqual([1000, ""]);
    await expect(session.send(textSymbol("late"))).rejects.toMatchObject({ code: "encode_error" });
  });

  it("gives all items in one loop until the peer's end, whatever the pieces", async () => {
    const [session, socket] = await opened();
    const wires = [socket.peer.data(textSymbol("a"), undefined), socket.peer.data(END, undefined), socket.peer.end()];
    for (const byte of wires.flatMap((wire) => [...wire])) socket.message(Uint8Array.of(byte));
    expect(await all(session)).toEqual(["a", "stream_end"]);
    expect(session.trailers).toEqual({});
    expect(socket.sent()).toEqual(["end"]);
    await session.close();
  });

  it("never takes a closed connection for an end", async () => {
    const [session, socket] = await opened();
    socket.give(textSymbol("a"), END);
    socket.hangUp(1000);
    const got: string[] = [];
    const reading = (async () => {
      for await (const item of session) got.push(show(item));
    })();
    await expect(reading).rejects.toMatchObject({ code: "stream_incomplete", position: 2 });
    expect(got).toEqual(["a", "stream_end"]);
    await expect(session.send(textSymbol("b"))).rejects.toMatchObject({ code: "stream_incomplete" });
  });

  it("tells who only sends that the session has failed, when it is closed", async () => {
    const [session, socket] = await opened();
    socket.hangUp(1006);
    await expect(session.close()).rejects.toMatchObject({ code: "stream_incomplete" });
  });

  it.each([
    ["a text message", "hello", "invalid_control", "invalid_argument"],
    ["bytes that are no frames", Uint8Array.of(1, 0, 0, 0), "invalid_length", "invalid_argument"],
  ])("refuses %s, and tells the peer", async (_, message, code, told) => {
    const [session, socket] = await opened();
    socket.message(message);
    await expect(all(session)).rejects.toMatchObject({ code });
    expect(socket.sent()).toEqual([told]);
    expect(socket.closed).toEqual([4000, code]);
  });

  it("throws the error that the peer's end reports", async () => {
    const [session, socket] = await opened();
    socket.message(socket.peer.end({ error: new StreamError("unavailable", "no model") }));
    await expect(all(session.answer())).rejects.toMatchObject({ code: "unavailable", rawMessage: "no model" });
    expect(socket.sent()).toEqual(["canceled"]);
  });

  it("throws an error event out of its answer, and goes on", async () => {
    const [session, socket] = await opened();
    socket.give(
      { kind: "event", type: "error", data: { code: "not_found", message: "nothing" } },
      textSymbol("b"),
      END,
    );
    await expect(all(session.answer())).rejects.toMatchObject({ code: "not_found", rawMessage: "nothing" });
    expect(await all(session.answer())).toEqual(["b", "stream_end"]);
  });

  it("is an error if the peer ends the session in an answer", async () => {
    const [session, socket] = await opened();
    socket.give(textSymbol("a"));
    socket.message(socket.peer.end());
    await expect(all(session.answer())).rejects.toMatchObject({ code: "stream_incomplete" });
  });

  it("refuses a stream without open, another subprotocol, and no connection", async () => {
    const first = openDuplex("ws://host/", { webSocket: Socket });
    await Promise.resolve();
    Socket.latest.give(textSymbol("a"));
    await expect(first).rejects.toMatchObject({ code: "invalid_control" });
    const second = openDuplex("ws://host/", { webSocket: Socket });
    Socket.latest.protocol = "chat";
    await expect(second).rejects.toMatchObject({ code: "unexpected_content_type" });
    const third = openDuplex("ws://host/", { webSocket: Socket });
    Socket.latest.hangUp(1006);
    await expect(third).rejects.toMatchObject({ code: "stream_incomplete", position: 0 });
  });

  it("makes no connection for options that are refused", async () => {
    const webSocket = vi.fn<() => Socket>() as unknown as typeof Socket;
    for (const options of [{ heartbeat: 0 }, { metadata: { id: 1n } }]) {
      await expect(openDuplex("ws://host/", { webSocket, ...options })).rejects.toMatchObject({ code: "encode_error" });
    }
    expect(webSocket).not.toHaveBeenCalled();
  });

  it("waits for its peer as long as it is told, also for ever", async () => {
    const [session, socket] = await opened({ patience: Infinity, heartbeat: 10_000_000 });
    const closing = session.close();
    await new Promise((resolve) => setTimeout(resolve, 20));
    socket.message(socket.peer.end());
    await closing;
  });

  it("is given up when the signal aborts, with its reason, and the peer is told", async () => {
    const controller = new AbortController();
    const [session, socket] = await opened({ signal: controller.signal });
    const reading = all(session.answer());
    controller.abort(new Error("enough"));
    await expect(reading).rejects.toThrow("enough");
    expect(socket.sent()).toEqual(["canceled"]);
    await expect(openDuplex("ws://host/", { signal: controller.signal })).rejects.toThrow("enough");
  });
});

describe("an interrupt of ours", () => {
  it("ends the answer at once, and drops what was said before the peer knew", async () => {
    const [session, socket] = await opened();
    socket.give(textSymbol("a"), textSymbol("b"));
    const got: string[] = [];
    for await (const item of session.answer()) {
      got.push(show(item));
      session.interrupt(250);
    }
    expect(got).toEqual(["a"]);
    socket.give(textSymbol("c"), INTERRUPT, textSymbol("next"), END);
    expect(await all(session.answer())).toEqual(["next", "stream_end"]);
    expect(socket.sent()).toEqual(["interrupt"]);
  });

  it("overtakes what the network has not taken", async () => {
    const [session, socket] = await opened({ sendBuffer: 1000 });
    socket.slow = true;
    const sent = [textSymbol("x".repeat(70_000)), textSymbol("a"), textSymbol("b".repeat(2000)), END].map((item) =>
      session.send(item),
    );
    let taken = 0;
    for (const each of sent) void each.then(() => taken++);
    await new Promise((resolve) => setTimeout(resolve));
    expect(taken).toBe(2);
    session.interrupt();
    await Promise.all(sent);
    expect(socket.sent().map((text) => text.slice(0, 9))).toEqual(["xxxxxxxxx", "interrupt"]);
  });

  it("that crosses the peer's is answered by it", async () => {
    const [session, socket] = await opened();
    session.interrupt();
    socket.give(INTERRUPT, textSymbol("a"), END);
    expect(await all(session.answer())).toEqual(["a", "stream_end"]);
    expect(socket.sent()).toEqual(["interrupt"]);
  });
});

describe("an interrupt of the peer", () => {
  it("drops what was not read and not sent, is answered, and is an item", async () => {
    const [session, socket] = await opened();
    socket.slow = true;
    await session.send(textSymbol("x".repeat(70_000)));
    const rest = session.send(textSymbol("dropped"));
    socket.give(textSymbol("a"), { kind: "event", type: "metadata", data: 1 }, END, INTERRUPT, textSymbol("next"));
    await rest;
    expect(await all(session.answer())).toEqual(["metadata", "interrupt"]);
    expect(socket.sent().map((text) => text.slice(0, 9))).toEqual(["xxxxxxxxx", "interrupt"]);
    socket.give(END);
    expect(await all(session.answer())).toEqual(["next", "stream_end"]);
  });

  it("is not answered without end if the peer reads nothing", async () => {
    const [session, socket] = await opened();
    socket.slow = true;
    socket.give(...Array.from({ length: 70 }, () => INTERRUPT));
    await expect(session.send(textSymbol("a"))).rejects.toMatchObject({ code: "resource_exhausted" });
  });
});

describe("back-pressure", () => {
  it("send waits for the network", async () => {
    vi.useFakeTimers();
    try {
      const [session, socket] = await opened({ sendBuffer: 100_000 });
      socket.slow = true;
      let sent = 0;
      const sending = (async () => {
        for (; sent < 20; sent++) await session.send(textSymbol("x".repeat(40_000)));
      })();
      await vi.advanceTimersByTimeAsync(1000);
      expect(sent).toBeLessThanOrEqual(4);
      expect(socket.bufferedAmount).toBeLessThan(65_536 + 41_000);
      socket.slow = false;
      socket.bufferedAmount = 0;
      await vi.advanceTimersByTimeAsync(20);
      await sending;
      expect(socket.sent()).toHaveLength(20);
    } finally {
      vi.useRealTimers();
    }
  });

  it("what nobody reads is bounded: the items before the bound, then an error", async () => {
    const [session, socket] = await opened({ receiveBuffer: 10_000 });
    for (const text of ["a", "b", "c"]) socket.give(textSymbol(text.repeat(3000)));
    const got: string[] = [];
    const reading = (async () => {
      for await (const item of session) got.push(show(item).slice(0, 1));
    })();
    await expect(reading).rejects.toMatchObject({ code: "resource_exhausted" });
    expect(got).toEqual(["a", "b"]);
    expect(socket.sent()).toEqual(["resource_exhausted"]);
  });
});

describe("time", () => {
  it("pings in silence, and takes three heartbeats of silence for a failure", async () => {
    vi.useFakeTimers();
    try {
      const [session, socket] = await opened({ heartbeat: 1 });
      const send = vi.spyOn(socket, "send");
      const reading = all(session);
      const failed = expect(reading).rejects.toMatchObject({ code: "idle_timeout" });
      await vi.advanceTimersByTimeAsync(2900);
      expect(send.mock.calls.length).toBeGreaterThanOrEqual(2);
      await vi.advanceTimersByTimeAsync(700);
      await failed;
      expect(socket.sent()).toEqual(["deadline_exceeded"]);
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });

  it("close waits for a peer that does not answer only so long", async () => {
    const [session] = await opened({ patience: 20 });
    await expect(session.close()).rejects.toMatchObject({ code: "idle_timeout" });
  });
});

describe("with the reference server", () => {
  const server = new ReferenceServer();
  beforeAll(() => server.start(), 60_000);
  afterAll(() => server.stop());

  it("asks in text, interrupts an answer, and asks again", async () => {
    await using session = await openDuplex(`${server.url}duplex`);
    await session.send(textSymbol("What is a frame?"));
    await session.sendEnd();
    const first = await all(session.answer());
    expect(first.at(-1)).toBe("stream_end");
    expect(first.join(" ")).toMatch(/frame/i);

    await session.send(textSymbol("What is a frame?"));
    await session.sendEnd();
    for await (const item of session.answer()) if (item.kind === "symbol") session.interrupt(0);

    await session.send(textSymbol("What is a coder?"));
    await session.sendEnd();
    const last = await all(session.answer());
    expect(last.at(-1)).toBe("stream_end");
    expect(last.join(" ")).toMatch(/coder/i);
  });

  it("gets the error of a question that cannot be answered, and asks again", async () => {
    await using session = await openDuplex(`${server.url}duplex`);
    await session.sendEnd();
    const error = await all(session.answer()).catch((error: unknown) => error);
    expect(isStreamErrorCode((error as StreamError).code)).toBe(true);
    await session.send(textSymbol("What is a frame?"));
    await session.sendEnd();
    expect((await all(session.answer())).at(-1)).toBe("stream_end");
  });

  it("says that there is no session where the server has none", async () => {
    await expect(openDuplex(`${server.url}nothing`)).rejects.toMatchObject({ code: "stream_incomplete" });
  });
});
