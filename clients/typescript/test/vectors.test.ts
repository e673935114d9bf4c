import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { failureOf, SKIPPED_FLAGS, type Suite } from "./vectors.js";

const folder = new URL("../../../objectstreaming/conformance/vectors/", import.meta.url);
const names = readdirSync(folder);
const files = new Map(
  names
    .filter((name) => !name.endsWith(".json"))
    .map((name) => [name, new Uint8Array(readFileSync(new URL(name, folder)))]),
);

describe.each(names.filter((name) => name.endsWith(".json")))("%s", (name) => {
  const suite: Suite = JSON.parse(readFileSync(new URL(name, folder), "utf8"));
  const cases = suite.cases.filter(({ flags }) => !flags.some((flag) => SKIPPED_FLAGS.includes(flag)));
  it(`agrees with the vectors, all chunkings (${cases.length} of ${suite.cases.length} cases)`, () => {
    expect(suite.cases.length).toBeGreaterThan(0);
    const failures = cases.map((test) => [test.id, failureOf(suite, test, files)]).filter(([, failure]) => failure);
    expect(failures).toEqual([]);
  });
});
