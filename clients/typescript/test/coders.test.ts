/** The coders msgpack and ndarray. Their vectors are tried by the conformance suite (conformance/implementation.mjs). */

import { ExtensionCodec } from "@msgpack/msgpack";
import { describe, expect, it } from "vitest";
import { msgpackCoder } from "../src/coders/msgpack.js";
import { ndarrayCoder, type NdArrayInput } from "../src/coders/ndarray.js";
import { type Coder, encodeFrame, EncodeError, FrameDecoder, FrameError, PayloadError } from "../src/index.js";

function sent<H, P, HI, PI>(coder: Coder<H, P, HI, PI>, header: HI, payload: PI) {
  return read(coder, coder.encode(header, payload));
}

function read<H, P, HI, PI>(coder: Coder<H, P, HI, PI>, wire: Uint8Array) {
  const [frame] = new FrameDecoder().feed(wire);
  if (frame === undefined) throw new Error("no frame");
  return coder.decode(frame);
}

const packed = (...bytes: number[]) => encodeFrame({}, Uint8Array.from(bytes));

describe("msgpackCoder", () => {
  const values = [
    ...[
      null,
      true,
      false,
      0,
      -1,
      127,
      128,
      -33,
      65_536,
      2 ** 53 - 1,
      -(2 ** 53) + 1,
      1.5,
      "",
      "é漢😀",
      "x".repeat(300),
    ],
    ...[[], [1, [2, [3]]], {}, { a: { b: [null] } }, new Uint8Array([0, 255]), new Date(1_700_000_000_123)],
    ...[
      Array.from({ length: 70_000 }, (_, n) => n),
      Object.fromEntries("abcdefghijklmnopqrs".split("").map((key) => [key, key])),
    ],
  ];

  it("reads what it has written", () => {
    for (const value of values)
      expect(sent(msgpackCoder(), { n: 1 }, value)).toEqual({ header: { n: 1 }, payload: value });
  });

  it("refuses every beginning of a value, and what follows it", () => {
    const coder = msgpackCoder();
    for (const value of [
      ["abc", { k: [1.5, new Uint8Array(3), 70_000, new Date(0)] }],
      "x".repeat(40),
      new Uint8Array(9),
    ]) {
      const [frame] = new FrameDecoder().feed(coder.encode({}, value));
      const payload = frame?.payload ?? new Uint8Array();
      for (let cut = 0; cut < payload.length; cut++) {
        expect(() => read(coder, encodeFrame({}, payload.slice(0, cut))), `cut at ${cut}`).toThrow(PayloadError);
      }
      expect(() => read(coder, encodeFrame({}, new Uint8Array([...payload, 0xc0])))).toThrow("1 bytes follow");
    }
  });

  it("loses no digit of an integer: it refuses, or gives a bigint", () => {
    const big = 2n ** 63n - 1n;
    const exact = msgpackCoder({ useBigInt64: true });
    expect(sent(exact, {}, [big]).payload).toEqual([big]);
    expect(() => read(msgpackCoder(), exact.encode({}, big))).toThrow("useBigInt64");
    expect(() => msgpackCoder().encode({}, big)).toThrow(EncodeError);
    expect(read(msgpackCoder(), packed(0xd3, 0, 0x1f, 255, 255, 255, 255, 255, 255)).payload).toBe(2 ** 53 - 1);
    expect(() => read(msgpackCoder(), packed(0xd3, 0, 0x20, 0, 0, 0, 0, 0, 1))).toThrow("beyond 2^53");
  });

  it("knows the extension types that are given to it", () => {
    expect(() => read(msgpackCoder(), packed(0xd4, 5, 0))).toThrow("extension type 5 is not known");
    const extensionCodec = new ExtensionCodec<undefined>();
    extensionCodec.register({
      type: 5,
      encode: (value) => (value instanceof RegExp ? new TextEncoder().encode(value.source) : null),
      decode: (data) => new RegExp(new TextDecoder().decode(data)),
    });
    expect(sent(msgpackCoder({ extensionCodec }), {}, [/a+/]).payload).toEqual([/a+/]);
  });

  it("checks headers and payloads, and keeps the reason", () => {
    const checked = msgpackCoder({ payload: (value) => Number(value), header: ({ n }) => ({ n: Number(n) }) });
    expect(sent(checked, { n: "2" }, "7")).toEqual({ header: { n: 2 }, payload: 7 });
    const refusing = msgpackCoder({
      payload: () => {
        throw new Error("not an answer");
      },
    });
    expect(() => sent(refusing, {}, 1)).toThrow(/msgpack reads: not an answer/);
  });
});

describe("ndarrayCoder", () => {
  const coder = ndarrayCoder();
  const arrays: [string, NdArrayInput["data"]][] = [
    ["|i1", Int8Array.of(-1, 2)],
    ["|u1", Uint8Array.of(255, 2)],
    ["<i2", Int16Array.of(-1, 2)],
    ["<u2", Uint16Array.of(65_535, 2)],
    ["<i4", Int32Array.of(-1, 2)],
    ["<u4", Uint32Array.of(2 ** 32 - 1, 2)],
    ["<i8", BigInt64Array.of(-1n, 2n)],
    ["<u8", BigUint64Array.of(2n ** 64n - 1n, 2n)],
    ["<f4", Float32Array.of(1.5, -2)],
    ["<f8", Float64Array.of(0.1, -2)],
  ];

  it.each(arrays)("sends %s, whose dtype and shape it finds out", (dtype, data) => {
    expect(sent(coder, { name: "x" }, { data })).toEqual({
      header: { name: "x" },
      payload: { dtype, shape: [2], data },
    });
  });

  it("reads and writes the other byte order, booleans, halves and complex numbers", () => {
    const big = encodeFrame({ dtype: ">i2", shape: [2, 1] }, Uint8Array.of(1, 2, 255, 254));
    const { payload } = read(coder, big);
    expect(payload).toEqual({ dtype: ">i2", shape: [2, 1], data: Int16Array.of(258, -2) });
    expect(coder.encode({}, payload)).toEqual(big);
    expect(payload.data).toEqual(Int16Array.of(258, -2)); // not changed
    for (const [dtype, shape, data] of [
      ["|b1", [2], Uint8Array.of(0, 1)],
      [">f2", [1], Uint16Array.of(0x3c00)],
      [">c8", [1], Float32Array.of(1, -2)],
      ["<c16", [1], Float64Array.of(1, -2)],
      ["<f4", [], Float32Array.of(7)],
      ["<f4", [0, 7], new Float32Array()],
    ] as const) {
      expect(sent(coder, {}, { dtype, shape, data }).payload).toEqual({ dtype, shape, data });
    }
  });

  it("refuses to send what is no array", () => {
    const data = Int16Array.of(1, 2);
    for (const [header, array] of [
      [{}, { data, shape: [3] }],
      [{}, { data, dtype: "<f4" }],
      [{}, { data, dtype: "int16" }],
      [{}, { data, shape: [-2] }],
      [{ dtype: "<i2" }, { data }],
      [{ shape: [] }, { data }],
    ] as [object, NdArrayInput][]) {
      expect(() => coder.encode(header, array)).toThrow(EncodeError);
    }
  });

  it("refuses a hostile shape before anything is built", () => {
    const shape = Array.from({ length: 32 }, () => 2 ** 53 - 1);
    expect(() => read(coder, encodeFrame({ dtype: "<i2", shape }, new Uint8Array(2)))).toThrow(PayloadError);
    expect(() => read(coder, encodeFrame({ dtype: "<i2\n", shape: [1] }, new Uint8Array(2)))).toThrow(FrameError);
  });
});
