/**
 * Workload T, 10,000 messages of {"status","reason"} + {"answer","source"}, read from a web stream of 64 KiB chunks: by
 * this client, by the streaming decoder of @msgpack/msgpack, and by the envelopes of connect-es with JSON in them. All run
 * in one process; the results are medians of interleaved rounds. Then the time of one-byte chunks, and the memory.
 *
 *     npm run bench            (in clients/typescript; `make bench`)
 */

import { createEnvelopeReadableStream, encodeEnvelope } from "@connectrpc/connect/protocol";
import { decodeMultiStream, encode } from "@msgpack/msgpack";
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

await compare(65_536);
await compare(1_460);
bytewise(1000);
console.log(
  `one-byte chunks, T: ${bytewise(1000).toFixed(0)} ns a byte at 1,000 frames, ${bytewise(10_000).toFixed(0)} at 10,000`,
);
large(65_536);
console.log(
  `one-byte chunks, one frame: ${large(1 << 18).toFixed(0)} ns a byte at 256 KiB, ${large(1 << 22).toFixed(0)} at 4 MiB`,
);
await flat(Number(process.env.MIB ?? 1024));
