import { describe, expect, it } from "vitest";
import {
  EncodeError,
  encodeFrame,
  FrameDecoder,
  isControlFrame,
  jsonCoder,
  PayloadError,
  rawCoder,
  StreamDecoder,
  StreamEncoder,
  StreamError,
  StreamIncompleteError,
} from "../src/index.js";
import { join, toHex } from "./vectors.js";

const json = jsonCoder();
const utf8 = new TextEncoder();

describe("StreamEncoder", () => {
  it("writes a stream that StreamDecoder reads", () => {
    const encoder = new StreamEncoder(json);
    const wire = join([
      encoder.open({ heartbeat: 15, metadata: { id: 1 } }),
      encoder.data({ n: 1 }, "é"),
      encoder.ping(),
      encoder.data({ n: 2 }, null),
      encoder.end({ trailers: { tokens: 7 } }),
    ]);
    const decoder = new StreamDecoder(json);
    expect([...decoder.feed(wire)]).toEqual([
      { header: { n: 1 }, payload: "é" },
      { header: { n: 2 }, payload: null },
    ]);
    decoder.finish();
    expect(decoder).toMatchObject({ position: 2, ended: true, heartbeat: 15, buffered: 0 });
    expect(decoder.metadata).toEqual({ id: 1 });
    expect(decoder.trailers).toEqual({ tokens: 7 });
    expect(encoder.position).toBe(2);
  });

  it("follows the table, and has not changed after it refused a frame", () => {
    const encoder = new StreamEncoder(json);
    encoder.ping();
    expect(() => encoder.open()).toThrow(EncodeError);
    expect(() => encoder.data({ $stream: 1 }, 1)).toThrow(EncodeError);
    expect(() => encoder.data(utf8.encode('{"\\u0024stream":1}'), 1)).toThrow(EncodeError);
    expect(() => encoder.data({}, undefined)).toThrow(EncodeError);
    expect(encoder.position).toBe(0);
    encoder.data({ a: "$stream" }, 1);
    encoder.end();
    expect(() => encoder.end()).toThrow(EncodeError);
    expect(() => encoder.ping()).toThrow(EncodeError);
    expect(() => encoder.data({}, 1)).toThrow(EncodeError);
  });

  it("writes no control frames in a plain stream", () => {
    const encoder = new StreamEncoder(json, { plain: true });
    expect(() => encoder.open()).toThrow(EncodeError);
    expect(() => encoder.ping()).toThrow(EncodeError);
    expect(() => encoder.end()).toThrow(EncodeError);
    expect(toHex(encoder.data({}, 1))).toBe(toHex(json.encode({}, 1)));
  });

  it("keeps to the limits of the receiver", () => {
    const encoder = new StreamEncoder(rawCoder(), { limits: { frame: 20, header: 4 } });
    expect(() => encoder.data({}, new Uint8Array(11))).toThrow(EncodeError);
    expect(() => encoder.data({ a: 1 }, new Uint8Array())).toThrow(EncodeError);
    expect(encoder.data({}, new Uint8Array(10)).length).toBe(20);
    expect(() => encoder.end({ trailers: {} })).toThrow(EncodeError);
  });

  it("tells the peer of an error without what is beyond the limits", () => {
    const long = "x".repeat(200);
    for (const [error, told] of [
      [new StreamError("internal", "no", [long]), "no"],
      [new StreamError("internal", long), "the message of this error cannot be sent"],
    ] as const) {
      const wire = new StreamEncoder(json, { limits: { header: 160 } }).end({ error, trailers: {} });
      expect(() => [...new StreamDecoder(json).feed(wire)]).toThrow(
        expect.objectContaining({ code: "internal", rawMessage: told, details: undefined }),
      );
    }
  });

  it("refuses what a coder gives and is not one frame", () => {
    const raw = rawCoder();
    const frame = raw.encode({}, new Uint8Array(3));
    const wires = [new Uint8Array([...frame, ...frame]), frame.slice(0, -1), new Uint8Array(7)];
    for (const wire of wires) {
      const encoder = new StreamEncoder({ ...raw, encode: () => wire });
      expect(() => encoder.data({}, new Uint8Array())).toThrow("one whole frame is expected");
      expect(encoder.position).toBe(0);
    }
  });

  it("reports an error to the peer", () => {
    const encoder = new StreamEncoder(json);
    const wire = encoder.end({ error: new StreamError("not_found", "no such document", [1]) });
    const decoder = new StreamDecoder(json);
    expect(() => [...decoder.feed(wire)]).toThrow(
      expect.objectContaining({ code: "not_found", rawMessage: "no such document", details: [1] }),
    );
    expect(decoder.ended).toBe(true);
  });
});

describe("StreamDecoder", () => {
  it("continues after a refused payload", () => {
    const decoder = new StreamDecoder(json);
    decoder.push(join([encodeFrame({}, utf8.encode("nope")), json.encode({}, 2)]));
    expect(() => decoder.nextMessage()).toThrow(PayloadError);
    expect(decoder.nextMessage()).toEqual({ header: {}, payload: 2 });
    expect(decoder.position).toBe(2);
  });

  it("requires the end after a control frame, or as its option says", () => {
    const ping = new StreamEncoder(json).ping();
    const finish = (wire: Uint8Array, requireEnd?: boolean) => {
      const decoder = new StreamDecoder(json, { requireEnd });
      expect([...decoder.feed(wire)]).toEqual([]);
      decoder.finish();
    };
    expect(() => finish(ping)).toThrow(StreamIncompleteError);
    expect(() => finish(new Uint8Array(), true)).toThrow(StreamIncompleteError);
    finish(ping, false);
    finish(new Uint8Array());
  });

  it("has failed after an error of the peer", () => {
    const decoder = new StreamDecoder(json);
    decoder.push(new StreamEncoder(json).end({ error: new StreamError("internal") }));
    expect(() => decoder.nextMessage()).toThrow(StreamError);
    expect(() => decoder.nextMessage()).toThrow(StreamError);
    expect(() => decoder.feed(new Uint8Array())).toThrow(StreamError);
    expect(() => decoder.finish()).toThrow(StreamError);
  });

  it("lets a relay find control frames", () => {
    const wire = join([new StreamEncoder(json).open(), json.encode({ a: 1 }, 1), encodeFrame({ $streams: 1 })]);
    expect([...new FrameDecoder().feed(wire)].map(isControlFrame)).toEqual([true, false, false]);
  });

  it("does not change prototypes", () => {
    const wire = encodeFrame(utf8.encode('{"__proto__":{"polluted":1}}'), utf8.encode('{"__proto__":{"polluted":1}}'));
    expect([...new StreamDecoder(json).feed(wire)].length).toBe(1);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });
});

describe("jsonCoder", () => {
  const checked = jsonCoder({
    header: (header) => String(header.status),
    payload(value) {
      if (typeof value !== "number") throw new TypeError("not a number");
      return value + 1;
    },
  });

  it("returns the results of the schemas", () => {
    expect([...new StreamDecoder(checked).feed(json.encode({ status: "success" }, 41))]).toEqual([
      { header: "success", payload: 42 },
    ]);
  });

  it("checks the header first, for any payload", () => {
    const strict = jsonCoder({
      header() {
        throw new RangeError("never");
      },
    });
    for (const payload of ["nope", "é", "1"]) {
      const decoder = new StreamDecoder(strict);
      expect(() => [...decoder.feed(encodeFrame({}, utf8.encode(payload)))]).toThrow(
        expect.objectContaining({ code: "invalid_header" }),
      );
    }
  });

  it("wraps the error of a schema as the cause of its own", () => {
    const decoder = new StreamDecoder(checked);
    expect(() => [...decoder.feed(json.encode({}, "x"))]).toThrow(
      expect.objectContaining({ code: "invalid_payload", index: 0, cause: expect.any(TypeError) }),
    );
    const strict = jsonCoder({
      header() {
        throw new RangeError("never");
      },
    });
    expect(() => [...new StreamDecoder(strict).feed(json.encode({}, 1))]).toThrow(
      expect.objectContaining({ code: "invalid_header", offset: 0 }),
    );
  });
});
