// node compile.js FILE.ksy TARGET: prints the parser that Kaitai Struct makes, in the language TARGET.
const { readFileSync } = require("node:fs");
const compiler = require("kaitai-struct-compiler");
const { parse } = require("yaml");

const [, , path, target] = process.argv;
compiler.compile(target, parse(readFileSync(path, "utf8")), null, false).then(
  (files) => process.stdout.write(Object.values(files).join("\n")),
  (error) => {
    process.stderr.write(`${error}\n`);
    process.exit(1);
  },
);
