"""The POSIX sample, build/read_stream, against a server of one response: only a whole stream may exit with 0."""

from __future__ import annotations

import socket
import struct
import subprocess
import threading

FRAME = bytes.fromhex("0c000000020000007b7d0102")
PING = bytes.fromhex("230000001b000000") + b'{"$stream":{"type":"ping"}}'
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\nc\r\n" + FRAME + b"\r\n"
TYPE = b"HTTP/1.1 200 OK\r\nContent-Type: application/%b\r\n\r\n"
END = b'{"$stream":{"type":"end","frames":1}}'
WHOLE = FRAME + struct.pack("<II", 8 + len(END), len(END)) + END
RESPONSES = {
    "whole, chunked": (CHUNKED + b"0\r\n\r\n", 0),
    "whole, by its length": (OK + b"Content-Length: 12\r\n\r\n" + FRAME, 0),
    "whole, to the end of the connection": (OK + b"\r\n" + FRAME, 0),
    "cut before the last chunk": (CHUNKED, 1),
    "cut in a frame": (OK + b"\r\n" + FRAME[:-1], 1),
    "short of its length": (OK + b"Content-Length: 24\r\n\r\n" + FRAME, 1),
    "an invalid chunk size": (CHUNKED + b"xyz\r\n\r\n", 1),
    "an invalid length": (OK + b"Content-Length: x\r\n\r\n" + FRAME, 1),
    "version 1 without its end": (OK + b"\r\n" + PING + FRAME, 1),
    "another content type": (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + FRAME, 1),
    "another status": (b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/octet-stream\r\n\r\n", 1),
    "a compressed body": (OK + b"Content-Encoding: gzip\r\n\r\n" + FRAME, 1),
    "compression by another name": (OK + b"content-encoding: Identity\r\n\r\n" + FRAME, 0),
    "a content type of version 2": (TYPE % b"vnd.objectstreaming;v=2" + WHOLE, 1),
    "a content type without a version": (TYPE % b"vnd.objectstreaming" + WHOLE, 1),
    "a content type in other words": (TYPE % b'VND.ObjectStreaming ; coder=json ; V="1"' + WHOLE, 0),
    "a content type that begins like ours": (TYPE % b"octet-stream-of-lines" + FRAME, 1),
    "early hints": (
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 1\r\n\r\n" + TYPE % b"octet-stream" + FRAME,
        0,
    ),
    "chunks in other words": (CHUNKED.replace(b"chunked", b"gzip, Chunked") + b"0\r\n\r\n", 0),
    "a head that is cut": (OK, 1),
    "nothing": (b"", 1),
}
OPEN = b'{"$stream":{"type":"open","v":1,"heartbeat":0.05}}'
HEARTBEAT = struct.pack("<II", 8 + len(OPEN), len(OPEN)) + OPEN
# The server keeps the connection open after these.
HELD = {
    "whole: nothing is awaited after the end": (OK + b"\r\n" + WHOLE, 0),
    "whole in a chunk": (OK + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(WHOLE) + WHOLE, 0),
    "silence for three heartbeats": (OK + b"\r\n" + HEARTBEAT, 1),
}


def frame(header: bytes) -> bytes:
    return struct.pack("<II", 8 + len(header), len(header)) + header


def run(response: bytes, *more: str, held: bool = False) -> tuple[int, str, bytes]:
    """The exit status, the errors and the request."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                last = "".join(more[1:]).encode()
                while b"\r\n\r\n" + last not in request:  # to the end: otherwise closing would reset the connection
                    part = connection.recv(65536)
                    if not part:
                        return
                    request.extend(part)
                connection.sendall(response)
                if held:
                    done.wait()

        request = bytearray()
        thread = threading.Thread(target=serve)
        thread.start()
        port = str(server.getsockname()[1])
        command = ["build/read_stream", "127.0.0.1", port, *more]
        done_program = subprocess.run(command, capture_output=True, timeout=20, check=False)  # noqa: S603 - our own program
        done.set()
        thread.join()
        return done_program.returncode, done_program.stderr.decode(), bytes(request)


def status_for(response: bytes, *, held: bool = False) -> int:
    return run(response, "/", "{}", held=held)[0]


# What the sample says of the place, for what a response begins with; it never says one of a stream that has ended.
KEPT = OK + b"\r\n" + frame(b'{"$stream":{"type":"open","v":1,"resume":"\\/streams/s","position":6}}')
LONG = OK + b"\r\n" + frame(b'{"$stream":{"type":"open","v":1,"resume":"' + b"x" * 1100 + b'"}}')
PLACES = {
    "a cut": (KEPT + FRAME, "the stream can be picked up at /streams/s, position 7\n"),
    "a cut in a frame": (KEPT + FRAME[:-1], "the stream can be picked up at /streams/s, position 6\n"),
    "a stream that is not kept": (OK + b"\r\n" + HEARTBEAT + FRAME, ""),
    "a place that is too long": (LONG + FRAME, ""),
    "an end with an error": (KEPT + frame(b'{"$stream":{"type":"end","frames":0,"error":{"code":"internal"}}}'), ""),
}


EVIL = frame(b'{"$stream":{"type":"end","frames":0,"error":{"code":"internal","message":"\\u001b[31m"}}}')


def is_wrong(response: bytes, said: str) -> bool:
    status, errors, request = run(response, "/streams/s?position=6")
    asked = request.startswith(b"GET /streams/s?position=6 HTTP/1.1\r\n")
    return status != 1 or not asked or errors.count("picked up") != bool(said) or not errors.endswith(said)


wrong = [name for name, (response, status) in RESPONSES.items() if status_for(response) != status]
wrong += [name for name, (response, status) in HELD.items() if status_for(response, held=True) != status]
wrong += [name for name, (response, said) in PLACES.items() if is_wrong(response, said)]
BUSY = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\n\r\n"
wrong += ["a time to wait"] * (run(BUSY, "/")[1] != "refused: HTTP/1.1 429 Too Many Requests, Retry-After: 7\n")
wrong += ["a message with a control character"] * (run(OK + b"\r\n" + EVIL, "/")[1] != "internal: ?[31m\n")
if wrong:
    raise SystemExit(f"read_stream: wrong for: {', '.join(wrong)}")
print(f"read_stream: {len(RESPONSES) + len(HELD) + len(PLACES)} responses, what it says of each is right")  # noqa: T201 - a program, not a module
