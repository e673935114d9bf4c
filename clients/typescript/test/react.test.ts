// @vitest-environment happy-dom
/** The hook, in React 18 and in 19: vitest.config.ts runs this file with each. */

import { readFileSync } from "node:fs";
import { createElement, Fragment, type ReactNode, StrictMode, useEffect, version } from "react";
import { createRoot, hydrateRoot, type Root } from "react-dom/client";
import { renderToString } from "react-dom/server";
import typescript from "typescript";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Chat, type StreamingChat, useStreamingChat, type UseStreamingChatOptions } from "../src/react/index.js";
import type { AudioPlayer } from "../src/audio/index.js";
import { ChatServer } from "./chat-server.js";

let server = new ChatServer();
let roots: Root[] = [];

beforeEach(() => {
  server = new ChatServer();
  document.body.innerHTML = "";
});

afterEach(() => {
  for (const root of roots) root.unmount();
  roots = [];
  vi.unstubAllGlobals();
});

/** What the components have got, render by render. */
class Seen {
  all: StreamingChat[] = [];
  get now(): StreamingChat {
    const last = this.all.at(-1);
    if (last === undefined) throw new Error("nothing was rendered");
    return last;
  }
}

function Show({ seen, options }: { seen: Seen; options: UseStreamingChatOptions }): ReactNode {
  const chat = useStreamingChat(options);
  seen.all.push(chat);
  return createElement("p", null, chat.fullText);
}

function mount(element: ReactNode): Root {
  const root = createRoot(document.body.appendChild(document.createElement("div")));
  roots.push(root);
  root.render(element);
  return root;
}

async function shown(options: UseStreamingChatOptions = { fetch: server.fetch, audio: false }) {
  const seen = new Seen();
  const root = mount(createElement(Show, { seen, options }));
  await vi.waitFor(() => seen.now);
  return { seen, root };
}

const tick = () => new Promise((resolve) => setTimeout(resolve));

it("is tested with two versions of React", () => {
  expect(version).toMatch(process.env["REACT"] === "18" ? /^18\./ : /^19\./);
});

describe("useStreamingChat", () => {
  it("shows an answer from the message to its end", async () => {
    const { seen } = await shown();
    expect(seen.now).toMatchObject({ status: "ready", isStreaming: false, fullText: "", error: undefined });
    const { sendMessage } = seen.now;
    sendMessage("What's the weather?");
    await vi.waitFor(() => expect(seen.now).toMatchObject({ status: "submitted", isStreaming: true }));
    expect(JSON.parse(server.last.init.body)).toEqual({ message: "What's the weather?", audio: false });
    server.last.text("It is ");
    await vi.waitFor(() => expect(seen.now).toMatchObject({ status: "streaming", fullText: "It is " }));
    expect(document.body.textContent).toBe("It is ");
    server.last.text("dry.");
    server.last.end({ sentences: 1 });
    await vi.waitFor(() => expect(seen.now.status).toBe("ready"));
    expect(seen.now).toMatchObject({
      isStreaming: false,
      fullText: "It is dry.",
      stats: { trailers: { sentences: 1 } },
    });
    expect(seen.now.stats.firstText).toBeGreaterThanOrEqual(0);
    expect(seen.now.sendMessage).toBe(sendMessage);
    expect(server.open).toBe(0);
  });

  it("is used as the document of its predecessor does", async () => {
    vi.stubGlobal("fetch", server.fetch);
    const seen: string[] = [];
    function Weather(): ReactNode {
      const { sendMessage, cancelStream, isStreaming, fullText } = useStreamingChat();
      const ask = () => {
        sendMessage("What's the weather?");
      };
      seen.push(`${isStreaming} ${fullText}`);
      return [
        createElement("button", { key: 1, onClick: ask }, "Ask"),
        createElement("button", { key: 2, onClick: cancelStream }, "Stop"),
      ];
    }
    mount(createElement(Weather));
    await vi.waitFor(() => expect(document.querySelectorAll("button").length).toBe(2));
    const [ask, stop] = document.querySelectorAll("button");
    ask?.click();
    await vi.waitFor(() => expect(server.asks.length).toBe(1));
    expect(server.last.url).toBe("/api/chat/stream");
    server.last.text("Dry.");
    await vi.waitFor(() => expect(seen.at(-1)).toBe("true Dry."));
    stop?.click();
    await vi.waitFor(() => expect(seen.at(-1)).toBe("false Dry."));
    expect(server.open).toBe(0);
  });

  it("is used as the README does", async () => {
    vi.stubGlobal("fetch", server.fetch);
    const [, code = ""] = /```tsx\n(.*?)```/s.exec(readFileSync("README.md", "utf8")) ?? [];
    const { outputText } = typescript.transpileModule(code, {
      compilerOptions: {
        module: typescript.ModuleKind.CommonJS,
        jsx: typescript.JsxEmit.React,
        jsxFactory: "createElement",
        jsxFragmentFactory: "Fragment",
      },
    });
    // eslint-disable-next-line @typescript-eslint/no-implied-eval -- the README's code
    const run = new Function("require", "exports", "createElement", "Fragment", outputText);
    const module: { Weather?: () => ReactNode } = {};
    run(() => ({ useStreamingChat }), module, createElement, Fragment);
    mount(createElement(module.Weather ?? "p"));
    const button = (name: string) => [...document.querySelectorAll("button")].find((one) => one.textContent === name);
    await vi.waitFor(() => expect(button("Stop")?.disabled).toBe(true));
    button("Ask")?.click();
    await vi.waitFor(() => expect(server.asks.length).toBe(1));
    await vi.waitFor(() => expect(button("Stop")?.disabled).toBe(false));
    server.last.text("Dry.");
    server.last.cut();
    await vi.waitFor(() => expect(document.querySelector('[role="alert"]')).not.toBeNull());
    expect(document.querySelector("p")?.textContent).toBe("Dry.");
  });

  it("renders at most once a frame", async () => {
    const frames: FrameRequestCallback[] = [];
    vi.stubGlobal("requestAnimationFrame", (callback: FrameRequestCallback) => frames.push(callback));
    const { seen } = await shown();
    seen.now.sendMessage("?");
    await vi.waitFor(() => expect(server.asks.length).toBe(1));
    const before = seen.all.length;
    for (let frame = 1; frame <= 10; frame++) {
      for (let piece = 0; piece < 100; piece++) server.last.text("x");
      await tick();
      frames.shift()?.(0);
      await vi.waitFor(() => expect(seen.now.fullText.length).toBe(100 * frame));
    }
    expect(seen.all.length - before).toBeLessThanOrEqual(10 + 1);
  });

  it("shows an error, and none after a new message", async () => {
    const { seen } = await shown();
    seen.now.sendMessage("?");
    await vi.waitFor(() => expect(server.asks.length).toBe(1));
    server.last.text("It");
    server.last.cut();
    await vi.waitFor(() => expect(seen.now.status).toBe("error"));
    expect(seen.now).toMatchObject({ fullText: "It", isStreaming: false, error: { code: "stream_incomplete" } });
    seen.now.sendMessage("again");
    await vi.waitFor(() => expect(seen.now).toMatchObject({ status: "submitted", fullText: "", error: undefined }));
  });

  it("sends once in StrictMode, from an effect too", async () => {
    const seen = new Seen();
    function Asking(): ReactNode {
      const chat = useStreamingChat({ fetch: server.fetch, audio: false });
      const { sendMessage } = chat;
      useEffect(() => sendMessage("?"), [sendMessage]);
      seen.all.push(chat);
      return chat.fullText;
    }
    mount(createElement(StrictMode, null, createElement(Asking)));
    await vi.waitFor(() => expect(server.asks.length).toBe(1));
    server.last.text("Yes.");
    server.last.end();
    await vi.waitFor(() => expect(seen.now).toMatchObject({ status: "ready", fullText: "Yes." }));
    await tick();
    expect(server.asks.length).toBe(1);
  });

  it("leaves no connection when it is unmounted", async () => {
    const { seen, root } = await shown();
    seen.now.sendMessage("?");
    await vi.waitFor(() => expect(server.open).toBe(1));
    root.unmount();
    await vi.waitFor(() => expect(server.open).toBe(0));
  });

  it("cancels what was asked, and then changes nothing any more", async () => {
    const { seen } = await shown();
    seen.now.sendMessage("?");
    await vi.waitFor(() => expect(server.asks.length).toBe(1));
    server.last.text("It is ");
    await vi.waitFor(() => expect(seen.now.fullText).toBe("It is "));
    seen.now.cancelStream();
    await vi.waitFor(() => expect(seen.now).toMatchObject({ status: "ready", fullText: "It is ", error: undefined }));
    expect(server.open).toBe(0);
    const renders = seen.all.length;
    seen.now.cancelStream();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(seen.all.length).toBe(renders);
  });

  it("closes the answer before when a new message is sent", async () => {
    const { seen } = await shown();
    seen.now.sendMessage("first");
    await vi.waitFor(() => expect(server.asks.length).toBe(1));
    server.last.text("stale");
    seen.now.sendMessage("second");
    await vi.waitFor(() => expect(server.asks.length).toBe(2));
    expect(server.asks[0]?.gone).toBe(true);
    server.last.text("fresh");
    await vi.waitFor(() => expect(seen.now.fullText).toBe("fresh"));
  });

  it("uses the options of the newest render for the next message", async () => {
    const { seen, root } = await shown({ fetch: server.fetch, audio: false, voice: "one" });
    root.render(createElement(Show, { seen, options: { fetch: server.fetch, audio: false, voice: "two" } }));
    await vi.waitFor(() => expect(seen.all.length).toBe(2));
    await tick();
    seen.now.sendMessage("?");
    await vi.waitFor(() => expect(JSON.parse(server.last.init.body).voice).toBe("two"));
  });

  it("shows one chat in two components, with one request", async () => {
    const chat = new Chat({ fetch: server.fetch, audio: false });
    const one = await shown({ chat });
    const two = await shown({ chat });
    one.seen.now.sendMessage("?");
    await vi.waitFor(() => expect(server.asks.length).toBe(1));
    server.last.text("Yes.");
    await vi.waitFor(() => expect(two.seen.now.fullText).toBe("Yes."));
    one.root.unmount();
    await tick();
    await tick();
    expect(server.open).toBe(1); // the other still shows it
    server.last.end();
    await vi.waitFor(() => expect(two.seen.now.status).toBe("ready"));
    expect(server.asks.length).toBe(1);
  });

  it("renders on a server, and hydrates to the same", async () => {
    const seen = new Seen();
    const element = createElement("main", null, createElement(Show, { seen, options: { audio: false } }));
    const html = renderToString(element);
    expect(html).toBe("<main><p></p></main>");
    const container = document.body.appendChild(document.createElement("div"));
    container.innerHTML = html;
    const problems: unknown[] = [];
    roots.push(hydrateRoot(container, element, { onRecoverableError: (error) => problems.push(error) }));
    await vi.waitFor(() => expect(seen.all.length).toBeGreaterThan(1));
    await tick();
    expect(problems).toEqual([]);
    expect(container.innerHTML).toBe(html);
  });
});

describe("the sound of useStreamingChat", () => {
  /** A player that is heard when the test says so. */
  class FakePlayer {
    locked = true;
    muted = false;
    underruns = 0;
    buffered = 0;
    playing: unknown;
    told: string[] = [];
    unlock = () => this.told.push("unlock");
    push = (samples: Int16Array, { id }: { id: unknown }) => {
      this.told.push(`push ${samples.length}`);
      this.buffered += samples.length;
      this.playing = id;
    };
    end = () => this.told.push("end");
    heard = () => new Promise<void>(() => undefined);
    flush = () => {
      this.told.push("flush");
      this.buffered = 0;
      this.playing = undefined;
    };
  }

  async function speaking() {
    const player = new FakePlayer();
    const { seen } = await shown({ fetch: server.fetch, player: player as unknown as AudioPlayer });
    seen.now.sendMessage("?");
    expect(player.told).toEqual(["unlock"]); // in the handler, or the browser does not allow it
    await vi.waitFor(() => expect(seen.now.audio.locked).toBe(true));
    player.locked = false;
    server.last.text("Yes. No.");
    server.last.sound(1, 1, 2);
    server.last.sound(2, 3);
    server.last.end();
    await vi.waitFor(() => expect(seen.now).toMatchObject({ status: "speaking", sentence: 2, isStreaming: false }));
    expect(seen.now.stats.sentences).toBe(2);
    expect(player.told).toEqual(["unlock", "push 2", "push 1", "end"]);
    return { player, seen };
  }

  it("is heard to its end after the text is whole", async () => {
    const { player, seen } = await speaking();
    expect(seen.now.audio).toMatchObject({ locked: false, muted: false, underruns: 0 });
    player.buffered = 0;
    await vi.waitFor(() =>
      expect(seen.now).toMatchObject({ status: "ready", sentence: undefined, fullText: "Yes. No." }),
    );
  });

  it("is silenced by cancelStream, also after the last piece has come", async () => {
    const { player, seen } = await speaking();
    seen.now.cancelStream();
    await vi.waitFor(() => expect(seen.now.status).toBe("ready"));
    expect(player.told.at(-1)).toBe("flush");
  });

  it("is muted and unlocked by the hook", async () => {
    const { player, seen } = await speaking();
    seen.now.audio.setMuted(true);
    await vi.waitFor(() => expect(seen.now.audio.muted).toBe(true));
    expect(player.muted).toBe(true);
    seen.now.audio.unlock();
    expect(player.told.at(-1)).toBe("unlock");
  });
});
