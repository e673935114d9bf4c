import { describe, expect, it } from "vitest";
import { EncodeError, encodeFrame, Frame, FrameDecoder, FrameError } from "../src/index.js";
import { chunkings, fromHex, join, random, toHex } from "./vectors.js";

const GOLDEN = fromHex("18000000080000007b2261223a20317d7b2262223a20327d");
const utf8 = new TextEncoder();

function thrown(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe("encodeFrame", () => {
  it("writes a frame from JSON bytes, unchanged", () => {
    expect(toHex(encodeFrame(utf8.encode('{"a": 1}'), utf8.encode('{"b": 2}')))).toBe(toHex(GOLDEN));
  });

  it("counts bytes of UTF-8, not UTF-16 units", () => {
    const wire = encodeFrame({ s: "é漢😀" });
    expect(wire.length).toBe(8 + 17);
    expect([...new FrameDecoder().feed(wire)][0]?.header).toEqual({ s: "é漢😀" });
  });

  it("takes any bytes as the payload", () => {
    const samples = new Int16Array([1, -2]);
    const wanted = toHex(encodeFrame({}, fromHex("0100feff")));
    expect(toHex(encodeFrame({}, samples))).toBe(wanted);
    expect(toHex(encodeFrame({}, samples.buffer))).toBe(wanted);
    expect(toHex(encodeFrame({}, new DataView(samples.buffer)))).toBe(wanted);
  });

  it.each([
    ["an array", []],
    ["NaN", { x: Number.NaN }],
    ["Infinity, deep inside", { x: [{ y: Number.POSITIVE_INFINITY }] }],
    ["a lone surrogate", { s: "\ud800" }],
    ["a lone surrogate in a name", { "\udfff": 1 }],
    ["a BigInt", { n: 1n }],
    ["a function", () => 1],
    ["101 levels", JSON.parse(`${'{"a":'.repeat(101)}1${"}".repeat(101)}`)],
  ])("refuses a header with %s", (_, header) => {
    expect(() => encodeFrame(header)).toThrow(EncodeError);
  });

  it("refuses a header that contains itself", () => {
    const header: Record<string, unknown> = {};
    header.self = header;
    expect(() => encodeFrame(header)).toThrow(EncodeError);
  });

  it("writes a real null, and 100 levels", () => {
    const deep = JSON.parse(`${'{"a":'.repeat(100)}null${"}".repeat(100)}`);
    expect([...new FrameDecoder().feed(encodeFrame(deep))][0]?.header).toEqual(deep);
  });

  it("does not take text in strings for JSON", () => {
    const header = { s: "\\ud800 [[[[ null {{{ \\", t: "\ud83d\ude00\\" };
    expect([...new FrameDecoder().feed(encodeFrame(header))][0]?.header).toEqual(header);
  });
});

describe("FrameDecoder", () => {
  it("returns the same frames and places for all chunkings", () => {
    const next = random(7);
    const parts = Array.from({ length: 12 }, (_, n) => {
      const payload = Uint8Array.from({ length: next(60) }, () => next(256));
      return encodeFrame({ n, pad: "x".repeat(next(30)) }, payload);
    });
    const wire = join(parts);
    for (const chunks of chunkings(wire)) {
      const decoder = new FrameDecoder();
      const frames = chunks.flatMap((chunk) => [...decoder.feed(chunk)]);
      decoder.finish();
      expect(frames.map((frame) => toHex(encodeFrame(frame.headerBytes, frame.payload))).join("")).toBe(toHex(wire));
      expect(frames.map((frame) => frame.index)).toEqual(parts.map((_, n) => n));
      let offset = 0;
      for (const frame of frames) {
        expect(frame.offset).toBe(offset);
        offset += parts[frame.index]?.length ?? 0;
      }
    }
  });

  it("iterates lazily, takes the chunk at once, and keeps frames that were not read", () => {
    const decoder = new FrameDecoder();
    const first = decoder.feed(join([GOLDEN, GOLDEN]));
    expect(decoder.position).toBe(0);
    expect(first.next().value).toBeInstanceOf(Frame);
    expect([decoder.position, decoder.offset, decoder.buffered]).toEqual([1, 24, 24]);
    const later = decoder.feed(GOLDEN);
    expect(decoder.buffered).toBe(48);
    expect([...later].map(({ index }) => index)).toEqual([1, 2]);
    expect([...first]).toEqual([]);
    expect([decoder.position, decoder.offset, decoder.buffered]).toEqual([3, 72, 0]);
  });

  it("counts the bytes it holds, at every byte", () => {
    const decoder = new FrameDecoder();
    for (const [at, byte] of [...join([GOLDEN, GOLDEN])].entries()) {
      for (const frame of decoder.feed(Uint8Array.of(byte))) expect(frame.payload.length).toBe(8);
      expect(decoder.offset + decoder.buffered).toBe(at + 1);
    }
  });

  it("returns the valid frames before the error, then always the same error", () => {
    const decoder = new FrameDecoder();
    const seen: number[] = [];
    const error = thrown(() => {
      for (const frame of decoder.feed(join([GOLDEN, GOLDEN, new Uint8Array(8)]))) seen.push(frame.index);
    });
    expect(seen).toEqual([0, 1]);
    expect(error).toBeInstanceOf(FrameError);
    expect(error).toMatchObject({ code: "invalid_length", index: 2, offset: 48 });
    expect(thrown(() => decoder.feed(GOLDEN))).toBe(error);
    expect(thrown(() => decoder.nextFrame())).toBe(error);
    expect(thrown(() => decoder.finish())).toBe(error);
  });

  it("returns whole frames after finish, then the error of the last one, which was cut", () => {
    const decoder = new FrameDecoder();
    decoder.push(join([GOLDEN, GOLDEN, GOLDEN.slice(0, 5)]));
    decoder.finish();
    expect([decoder.position, decoder.offset, decoder.buffered]).toEqual([0, 0, 53]);
    expect(decoder.nextFrame()?.index).toBe(0);
    expect(decoder.nextFrame()?.index).toBe(1);
    expect(thrown(() => decoder.nextFrame())).toMatchObject({ code: "truncated_frame", index: 2, offset: 48 });
  });

  it("refuses to be fed after finish", () => {
    const decoder = new FrameDecoder();
    decoder.finish();
    expect(() => decoder.feed(GOLDEN)).toThrow(TypeError);
  });

  it("refuses values that are not bytes", () => {
    // @ts-expect-error: new Uint8Array("...") would be empty
    expect(() => new FrameDecoder().feed("not bytes")).toThrow(TypeError);
    // @ts-expect-error: new Uint8Array(5) would be five zero bytes
    expect(() => new FrameDecoder().feed(5)).toThrow(TypeError);
  });

  it("makes plain views of Node Buffers, whose own slice does not copy", () => {
    const [frame] = new FrameDecoder().feed(Buffer.from(GOLDEN));
    expect(frame?.payload.constructor).toBe(Uint8Array);
    expect(frame?.headerBytes.constructor).toBe(Uint8Array);
  });

  it("does not copy a frame that is whole in a chunk", () => {
    const chunk = join([GOLDEN, GOLDEN]);
    for (const frame of new FrameDecoder().feed(chunk)) expect(frame.payload.buffer).toBe(chunk.buffer);
  });

  it.each([
    ["<html>", ': the stream starts with "<htm", an error page? (frame_too_large, frame 0, byte 0)'],
    ["HTTP/1.1 200 OK", "its head still on?"],
    ["RIFF....WAVE", "a WAV file"],
    ["data: {}", "server-sent events?"],
    ['{"code":"invalid_argument"}', "JSON without frames?"],
    ['{"code":"unauthenticated","message":"log in"}', 'log in\\"}", JSON without frames? A server reports an error so'],
    ['{"', "JSON without frames?"],
    ["Hello", "text instead of frames?"],
    ["\0\0\0\x18\0\0", ": the other byte order?"],
    ["\x0a\0\0\0\x02\0\0\0{}\0\0\0\0", ": was the frame before it written with a wrong length, or were bytes lost?"],
    ["\0\0\0\0", "T is 0, but a frame has at least 8 bytes (invalid_length, frame 0, byte 0)"],
    [
      "\x10\0\0\0\x02\0\0\0{}",
      "the stream ended inside a frame, after 10 of 16 bytes (truncated_frame, frame 0, byte 0)",
    ],
  ])("names the likely cause: %j", (start, message) => {
    const decoder = new FrameDecoder();
    const error = thrown(() => {
      for (const frame of decoder.feed(utf8.encode(start))) expect(frame.index).toBe(0);
      decoder.finish();
    });
    expect((error as Error).message).toContain(message);
  });

  it("allocates nothing for a length that is only claimed", () => {
    const claim = encodeFrame({}, new Uint8Array(100)).slice(0, 50);
    new DataView(claim.buffer).setUint32(0, 16 * 2 ** 20, true);
    const before = process.memoryUsage().arrayBuffers;
    const decoders = Array.from({ length: 200 }, () => {
      const decoder = new FrameDecoder();
      for (const byte of claim) {
        decoder.push(Uint8Array.of(byte));
        decoder.nextFrame();
      }
      return decoder;
    });
    const grown = process.memoryUsage().arrayBuffers - before; // it would be 200 times 16 MiB
    expect(decoders.every((decoder) => decoder.buffered === 50)).toBe(true);
    expect(grown).toBeLessThan(8 * 2 ** 20);
  });

  it("is linear in one-byte chunks", () => {
    // To copy all bytes again at each byte would move 500 GB.
    const wire = encodeFrame({}, new Uint8Array(2 ** 20).fill(7));
    const decoder = new FrameDecoder();
    const frames: Frame[] = [];
    for (let at = 0; at < wire.length; at++)
      for (const frame of decoder.feed(wire.subarray(at, at + 1))) frames.push(frame);
    expect(frames.map(({ payload }) => payload.length)).toEqual([2 ** 20]);
  });

  it("holds at most one frame of a long stream", () => {
    const decoder = new FrameDecoder();
    const wire = encodeFrame({}, new Uint8Array(2 ** 20));
    let frames = 0;
    let held = 0;
    for (let round = 0; round < 64; round++) {
      for (let at = 0; at < wire.length; at += 65_536) {
        for (const _ of decoder.feed(wire.subarray(at, at + 65_536))) frames++;
        held = Math.max(held, decoder.buffered);
      }
    }
    expect(frames).toBe(64);
    expect(held).toBeLessThanOrEqual(wire.length);
  });
});
