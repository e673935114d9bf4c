"use client";

import { useStreamingChat } from "@objectstreaming/client/react";
import { parts } from "../../client.js";

export default function Page() {
  const { sendMessage, cancelStream, isStreaming, fullText } = useStreamingChat();
  return (
    <main data-parts={parts.join()}>
      <p>{fullText}</p>
      <button onClick={() => sendMessage("What is a frame?")}>Ask</button>
      <button disabled={!isStreaming} onClick={cancelStream}>
        Stop
      </button>
    </main>
  );
}
