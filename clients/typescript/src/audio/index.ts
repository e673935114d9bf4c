/** @objectstreaming/client/audio: an answer as text and as speech, in a browser. */

export type { ChatCallbacks, ChatSource, ChatSummary, SpokenPiece } from "./answer.js";
export { type ChatOptions, playBase64Audio, sharedPlayer, streamChat } from "./chat.js";
export { ChatSocket, type ChatSocketOptions, openChat, type QuestionOptions } from "./chat-socket.js";
export type { AudioFormat } from "./compressed.js";
export { AudioPlayer, type PlayerOptions, type SoundFormat } from "./player.js";
export { Resampler } from "./resampler.js";
export { type SseEvent, SseParser } from "./sse.js";
export { decodeWav, type Pcm } from "./wav.js";
export {
  Chat,
  type ChatSnapshot,
  type ChatSound,
  type ChatStats,
  type ChatStatus,
  type ChatStoreOptions,
} from "./store.js";
