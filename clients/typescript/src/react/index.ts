"use client";

/** @objectstreaming/client/react: a chat, as text and as speech, in React 18 and later. */

export { type StreamingChat, useStreamingChat, type UseStreamingChatOptions } from "./use-streaming-chat.js";
export {
  Chat,
  type ChatSnapshot,
  type ChatSound,
  type ChatStats,
  type ChatStatus,
  type ChatStoreOptions,
} from "../audio/store.js";
