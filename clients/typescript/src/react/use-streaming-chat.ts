"use client";

/** The hook. All that it does beside React is in `audio/store.ts`. */

import { useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { Chat, type ChatSnapshot, type ChatSound, type ChatStoreOptions } from "../audio/store.js";

export interface UseStreamingChatOptions extends ChatStoreOptions {
  /** A chat that several components show, or that outlives them. All other options are then its own. */
  readonly chat?: Chat | undefined;
}

/** What a component gets. The functions stay the same from render to render. */
export interface StreamingChat extends ChatSnapshot {
  /** Sends a message. An answer that is coming or heard is cancelled before. Call it from the handler of a click. */
  readonly sendMessage: (message: string) => void;
  /** Closes the connection, and silences the sound. The text stays. */
  readonly cancelStream: () => void;
  readonly audio: ChatSound & {
    readonly setMuted: (muted: boolean) => void;
    /** Makes sound possible, in the handler of a click; `sendMessage` does it too. */
    readonly unlock: () => void;
  };
}

/**
 * A chat whose answers come as text and as speech. The component renders at most once a frame, however fast they come. When
 * the last component that shows a chat has gone, its connection is closed.
 *
 * @example
 * const { sendMessage, cancelStream, isStreaming, fullText } = useStreamingChat();
 */
export function useStreamingChat(options: UseStreamingChatOptions = {}): StreamingChat {
  const { chat: given, ...own } = options;
  const [made] = useState(() => new Chat(own));
  const chat = given ?? made;
  useEffect(() => {
    made.options = own;
  });
  const snapshot = useSyncExternalStore(chat.subscribe, chat.getSnapshot, chat.getServerSnapshot);
  return useMemo(() => {
    const { sendMessage, cancelStream, setMuted, unlock } = chat;
    return { ...snapshot, sendMessage, cancelStream, audio: { ...snapshot.audio, setMuted, unlock } };
  }, [chat, snapshot]);
}
