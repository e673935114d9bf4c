/** A WebSocket whose peer is the test. If it is `slow`, what is sent stays in `bufferedAmount`. */
export class FakeSocket {
  binaryType = "blob";
  bufferedAmount = 0;
  protocol: string;
  slow = false;
  closed: [number | undefined, string | undefined] | undefined;
  /** What was sent. */
  readonly wires: Uint8Array<ArrayBuffer>[] = [];
  readonly #listeners: Record<string, (event: object) => void> = {};

  constructor(
    readonly url: string,
    protocols: string[],
  ) {
    this.protocol = protocols[0] ?? "";
    queueMicrotask(() => this.#tell("open", {}));
  }

  addEventListener(type: string, listener: (event: never) => void): void {
    this.#listeners[type] = listener as (event: object) => void;
  }

  send(data: Uint8Array<ArrayBuffer>): void {
    if (this.slow) this.bufferedAmount += data.length;
    this.wires.push(data);
  }

  close(code?: number, reason?: string): void {
    this.closed = [code, reason];
  }

  #tell(type: string, event: object): void {
    this.#listeners[type]?.({ type, ...event });
  }

  message(...wires: (Uint8Array<ArrayBuffer> | string)[]): void {
    for (const data of wires) this.#tell("message", { data: typeof data === "string" ? data : data.slice().buffer });
  }

  hangUp(code: number): void {
    this.#tell("close", { code, reason: "" });
  }
}
