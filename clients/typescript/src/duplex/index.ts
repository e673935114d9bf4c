/** @objectstreaming/client/duplex: a session over a WebSocket, on which both sides send, and can interrupt each other. */

export { DuplexSession, type DuplexOptions, openDuplex, SUBPROTOCOL, type WebSocketLike } from "./session.js";
export {
  audioSymbol,
  type EventType,
  type Modality,
  type StreamEvent,
  type StreamItem,
  type StreamItemInput,
  type StreamSymbol,
  symbolCoder,
  symbolText,
  textSymbol,
} from "./symbol.js";
