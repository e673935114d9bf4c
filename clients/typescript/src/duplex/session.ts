/**
 * A session over a WebSocket: each direction is a stream of version 1 with the coder `symbol` (SPEC sections 6.4 and 7).
 *
 *     send -> waiting -> outbox -> WebSocket -> peer      `send` resolves when the outbox has room
 *     for await <- inbox <- WebSocket <- peer             decoded as it arrives, so that an `interrupt` is noticed at once
 *
 * **Interrupts overtake data.** A WebSocket takes back nothing, so at most 64 KiB are given to it ahead of the network. The
 * rest waits in the outbox, where an interrupt can still drop it. There is no event that says when a WebSocket has sent
 * something: while items wait, a timer looks at `bufferedAmount`.
 *
 * **The inbox is bounded, but cannot slow the peer down.** A browser's WebSocket reads on, whatever the program does. More
 * than `receiveBuffer` bytes that nobody takes end the session with an error.
 *
 * **The end.** A session is whole only if the peer's `end` came. A connection that closes before is an error.
 */

/// <reference lib="esnext.disposable" preserve="true" />

import type { Coder } from "../coders/coder.js";
import { follow } from "../connection.js";
import {
  ContentTypeError,
  EncodeError,
  FrameError,
  IdleTimeoutError,
  ObjectStreamError,
  ProtocolError,
  reportedError,
  StreamError,
  StreamIncompleteError,
} from "../errors.js";
import type { Bytes, Limits } from "../frames.js";
import { StreamDecoder, StreamEncoder } from "../protocol.js";
import { ignore, LONGEST_TIMER } from "../stream.js";
import { isObject, type JsonObject } from "../strict-json.js";
import { type StreamItem, type StreamItemInput, symbolCoder } from "./symbol.js";

/** The subprotocol of the WebSocket. */
export const SUBPROTOCOL = "objectstreaming.v1";

const AHEAD = 65_536; // bytes that the WebSocket is given before it has sent them
const MiB = 1_048_576;
const MOST_ANSWERS = 64; // to interrupts of a peer that does not read
const DRAIN = 10; // milliseconds between two looks at bufferedAmount
const ITEM = 1024; // what an item takes in memory beside its bytes
const HEARTBEATS = 3;
const LONGEST_HEARTBEAT = 300; // of a peer, in seconds
const FAILED = 4000; // a close code; browsers allow a program 1000 and 3000 to 4999

interface SocketEvent {
  readonly type: string;
  readonly data?: unknown;
  readonly code?: number;
  readonly reason?: string;
}

/** The part of a WebSocket that is used. */
export interface WebSocketLike {
  binaryType: string;
  readonly bufferedAmount: number;
  readonly protocol: string;
  send(data: Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: string, listener: (event: SocketEvent) => void): void;
}

export interface DuplexOptions {
  /** When it aborts, the session is given up: its reason is thrown, and the peer is told `canceled`. */
  readonly signal?: AbortSignal | undefined;
  /** In seconds: after this time without a message a ping is sent. The default is 15. */
  readonly heartbeat?: number | undefined;
  /** What our `open` frame carries. */
  readonly metadata?: object | undefined;
  /** Of both directions. */
  readonly limits?: Limits | undefined;
  /** Beyond these bytes `send` waits. The default is 1 MiB. */
  readonly sendBuffer?: number | undefined;
  /** Beyond these bytes that nobody has read, the session fails. The default is 16 MiB. */
  readonly receiveBuffer?: number | undefined;
  /** How long `close` waits for the peer, in milliseconds. The default is 5,000. */
  readonly patience?: number | undefined;
  /** Makes frames of the items, and items of frames, for a protocol of one's own. The default is `symbolCoder()`. */
  readonly coder?: Coder<StreamItem, undefined, StreamItemInput, undefined> | undefined;
  /** The class to use. The default is the global one, which browsers have, Deno, Bun, and Node since version 22. */
  readonly webSocket?: (new (url: string, protocols: string[]) => WebSocketLike) | undefined;
}

/**
 * Opens a session. `url` may be relative in a page, and begin with `http` or `ws`.
 *
 * Throws a `StreamIncompleteError` if there is no connection; a browser does not say why. Throws a `ContentTypeError` if the
 * server does not speak the subprotocol.
 *
 * @example
 * await using session = await openDuplex("/duplex");
 * await session.send(textSymbol("What is a frame?"));
 * await session.sendEnd();
 * for await (const item of session.answer()) show(item);
 */
export async function openDuplex(url: string | URL, options: DuplexOptions = {}): Promise<DuplexSession> {
  options.signal?.throwIfAborted();
  const given = globalThis as { WebSocket?: DuplexOptions["webSocket"]; location?: { href: string } };
  const Socket = options.webSocket ?? given.WebSocket;
  if (Socket === undefined)
    throw new TypeError("there is no WebSocket here: Node has one since 22; or set `webSocket`");
  const absolute = new URL(url, given.location?.href);
  absolute.protocol = absolute.protocol.replace("http", "ws");
  const session = new DuplexSession(() => new Socket(absolute.href, [SUBPROTOCOL]), options);
  await session.opened;
  return session;
}

interface Unread {
  readonly item?: StreamItem;
  readonly error?: unknown;
  readonly size: number;
}

interface Unsent {
  readonly wire: Uint8Array<ArrayBuffer>;
  readonly droppable: boolean;
  readonly taken: () => void;
  readonly refused: (error: unknown) => void;
}

/** Symbols and events in both directions, at the same time. `openDuplex` makes it. */
export class DuplexSession implements AsyncIterable<StreamItem> {
  /** @internal Resolves when the peer's `open` has come. */
  readonly opened: Promise<void>;
  readonly #socket: WebSocketLike;
  readonly #heartbeat: number;
  readonly #sendBuffer: number;
  readonly #receiveBuffer: number;
  readonly #patience: number;
  readonly #decoder: StreamDecoder<StreamItem, undefined>;
  readonly #unopened: JsonObject;
  readonly #items: StreamEncoder<StreamItemInput, undefined>; // only encodes, and refuses what the peer would refuse
  readonly #frames: StreamEncoder<Uint8Array<ArrayBuffer>, undefined>; // counts what is really sent
  readonly #unfollow: () => void;
  #inbox: Unread[] = [];
  #held = 0; // bytes of the inbox
  #waiting: Unsent[] = []; // for room in the outbox
  #outbox: Unsent[] = [];
  #taken = 0; // bytes of the outbox
  #turn = 0; // counts our interrupts and our close: an answer() of an older turn is over
  #unanswered = 0; // interrupts of ours that the peer has not answered
  #piled = 0; // answers to interrupts that the network has not taken
  #canSend = false; // our `open` was sent, our `end` not yet
  #failure: { readonly error: unknown; told: boolean } | undefined;
  #closing: Promise<void> | undefined;
  #wake: () => void = ignore; // what waits for news
  #news: Promise<void> | undefined;
  #received = Date.now(); // when the last message came
  #sent = 0;
  #looked = Date.now();
  #watch: ReturnType<typeof setInterval> | undefined;
  #draining: ReturnType<typeof setTimeout> | undefined;

  /** @internal */
  constructor(connect: () => WebSocketLike, options: DuplexOptions) {
    const { signal, heartbeat = 15, metadata = {}, limits, sendBuffer = MiB, receiveBuffer = 16 * MiB } = options;
    this.#heartbeat = heartbeat;
    this.#sendBuffer = sendBuffer;
    this.#receiveBuffer = receiveBuffer;
    this.#patience = options.patience ?? 5_000;
    const { coder = symbolCoder() } = options;
    this.#decoder = new StreamDecoder(coder, { limits, requireEnd: true });
    this.#unopened = this.#decoder.metadata;
    this.#items = new StreamEncoder(coder, { limits });
    this.#frames = new StreamEncoder({ ...coder, encode: (wire) => wire }, { limits });
    const opening = this.#frames.open({ heartbeat, metadata });
    const socket = (this.#socket = connect()); // after what may be refused
    this.#unfollow = signal ? follow(signal, () => this.#fail(signal.reason)) : ignore;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("open", () => {
      if (this.#failure) return;
      if (socket.protocol !== SUBPROTOCOL) {
        const message = `the server does not speak the subprotocol ${SUBPROTOCOL}`;
        this.#fail(new ContentTypeError(message, socket.protocol, new Uint8Array()));
        return;
      }
      this.#canSend = true;
      this.#write(opening);
    });
    socket.addEventListener("message", ({ data }) => this.#read(data));
    // Node 20 has no close event after an error in the handshake.
    socket.addEventListener("error", () => !this.#opened && this.#closed(1006));
    socket.addEventListener("close", ({ code, reason }) => this.#closed(code, reason));
    this.#watch = setInterval(() => this.#look(), Math.min(500 * heartbeat, LONGEST_TIMER));
    this.opened = this.#until(() => this.#opened);
    this.opened.catch(ignore);
  }

  /** Whether items can be sent and received. */
  get isConnected(): boolean {
    return this.#canSend && this.#opened && !this.#decoder.ended && this.#closing === undefined;
  }

  /** The metadata of the peer's `open`. */
  get metadata(): JsonObject {
    return this.#decoder.metadata;
  }

  /** The trailers of the peer's `end`. `undefined` before it. */
  get trailers(): JsonObject | undefined {
    return this.#decoder.trailers;
  }

  // ---------------------------------------------------------------------------------------------- receiving

  /**
   * All items that arrive, until the peer has ended the session. Throws what the session failed with, after the items
   * before it. `break` closes nothing: a new loop goes on where this one stopped.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<StreamItem, void> {
    for (let item = await this.#next(); item !== undefined; item = await this.#next()) yield item;
  }

  /**
   * The items of one answer, with its `stream_end` or the peer's `interrupt` as the last one. It ends at once when
   * `interrupt` or `close` is called. Throws a `StreamError` if the peer sends an `error` event; the session goes on then.
   * Throws a `StreamIncompleteError` if the peer ends the session before.
   */
  async *answer(): AsyncGenerator<StreamItem, void> {
    const turn = this.#turn;
    const isOver = () => turn !== this.#turn;
    for (;;) {
      const item = await this.#next(isOver);
      if (isOver()) return;
      if (item === undefined) {
        throw new StreamIncompleteError("the peer left in the middle of an exchange", this.#decoder.position);
      }
      if (item.kind === "event" && item.type === "error") throw reportedError(isObject(item.data) ? item.data : {});
      yield item;
      if (item.kind === "event" && (item.type === "stream_end" || item.type === "interrupt")) return;
    }
  }

  async #next(isOver: () => boolean = () => false): Promise<StreamItem | undefined> {
    while (!isOver() && this.#closing === undefined) {
      const unread = this.#inbox.shift();
      if (unread !== undefined) {
        this.#held -= unread.size;
        if (unread.item === undefined) throw unread.error;
        return unread.item;
      }
      if (this.#failure !== undefined) throw this.#tell();
      if (this.#decoder.ended) return undefined;
      await this.#change();
    }
    return undefined;
  }

  #read(data: unknown): void {
    if (this.#failure || this.#decoder.ended) return;
    this.#received = Date.now();
    this.#ping(); // timers of hidden pages are late, messages are not
    try {
      if (typeof data === "string")
        throw new ProtocolError("invalid_control", "a text message; only binary is allowed");
      this.#decoder.push(data as Bytes);
      while (this.#readItem());
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#notify();
  }

  /** Whether there was one. */
  #readItem(): boolean {
    const before = this.#decoder.offset;
    let unread: Omit<Unread, "size">;
    try {
      const message = this.#decoder.nextMessage();
      if (!this.#opened && (message || this.#decoder.ended)) {
        throw new ProtocolError("invalid_control", "the stream does not begin with open");
      }
      if (this.#decoder.ended) this.#peerEnded();
      if (message === undefined) return false;
      unread = { item: message.header };
    } catch (error) {
      if ((error as { code?: unknown }).code !== "invalid_payload") throw error;
      unread = { error };
    }
    const { item } = unread;
    if (this.#closing === undefined) {
      if (item?.kind === "event" && item.type === "interrupt") {
        if (this.#unanswered > 0) {
          this.#unanswered--; // what follows is of the next exchange
          return true;
        }
        this.#piled = this.#socket.bufferedAmount > 0 ? this.#piled + 1 : 0;
        if (this.#piled > MOST_ANSWERS) {
          throw new StreamError("resource_exhausted", "interrupts come, and their answers are not read");
        }
        this.#keep((each) => each.item?.kind === "event" && each.item.type !== "stream_end");
        this.#overtake(this.#items.data({ kind: "event", type: "interrupt" }, undefined));
      } else if (this.#unanswered > 0) return true; // sent before the peer knew of our interrupt
      const size = this.#decoder.offset - before + ITEM;
      if (this.#inbox.length > 0 && this.#held + size > this.#receiveBuffer) {
        const message = `more than ${this.#receiveBuffer} bytes were received and not read: read faster, or set receiveBuffer`;
        throw new StreamError("resource_exhausted", message);
      }
      this.#inbox.push({ ...unread, size });
      this.#held += size;
    }
    return true;
  }

  /** Drops the other items that nobody has read. */
  #keep(wanted: (unread: Unread) => boolean): void {
    this.#inbox = this.#inbox.filter(wanted);
    this.#held = this.#inbox.reduce((sum, { size }) => sum + size, 0);
  }

  // ------------------------------------------------------------------------------------------------ sending

  /**
   * Takes an item to be sent. Resolves when there is room for it: who awaits it sends no faster than the network.
   *
   * Throws an `EncodeError` for an item that cannot be sent (nothing has changed then), and what the session failed with.
   */
  async send(item: StreamItemInput): Promise<void> {
    const wire = this.#items.data(item, undefined);
    if (this.#failure) throw this.#tell();
    if (!this.isConnected) throw new EncodeError("the session has ended: nothing can be sent any more");
    const droppable = item.kind === "symbol" || item.type === "stream_end";
    if (item.kind === "event" && item.type === "interrupt") this.#overtake(wire);
    else {
      const sent = new Promise<void>((taken, refused) => this.#waiting.push({ wire, droppable, taken, refused }));
      this.#pump();
      await sent;
    }
  }

  /** Sends `stream_end`: the question is complete. */
  sendEnd(): Promise<void> {
    return this.send({ kind: "event", type: "stream_end" });
  }

  /**
   * Stops the exchange, at once: what was not sent yet is dropped, and what was received and not read yet, up to the peer's
   * answer. `playedMs` says how much of the peer's sound was heard.
   *
   * The peer's answer is not given to anybody. If it is the peer that interrupts, all this happens too, and its `interrupt`
   * is an item.
   */
  interrupt(playedMs?: number): void {
    const data = playedMs === undefined ? {} : { played_ms: playedMs };
    const wire = this.#items.data({ kind: "event", type: "interrupt", data }, undefined);
    if (this.#failure) throw this.#tell();
    if (!this.isConnected) return;
    this.#turn++;
    this.#unanswered++;
    this.#keep(() => false);
    this.#overtake(wire);
    this.#notify();
  }

  /** Sends an interrupt before all that it cancels. */
  #overtake(wire: Uint8Array<ArrayBuffer>): void {
    this.#drop();
    while (this.#outbox.length > 0) this.#writeNext(); // events, which come first
    this.#write(this.#frames.data(wire, undefined));
    this.#pump();
  }

  /** Drops the symbols, and the `stream_end`, that were not sent yet. */
  #drop(): void {
    for (const { droppable, taken } of this.#waiting) if (droppable) taken();
    const keeps = ({ droppable }: Unsent) => !droppable;
    this.#waiting = this.#waiting.filter(keeps);
    this.#outbox = this.#outbox.filter(keeps);
    this.#taken = this.#outbox.reduce((sum, { wire }) => sum + wire.length, 0);
  }

  readonly #pump = (): void => {
    clearTimeout(this.#draining);
    for (;;) {
      for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
        if (this.#outbox.length > 0 && this.#taken + next.wire.length > this.#sendBuffer) break;
        this.#waiting.shift();
        this.#outbox.push(next);
        this.#taken += next.wire.length;
        next.taken();
      }
      if (this.#outbox.length === 0 || this.#socket.bufferedAmount >= AHEAD) break;
      this.#writeNext();
    }
    if (this.#outbox.length > 0) this.#draining = setTimeout(this.#pump, DRAIN);
    else this.#notify();
  };

  #writeNext(): void {
    const next = this.#outbox.shift();
    if (next === undefined) return;
    this.#taken -= next.wire.length;
    this.#write(this.#frames.data(next.wire, undefined));
  }

  #write(wire: Uint8Array<ArrayBuffer>): void {
    this.#sent = Date.now();
    this.#socket.send(wire);
  }

  // ---------------------------------------------------------------------------------------------- the end

  /**
   * Sends what `send` has taken, then the end, and waits for the peer's. With an `error` the peer is told that. Items that
   * still come are dropped. Throws what the session failed with, if nobody was told it yet.
   */
  close(error?: StreamError): Promise<void> {
    this.#closing ??= this.#close(error);
    return this.#closing;
  }

  /** What `await using` calls: `close`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(error: StreamError | undefined): Promise<void> {
    await Promise.resolve(); // until #closing is set
    this.#turn++;
    this.#keep(() => false);
    this.#notify();
    if (this.#failure?.told === false) throw this.#tell();
    if (this.#failure || this.#decoder.ended) return;
    if (error) this.#drop();
    const late = setTimeout(
      () => this.#fail(new IdleTimeoutError("the peer did not read all, or sent no end", this.#decoder.position)),
      Math.min(this.#patience, LONGEST_TIMER),
    );
    try {
      await this.#until(() => this.#outbox.length === 0);
      this.#end(error);
      await this.#until(() => this.#decoder.ended);
    } finally {
      clearTimeout(late);
    }
  }

  /** The peer has sent its end. */
  #peerEnded(): void {
    const left = new EncodeError("the peer has left: nothing can be sent any more");
    for (const { refused } of this.#waiting.splice(0)) refused(left);
    this.#outbox = [];
    this.#end();
    this.#finish(1000, "");
  }

  #fail(error: unknown): void {
    if (this.#failure) return;
    this.#failure = { error, told: false };
    for (const { refused } of this.#waiting.splice(0)) refused(this.#tell());
    this.#outbox = [];
    this.#end(reported(error));
    this.#finish(FAILED, error instanceof ObjectStreamError ? error.code : "canceled");
    this.#notify();
  }

  #tell(): unknown {
    if (this.#failure) this.#failure.told = true;
    return this.#failure?.error;
  }

  /** Sends our end frame, once. */
  #end(error?: StreamError): void {
    if (!this.#canSend) return;
    this.#canSend = false;
    this.#write(this.#frames.end({ error }));
  }

  /** Nothing more is sent or received. */
  #finish(code: number, reason: string): void {
    this.#unfollow();
    clearInterval(this.#watch);
    clearTimeout(this.#draining);
    this.#socket.close(code, reason);
  }

  #closed(code = 1005, reason = ""): void {
    if (this.#failure || this.#decoder.ended) return;
    this.#canSend = false;
    const why = `code ${code}${reason && `, ${reason}`}`;
    if (!this.#opened) {
      this.#fail(new StreamIncompleteError(`no session: the server refused it, or cannot be reached (${why})`, 0));
      return;
    }
    try {
      this.#decoder.finish();
    } catch (error) {
      const { position } = this.#decoder;
      const message = `the connection was closed after ${position} items without the end of the session (${why})`;
      this.#fail(error instanceof FrameError ? error : new StreamIncompleteError(message, position));
    }
  }

  // ------------------------------------------------------------------------------------------- time and news

  get #opened(): boolean {
    return this.#decoder.metadata !== this.#unopened;
  }

  #look(): void {
    const now = Date.now();
    const late = now - this.#looked > 1000 * this.#heartbeat;
    this.#looked = now;
    if (late) this.#received = now; // the program was asleep: messages may be about to be delivered
    this.#ping();
    const theirs = Math.min(this.#decoder.heartbeat ?? this.#heartbeat, Math.max(LONGEST_HEARTBEAT, this.#heartbeat));
    const silence = HEARTBEATS * theirs;
    if (now - this.#received < 1000 * silence) return;
    const message = `nothing arrived for ${silence} s, not even a ping`;
    this.#fail(new IdleTimeoutError(message, this.#decoder.position));
  }

  #ping(): void {
    const isSilent = Date.now() - this.#sent >= 500 * this.#heartbeat;
    if (isSilent && this.#canSend && this.#socket.bufferedAmount === 0) this.#write(this.#frames.ping());
  }

  #change(): Promise<void> {
    this.#news ??= new Promise((resolve) => (this.#wake = resolve));
    return this.#news;
  }

  #notify(): void {
    this.#news = undefined;
    this.#wake();
  }

  async #until(isSo: () => boolean): Promise<void> {
    while (!isSo()) {
      if (this.#failure) throw this.#tell();
      await this.#change();
    }
  }
}

/** What the peer is told of an error: all about its own bytes, nothing about ours. */
function reported(error: unknown): StreamError {
  if (error instanceof FrameError || error instanceof ProtocolError) {
    return new StreamError("invalid_argument", error.message);
  }
  if (error instanceof IdleTimeoutError) return new StreamError("deadline_exceeded", error.message);
  if (error instanceof StreamError && error.code === "resource_exhausted") return error;
  return new StreamError("canceled", "the session was given up");
}
