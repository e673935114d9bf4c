// node read.js PARSER.js FILE: prints the frames that a parser made by Kaitai Struct reads, or its error.
const { readFileSync } = require("node:fs");
const { resolve } = require("node:path");
const KaitaiStream = require("kaitai-struct/KaitaiStream");

const [, , parser, file] = process.argv;
const { Objectstreaming } = require(resolve(parser));
const data = readFileSync(file);
const bytes = data.buffer.slice(data.byteOffset, data.byteOffset + data.length);
try {
  const { frames } = new Objectstreaming(new KaitaiStream(bytes));
  const text = (part) => Buffer.from(part).toString("latin1");
  const read = frames.map((frame) => [text(frame.header), text(frame.payload), frame.isControl]);
  process.stdout.write(JSON.stringify(read));
} catch (error) {
  process.stdout.write(JSON.stringify(error.name));
}
