import { describe, expect, it } from "vitest";
import { EncodeError, encodeFrame, FrameDecoder, StreamDecoder, talAudio, talCoder } from "../src/index.js";
import { fromHex, toHex } from "./vectors.js";

const coder = talCoder();

function decoded(wire: Uint8Array) {
  const [message] = new StreamDecoder(coder).feed(wire);
  if (message === undefined) throw new Error("no message");
  return message;
}

describe("samples", () => {
  it("are right and aligned for headers of any length", () => {
    for (let pad = 0; pad < 9; pad++) {
      const question = "?".repeat(pad);
      const short = new Int16Array([0, 1, -1, 32767, -32768]);
      const long = new Int32Array([0, 1, -1, 2147483647, -2147483648]);
      const first = decoded(coder.encode({ question }, short));
      expect(first.payload).toEqual(short);
      expect(first.payload).toBeInstanceOf(Int16Array);
      const second = decoded(coder.encode({ question, audioType: "int32", bitDepth: 32 }, long));
      expect(second.payload).toEqual(long);
      expect(second.payload).toBeInstanceOf(Int32Array);
    }
  });

  it("are little-endian on the wire", () => {
    const [frame] = new FrameDecoder().feed(coder.encode({}, new Int16Array([1, -2])));
    expect(toHex(frame?.payload ?? new Uint8Array())).toBe("0100feff");
  });

  it("are a copy", () => {
    const wire = coder.encode({}, new Int16Array([5]));
    const { payload } = decoded(wire);
    wire.fill(0);
    expect(payload[0]).toBe(5);
    expect(payload.buffer.byteLength).toBe(2);
  });

  it("may be given as PCM bytes, also of a Node Buffer", () => {
    expect(decoded(coder.encode({}, Buffer.from([1, 0]))).payload).toEqual(new Int16Array([1]));
  });

  it.each([
    ["float samples", {}, new Float32Array(2)],
    ["32-bit samples where bitDepth is 16", {}, new Int32Array(2)],
    ["16-bit samples where bitDepth is 32", { audioType: "int32", bitDepth: 32 } as const, new Int16Array(2)],
    ["half a stereo frame", { channels: 2 }, new Int16Array(3)],
  ])("are refused: %s", (_, header, payload) => {
    expect(() => coder.encode(header, payload)).toThrow(EncodeError);
  });
});

describe("headers", () => {
  it("are written with their defaults, in the order of the original", () => {
    const [frame] = new FrameDecoder().feed(coder.encode({}, new Uint8Array()));
    expect(JSON.stringify(frame?.header)).toBe(
      '{"audioType":"int16","bitDepth":16,"sampleRate":16000,"channels":1,"audioFormat":"wav",' +
        '"question":"","answer":"","url":"","sign":1,"order":1}',
    );
  });

  it("keep unknown members of any name", () => {
    const { header } = decoded(encodeFrame(new TextEncoder().encode('{"__proto__":{"sign":9},"speaker":"Ann"}')));
    expect(Object.keys(header)).toContain("__proto__");
    expect(header.sign).toBe(1);
    expect(Object.getPrototypeOf(header)).toBe(Object.prototype);
    expect(decoded(coder.encode(header, new Uint8Array())).header.speaker).toBe("Ann");
  });

  it("are checked before they are sent", () => {
    expect(talAudio({ order: 2, sign: 2 }).order).toBe(2);
    expect(() => talAudio({ bitDepth: 32 })).toThrow("bitDepth is 16");
    expect(() => talAudio({ order: 2 ** 53 })).toThrow(EncodeError);
    expect(() => talAudio({ sampleRate: 0.5 })).toThrow(EncodeError);
    expect(() => talAudio({ order: 1n as unknown as number })).toThrow(EncodeError);
  });
});

it("a lost frame is an order_gap", () => {
  const decoder = new StreamDecoder(coder);
  const wire = fromHex(
    [1, 2, 4].map((order) => toHex(coder.encode({ order, sign: order === 1 ? 1 : 2 }, new Uint8Array()))).join(""),
  );
  const orders: number[] = [];
  expect(() => {
    for (const { header } of decoder.feed(wire)) orders.push(header.order);
  }).toThrow(expect.objectContaining({ code: "order_gap", index: 2 }));
  expect(orders).toEqual([1, 2]);
});
