/**
 * Workload T, 10,000 messages of {"status","reason"} + {"answer","source"}, read from a web stream of 64 KiB chunks: by
 * this client, and by what one would use without it: JSON lines by hand, server-sent events with eventsource-parser (both
 * with JSON.parse, neither notices a cut), the streaming decoder of @msgpack/msgpack, and the envelopes of connect-es with
 * JSON in them. All run in one process; the results are medians of interleaved rounds. Then the same with sound: 1,000
 * messages of 4,800 bytes, which are base64 in JSON. Then the time of one-byte chunks, and the memory.
 *
 *     npm run bench            (in clients/typescript; `make bench`)
 */

import { createEnvelopeReadableStream, encodeEnvelope } from "@connectrpc/connect/protocol";
import { decodeMultiStream, encode } from "@msgpack/msgpack";
import { createParser } from "eventsource-parser";
import { decodeStream, encodeFrame, FrameDecoder, jsonCoder, rawCoder, StreamEncoder } from "../dist/index.js";

const FRAMES = 10_000;
const ROUNDS = Number(process.env.ROUNDS ?? 25);
const utf8 = new TextEncoder();

const messages = Array.from({ length: FRAMES }, (_, n) => [
  { status: "success", reason: "" },
  { answer: `Sentence number ${n} of the answer, as long as sentences are.`, source: `guide.md#chapter-${n % 17}` },
]);

const join = (parts) => new Uint8Array(Buffer.concat(parts));
const coder = jsonCoder();
const encoder = new StreamEncoder(coder);
const wires = {
  ours: join([encoder.open(), ...messages.map(([header, payload]) => encoder.data(header, payload)), encoder.end()]),
  msgpack: join(messages.map((message) => encode(message))),
  lines: utf8.encode(messages.map((message) => `${JSON.stringify(message)}\n`).join("")),
  events: utf8.encode(messages.map((message) => `data: ${JSON.stringify(message)}\n\n`).join("")),
  connect: join(messages.map((message) => encodeEnvelope(0, utf8.encode(JSON.stringify(message))))),
};

function chunked(wire, size) {
  const chunks = [];
  for (let at = 0; at < wire.length; at += size) chunks.push(wire.slice(at, at + size));
  return chunks;
}

function streamOf(chunks) {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at < chunks.length) controller.enqueue(chunks[at++]);
      else controller.close();
    },
  });
}

async function* iterateOver(stream) {
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

const readers = {
  async ours(chunks) {
    let seen = 0;
    for await (const { header, payload } of decodeStream(streamOf(chunks), coder)) {
      if (header.status === "success" && payload.answer !== "") seen++;
    }
    return seen;
  },
  async msgpack(chunks) {
    let seen = 0;
    for await (const [header, payload] of decodeMultiStream(streamOf(chunks))) {
      if (header.status === "success" && payload.answer !== "") seen++;
    }
    return seen;
  },
  async connect(chunks) {
    let seen = 0;
    const text = new TextDecoder();
    for await (const { data } of iterateOver(createEnvelopeReadableStream(streamOf(chunks)))) {
      const [header, payload] = JSON.parse(text.decode(data));
      if (header.status === "success" && payload.answer !== "") seen++;
    }
    return seen;
  },
};

async function* texts(chunks) {
  const decoder = new TextDecoder();
  for await (const chunk of iterateOver(streamOf(chunks))) yield decoder.decode(chunk, { stream: true });
}

/** Calls `use` with each JSON text of server-sent events. */
async function readEvents(chunks, use) {
  const parser = createParser({ onEvent: ({ data }) => use(JSON.parse(data)) });
  for await (const text of texts(chunks)) parser.feed(text);
}

/** Calls `use` with each JSON text of JSON lines. */
async function readLines(chunks, use) {
  let rest = "";
  for await (const text of texts(chunks)) {
    const all = rest + text;
    let from = 0;
    for (let to = all.indexOf("\n"); to >= 0; to = all.indexOf("\n", from)) {
      use(JSON.parse(all.slice(from, to)));
      from = to + 1;
    }
    rest = all.slice(from);
  }
}

for (const [name, read] of [
  ["events", readEvents],
  ["lines", readLines],
]) {
  readers[name] = async (chunks) => {
    let seen = 0;
    await read(chunks, ([header, payload]) => {
      if (header.status === "success" && payload.answer !== "") seen++;
    });
    return seen;
  };
}

const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

async function time(work) {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

async function compare(size, frames = FRAMES) {
  const names = Object.keys(readers);
  const chunks = Object.fromEntries(names.map((name) => [name, chunked(wires[name], size)]));
  const times = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = -20; round < ROUNDS; round++) {
    for (const name of names) {
      const ms = await time(async () => {
        const seen = await readers[name](chunks[name]);
        if (seen !== frames) throw new Error(`${name} gave ${seen} messages`);
      });
      if (round >= 0) times[name].push(ms);
    }
  }
  const medians = Object.fromEntries(names.map((name) => [name, median(times[name])]));
  console.log(`T, ${size} B chunks:`);
  for (const name of names) {
    const each = ((medians[name] * 1e6) / frames).toFixed(0).padStart(6);
    console.log(`  ${name.padEnd(8)} ${each} ns a message  ${(medians[name] / medians.ours).toFixed(2)}x ours`);
  }
  return medians;
}

function bytewise(frames) {
  const wire = join(messages.slice(0, frames).map(([header, payload]) => coder.encode(header, payload)));
  const chunks = chunked(wire, 1);
  const decoder = new FrameDecoder();
  const start = performance.now();
  let seen = 0;
  for (const chunk of chunks) for (const _ of decoder.feed(chunk)) seen++;
  decoder.finish();
  if (seen !== frames) throw new Error(`${seen} frames`);
  return ((performance.now() - start) * 1e6) / wire.length;
}

function large(size) {
  const wire = encodeFrame({}, new Uint8Array(size));
  const chunks = chunked(wire, 1);
  const decoder = new FrameDecoder();
  const start = performance.now();
  for (const chunk of chunks) for (const _ of decoder.feed(chunk));
  return ((performance.now() - start) * 1e6) / size;
}

async function flat(mebibytes) {
  const frame = rawCoder().encode({ n: 1 }, new Uint8Array(1024 * 1024));
  const pieces = chunked(frame, 65_536);
  let left = mebibytes * pieces.length;
  const source = new ReadableStream(
    {
      pull(controller) {
        if (left-- > 0)
          controller.enqueue(
            pieces[left % pieces.length === 0 ? pieces.length - 1 : pieces.length - 1 - (left % pieces.length)].slice(),
          );
        else controller.close();
      },
    },
    { highWaterMark: 0 },
  );
  let peak = 0;
  let seen = 0;
  const start = performance.now();
  for await (const { payload } of decodeStream(source, rawCoder())) {
    if (payload.length === 1024 * 1024) seen++;
    peak = Math.max(peak, process.memoryUsage().arrayBuffers);
  }
  const seconds = (performance.now() - start) / 1000;
  console.log(
    `memory: ${seen} frames of 1 MiB at ${(mebibytes / seconds).toFixed(0)} MiB/s, buffers at most ${(peak / 2 ** 20).toFixed(0)} MiB`,
  );
}

/** 100 s of sound, in messages of 100 ms: frames of bytes beside base64 in JSON lines and server-sent events. */
async function compareSound() {
  const pcm = Uint8Array.from({ length: 4_800 }, (_, n) => (n * 7919) >> 5);
  const header = { rate: 24_000 };
  const raw = new StreamEncoder(rawCoder());
  const text = JSON.stringify({ ...header, audio: Buffer.from(pcm).toString("base64") });
  const count = 1_000;
  const sound = {
    ours: join([raw.open(), ...Array.from({ length: count }, () => raw.data(header, pcm)), raw.end()]),
    lines: utf8.encode(`${text}\n`.repeat(count)),
    events: utf8.encode(`data: ${text}\n\n`.repeat(count)),
  };
  let bytes = 0;
  const take = ({ audio }) => (bytes += Buffer.from(audio, "base64").length);
  const sounds = {
    async ours(chunks) {
      for await (const { payload } of decodeStream(streamOf(chunks), rawCoder())) bytes += payload.slice().length; // a copy, as base64 gives
    },
    lines: (chunks) => readLines(chunks, take),
    events: (chunks) => readEvents(chunks, take),
  };
  const times = { ours: [], lines: [], events: [] };
  for (let round = -5; round < ROUNDS; round++) {
    for (const name of Object.keys(times)) {
      const chunks = chunked(sound[name], 65_536);
      bytes = 0;
      const ms = await time(() => sounds[name](chunks));
      if (bytes !== count * pcm.length) throw new Error(`${name} gave ${bytes} bytes`);
      if (round >= 0) times[name].push(ms);
    }
  }
  const ours = median(times.ours);
  console.log("sound, 1,000 messages of 4,800 bytes, 65536 B chunks:");
  for (const name of Object.keys(times)) {
    const ratio = (median(times[name]) / ours).toFixed(2);
    console.log(
      `  ${name.padEnd(8)} ${(sound[name].length / sound.ours.length).toFixed(2)}x the bytes  ${ratio}x ours`,
    );
  }
}

await compare(65_536);
await compare(1_460);
await compareSound();
bytewise(1000);
console.log(
  `one-byte chunks, T: ${bytewise(1000).toFixed(0)} ns a byte at 1,000 frames, ${bytewise(10_000).toFixed(0)} at 10,000`,
);
large(65_536);
console.log(
  `one-byte chunks, one frame: ${large(1 << 18).toFixed(0)} ns a byte at 256 KiB, ${large(1 << 22).toFixed(0)} at 4 MiB`,
);
await flat(Number(process.env.MIB ?? 1024));
