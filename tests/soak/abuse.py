"""Mixed abuse of `objectstreaming serve`, and an honest client beside it: `python tests/soak/abuse.py [seconds]`.

Every kind of abuse runs again and again, from many addresses of the loopback network and from one. Meanwhile an honest
client asks, and every answer must be whole. Afterwards memory, descriptors, threads and child processes must be what
they were after the first third: what grows with the number of attacks is a leak. Linux only: it reads /proc.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import httpx
import numpy

from objectstreaming import JsonCoder, RawCoder, StreamEncoder
from objectstreaming.client import open_stream
from wav_streaming import TALAudio, TALCoder, pcm_to_wav

V1: Final = "application/vnd.objectstreaming;v=1"
SPOKEN: Final = TALCoder().encode(TALAudio(question="What is a frame?"), b"")
NOISE: Final = pcm_to_wav(numpy.random.default_rng(1).normal(0, 3000, 16000 * 4).astype("<i2").tobytes(), 16000)
UPGRADE: Final = (
    b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: objectstreaming.v1\r\n\r\n"
)


class Usage(NamedTuple):
    """What the server's process has."""

    memory: int  # MiB
    descriptors: int
    threads: int
    children: int


def usage(pid: int) -> Usage:
    status = Path(f"/proc/{pid}/status").read_text()
    memory, threads = (int(re.search(rf"{name}:\s+(\d+)", status)[1]) for name in ("VmRSS", "Threads"))  # type: ignore[index]
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return Usage(memory // 1024, len(os.listdir(f"/proc/{pid}/fd")), threads, len(children))


class Attacker:
    """One thread of abuse."""

    addresses = itertools.count()

    def __init__(self, port: int, seed: int) -> None:
        self._port = port
        self._chance = random.Random(seed)
        self.done: Counter[str] = Counter()

    def run(self, end: float) -> None:
        kinds = [getattr(self, name) for name in dir(self) if name.startswith("do_")]
        while time.monotonic() < end:
            kind: Callable[[socket.socket], None] = self._chance.choice(kinds)
            self.done[kind.__name__[3:]] += 1
            try:
                with self._connection() as connection:
                    kind(connection)
                    if self._chance.random() < 0.5:  # a reset instead of a close
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            except OSError:
                pass  # refused or closed by the server: that is its good right

    def _connection(self) -> socket.socket:
        number = next(self.addresses)
        host = (
            f"127.{20 + number // 62_500 % 200}.{number // 250 % 250}.{number % 250 + 2}" if number % 4 else "127.0.0.9"
        )
        connection = socket.socket()
        if self._chance.random() < 0.5:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.settimeout(5)
        connection.bind((host, 0))
        connection.connect(("127.0.0.1", self._port))
        return connection

    def _post(
        self, path: str, body: bytes, kind: str, *, length: int | None = None, host: str = "127.0.0.1", more: str = ""
    ) -> bytes:
        head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAccept: {V1}\r\nContent-Type: {kind}\r\n{more}"
        return f"{head}Content-Length: {len(body) if length is None else length}\r\n\r\n".encode() + body

    def _question(self) -> bytes:
        text = self._chance.choice(["What is a frame?", "x" * 3_000, "\u202e\0", "frame " * 600, "header"])
        return self._post("/objects", json.dumps({"question": text}).encode(), "application/json")

    def _pause(self, most: float) -> None:
        time.sleep(self._chance.random() * most)

    def do_leave_early(self, to: socket.socket) -> None:
        to.sendall(self._question())
        self._pause(0.05)

    def do_leave_speech(self, to: socket.socket) -> None:
        to.sendall(self._post("/wav", SPOKEN, "application/octet-stream"))
        self._pause(0.3)

    def do_leave_recognition(self, to: socket.socket) -> None:
        to.sendall(self._post("/wav", NOISE, "audio/wav"))
        self._pause(1)

    def do_read_slowly(self, to: socket.socket) -> None:
        to.sendall(self._post("/wav", SPOKEN, "application/octet-stream"))
        for _ in range(self._chance.randrange(20)):
            to.recv(1)
            time.sleep(0.1)

    def do_send_half_a_body(self, to: socket.socket) -> None:
        to.sendall(self._post("/wav", b"RIFF" + self._chance.randbytes(50_000), "audio/wav", length=100_000))
        self._pause(2)

    def do_send_half_a_sound(self, to: socket.socket) -> None:
        to.sendall(self._post("/wav", NOISE, "audio/wav", length=len(NOISE) + 30_000_000) + bytes(4_000_000))
        self._pause(2)

    def do_send_garbage(self, to: socket.socket) -> None:
        to.sendall(self._chance.randbytes(self._chance.randrange(1, 5_000)))
        to.recv(1_000)

    def do_say_nothing(self, to: socket.socket) -> None:
        self._pause(3)

    def do_trickle_a_header(self, to: socket.socket) -> None:
        to.sendall(b"GET /health HTTP/1.1\r\n")
        for _ in range(self._chance.randrange(20)):
            to.sendall(b"X: y\r\n")
            time.sleep(0.1)

    def do_pipeline(self, to: socket.socket) -> None:
        to.sendall(self._question() * 20)
        self._pause(1)

    def do_send_too_much(self, to: socket.socket) -> None:
        to.sendall(self._post("/objects", b"x" * 300_000, "application/json"))
        to.recv(100)

    def do_pretend_to_be_another(self, to: socket.socket) -> None:
        address = f"X-Forwarded-For: 10.0.0.{self._chance.randrange(250)}\r\n"
        to.sendall(self._post("/objects", b"{}", "application/json", more=address))
        to.recv(100)

    def do_use_another_name(self, to: socket.socket) -> None:
        to.sendall(self._post("/objects", b"{}", "application/json", host="evil.example"))
        to.recv(100)

    def do_get(self, to: socket.socket) -> None:
        path = self._chance.choice([b"", b"health", b"..%2f..%2fetc/passwd", b"openapi.json", b"a" * 9_000])
        to.sendall(b"GET /%s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % path)
        to.recv(100)

    def do_break_a_websocket(self, to: socket.socket) -> None:
        to.sendall(UPGRADE % self._chance.choice([b"/duplex", b"/api/chat/stream"]))
        to.recv(1_000)
        for _ in range(self._chance.randrange(10)):
            self._send_message(to, self._chance.randbytes(self._chance.randrange(100)))
        self._pause(1)

    def do_chat_and_leave(self, to: socket.socket) -> None:
        to.sendall(UPGRADE % b"/api/chat/stream")
        to.recv(1_000)
        encoder = StreamEncoder(RawCoder())
        self._send_message(to, encoder.open())
        for _ in range(self._chance.randrange(40)):
            messages = [{"message": "What is a frame?"}, {"interrupt": True}, {"voice": "af_sarah"}, {"speed": 9}]
            self._send_message(to, encoder.data(self._chance.choice(messages), b""))
            self._pause(0.05)

    def _send_message(self, to: socket.socket, message: bytes) -> None:
        assert len(message) < 126
        to.sendall(bytes([0x82, 0x80 | len(message)]) + bytes(4) + message)


def ask_honestly(port: int, end: float, answers: Counter[str], times: list[float]) -> None:
    transport = httpx.HTTPTransport(local_address="127.0.0.200")
    with httpx.Client(transport=transport, timeout=20) as client:
        while time.monotonic() < end:
            began = time.monotonic()
            try:
                body = {"question": "What is a frame?"}
                with open_stream(
                    client, "POST", f"http://127.0.0.1:{port}/objects", coder=JsonCoder(), json=body
                ) as stream:
                    answers["whole" if list(stream) else "empty"] += 1
            except Exception as error:  # noqa: BLE001 - whatever it is, it is counted
                answers[f"{type(error).__name__}: {error}"] += 1
            times.append(time.monotonic() - began)
            time.sleep(0.6)


def main(seconds: float) -> int:
    command = [sys.executable, "-m", "objectstreaming", "serve", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        port = int(re.search(r"http://127\.0\.0\.1:(\d+)", server.stderr.readline())[1])  # type: ignore[index]
        log: list[str] = []
        reader = threading.Thread(target=lambda: log.extend(server.stderr or ()), daemon=True)
        reader.start()
        end = time.monotonic() + seconds
        attackers = [Attacker(port, seed) for seed in range(12)]
        answers: Counter[str] = Counter()
        times: list[float] = []
        threads = [threading.Thread(target=attacker.run, args=(end,)) for attacker in attackers]
        threads.append(threading.Thread(target=ask_honestly, args=(port, end, answers, times)))
        for thread in threads:
            thread.start()
        seen = []
        while time.monotonic() < end:
            time.sleep(min(20, seconds / 6))
            seen.append(usage(server.pid))
            done = sum((attacker.done for attacker in attackers), Counter())
            print(f"{seconds - (end - time.monotonic()):4.0f} s  {seen[-1]}  {done.total()} attacks", flush=True)
        for thread in threads:
            thread.join()
        time.sleep(12)
        after = usage(server.pid)
        began = time.monotonic()
        server.send_signal(signal.SIGTERM)
        server.wait(30)
        stopped = time.monotonic() - began
    reader.join()
    print(f"after  {after}; SIGTERM: {stopped:.1f} s; log of {sum(map(len, log))} bytes")
    print(f"attacks: {dict(done)}")
    print(f"the honest client: {dict(answers)}, slowest {max(times):.2f} s")
    first = seen[: max(1, len(seen) // 3)]
    faults = [
        text
        for wrong, text in [
            (set(answers) != {"whole"}, "the honest client was not served whole throughout"),
            (after.memory > 1.25 * max(each.memory for each in first) + 10, "memory grew"),
            (after.descriptors > 16, "descriptors are left"),
            (after.threads > max(each.threads for each in first) + 2, "threads are left"),
            (after.children > 1, "child processes are left"),  # the recognizer's is kept
            (any("Traceback" in line for line in log), "there is a traceback in the log"),
        ]
        if wrong
    ]
    print("\n".join(f"FAILED: {fault}" for fault in faults) or "passed")
    if faults:
        print("".join(log[-40:]))
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 300))
