/** The checks in a browser, in a page and in a worker. */

import { decodeStream, jsonCoder, MessageDecoderStream, openStream, StreamDecoder, talCoder } from "../../src/index.js";
import { failureOf, SKIPPED_FLAGS, type Suite } from "../vectors.js";

export interface Report {
  passed: number;
  failures: string[];
}

const coder = jsonCoder();

async function codeOf(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
  } catch (error) {
    const { code, name } = error as { code?: unknown; name: string };
    return typeof code === "string" ? code : name;
  }
  return "success";
}

async function drain(items: AsyncIterable<{ payload: unknown }>): Promise<unknown[]> {
  const payloads: unknown[] = [];
  for await (const { payload } of items) payloads.push(payload);
  return payloads;
}

/** Each check has a name, and returns what is wrong. It returns an empty string if it passes. */
const CHECKS: Record<string, (base: string) => Promise<unknown>> = {
  async "a stream of version 1 over fetch"(base) {
    const stream = await openStream(`${base}whole`, { coder, json: { question: "?" } });
    const payloads = await drain(stream);
    return payloads.length === 2 && stream.trailers?.["tokens"] === 7 ? "" : JSON.stringify(payloads);
  },
  async "a stream cut at any byte is an error"(base) {
    const { length } = new Uint8Array(await (await fetch(`${base}whole`)).arrayBuffer());
    for (let cut = 0; cut < length; cut += 3) {
      const code = await codeOf(async () => drain(await openStream(`${base}cut/${cut}`, { coder })));
      if (code !== "truncated_frame" && code !== "stream_incomplete") return `cut at ${cut} is ${code}`;
    }
    return length > 200 ? "" : `the stream has only ${length} bytes`;
  },
  async "an abort"(base) {
    const controller = new AbortController();
    const stream = await openStream(`${base}stall`, { coder, signal: controller.signal });
    await stream.next();
    const waiting = codeOf(() => stream.next());
    controller.abort();
    const code = await waiting;
    return code === "AbortError" ? "" : code;
  },
  async silence(base) {
    const code = await codeOf(async () => drain(await openStream(`${base}stall`, { coder, idleTimeout: 100 })));
    return code === "idle_timeout" ? "" : code;
  },
  async "a problem"(base) {
    const code = await codeOf(() => openStream(`${base}problem`, { coder }));
    return code === "resource_exhausted" ? "" : code;
  },
  async "a web page"(base) {
    const code = await codeOf(() => openStream(base, { coder, method: "GET" }));
    return code === "unexpected_content_type" ? "" : code;
  },
  async "a body through a transform, and with decodeStream"(base) {
    const first = (await fetch(`${base}whole`)).body;
    const second = (await fetch(`${base}whole`)).body;
    if (!first || !second) return "no body";
    const reader = first.pipeThrough(new MessageDecoderStream(coder)).getReader();
    let piped = 0;
    while (!(await reader.read()).done) piped++;
    const decoded = (await drain(decodeStream(second, coder))).length;
    return piped === 2 && decoded === 2 ? "" : `${piped} and ${decoded} messages`;
  },
  async "samples that are not aligned"() {
    const tal = talCoder();
    for (let pad = 0; pad < 8; pad++) {
      const wire = tal.encode({ answer: "x".repeat(pad) }, new Int16Array([1, -2]));
      const [message] = new StreamDecoder(tal).feed(wire);
      if (message?.payload[1] !== -2) return `${pad}: ${message?.payload}`;
    }
    return "";
  },
};

export async function checkAll(base: string): Promise<Report> {
  const report: Report = { passed: 0, failures: [] };
  const note = (name: string, failure: unknown) => {
    if (failure) report.failures.push(`${name}: ${failure}`);
    else report.passed++;
  };
  const { names, binaries } = (await (await fetch(`${base}vectors.json`)).json()) as Record<
    "names" | "binaries",
    string[]
  >;
  const files = new Map<string, Uint8Array>();
  for (const name of binaries) {
    files.set(name, new Uint8Array(await (await fetch(`${base}vectors/${name}`)).arrayBuffer()));
  }
  for (const name of names) {
    const suite = (await (await fetch(`${base}vectors/${name}`)).json()) as Suite;
    for (const test of suite.cases) {
      if (!test.flags.some((flag) => SKIPPED_FLAGS.includes(flag))) note(test.id, failureOf(suite, test, files));
    }
  }
  for (const [name, check] of Object.entries(CHECKS)) {
    note(name, await check(base).catch((error) => String(error?.stack ?? error)));
  }
  return report;
}
