/** useStreamingChat in a real browser, with React's development build: StrictMode runs effects twice. It posts what it found. */

import { createElement, type ReactNode, StrictMode, useEffect, version } from "react";
import { createRoot, type Root } from "react-dom/client";
import { useStreamingChat, type UseStreamingChatOptions } from "../../src/react/index.js";

export interface HookReport {
  version: string;
  /** What the document's snippet shows at last. */
  weather: string;
  /** Of an answer of many pieces. */
  long: { text: number; commits: number; frames: number };
  /** Whether the request was aborted: before the unmount, and a task after it. */
  aborted: [boolean, boolean];
  error?: string;
}

const task = () => new Promise((resolve) => setTimeout(resolve));

function mount(element: ReactNode): Root {
  const root = createRoot(document.body.appendChild(document.createElement("div")));
  root.render(createElement(StrictMode, null, element));
  return root;
}

/** The document's lines; the message is sent in an effect, where a component may do that. */
function weather(): Promise<string> {
  return new Promise((resolve) => {
    function Weather(): ReactNode {
      // prettier-ignore
      const { sendMessage, cancelStream, isStreaming, fullText } = useStreamingChat();
      useEffect(() => {
        sendMessage("What's the weather?");
      }, [sendMessage]);
      useEffect(() => {
        if (fullText.endsWith("you?") && !isStreaming) resolve(fullText);
      });
      return createElement("button", { onClick: cancelStream }, fullText);
    }
    mount(createElement(Weather));
  });
}

async function long(): Promise<HookReport["long"]> {
  let frames = 0;
  requestAnimationFrame(function count() {
    frames++;
    requestAnimationFrame(count);
  });
  const found = { text: 0, commits: 0 };
  await new Promise<void>((resolve) => {
    function Long(): ReactNode {
      const { sendMessage, status, fullText } = useStreamingChat({ url: "/hook/long", audio: false });
      useEffect(() => sendMessage("long"), [sendMessage]);
      useEffect(() => {
        found.commits++;
        found.text = fullText.length;
        if (status === "ready" && fullText !== "") resolve();
      });
      return fullText.length;
    }
    mount(createElement(Long));
  });
  return { ...found, frames };
}

async function unmount(): Promise<[boolean, boolean]> {
  let signal: AbortSignal | undefined;
  const options: UseStreamingChatOptions = {
    url: "/hook/endless",
    audio: false,
    fetch: (url, init) => {
      signal = init.signal;
      return fetch(url, init);
    },
  };
  let root: Root | undefined;
  await new Promise<void>((resolve) => {
    function Endless(): ReactNode {
      const { sendMessage, fullText } = useStreamingChat(options);
      useEffect(() => sendMessage("endless"), [sendMessage]);
      useEffect(() => {
        if (fullText !== "") resolve();
      });
      return fullText;
    }
    root = mount(createElement(Endless));
  });
  const before = signal?.aborted ?? true;
  root?.unmount();
  await task();
  await task();
  return [before, signal?.aborted ?? false];
}

async function report(): Promise<Partial<HookReport>> {
  try {
    return { version, weather: await weather(), long: await long(), aborted: await unmount() };
  } catch (error) {
    return { error: String((error as Error).stack) };
  }
}

void report().then((found) => fetch("/hook", { method: "POST", body: JSON.stringify(found) }));
