/** The subpaths for a page, with the types of the DOM. */

import { AudioPlayer, Chat, type ChatOptions, openChat, streamChat } from "@objectstreaming/client/audio";
import { type StreamingChat, useStreamingChat } from "@objectstreaming/client/react";

export async function speak(player: AudioPlayer | undefined, stop: HTMLButtonElement): Promise<string> {
  const options: ChatOptions = { player, audio: ["opus", "pcm"], headers: { authorization: "token" } };
  const { close, done } = streamChat("?", { onText: undefined }, options);
  stop.onclick = close;
  await using chat = await openChat("/api/chat/stream", { player });
  chat.setVoice({ speed: 1.5 });
  return (await done).text + (await chat.ask("?", {}, { voice: undefined }).done).text;
}

export function Shown(options: ChatOptions): StreamingChat {
  return useStreamingChat({ chat: new Chat(options) });
}
