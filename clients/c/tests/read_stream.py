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
    "nothing": (b"", 1),
}
END = b'{"$stream":{"type":"end","frames":1}}'
WHOLE = FRAME + struct.pack("<II", 8 + len(END), len(END)) + END
OPEN = b'{"$stream":{"type":"open","v":1,"heartbeat":0.05}}'
HEARTBEAT = struct.pack("<II", 8 + len(OPEN), len(OPEN)) + OPEN
# The server keeps the connection open after these.
HELD = {
    "whole: nothing is awaited after the end": (OK + b"\r\n" + WHOLE, 0),
    "whole in a chunk": (OK + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(WHOLE) + WHOLE, 0),
    "silence for three heartbeats": (OK + b"\r\n" + HEARTBEAT, 1),
}


def status_for(response: bytes, *, held: bool = False) -> int:
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                request = b""
                while b"\r\n\r\n{}" not in request:  # to the end: otherwise closing would reset the connection
                    part = connection.recv(65536)
                    if not part:
                        return
                    request += part
                connection.sendall(response)
                if held:
                    done.wait()

        thread = threading.Thread(target=serve)
        thread.start()
        port = str(server.getsockname()[1])
        command = ["build/read_stream", "127.0.0.1", port, "/", "{}"]
        status = subprocess.run(command, capture_output=True, timeout=20, check=False).returncode  # noqa: S603 - our own program
        done.set()
        thread.join()
        return status


wrong = [name for name, (response, status) in RESPONSES.items() if status_for(response) != status]
wrong += [name for name, (response, status) in HELD.items() if status_for(response, held=True) != status]
if wrong:
    raise SystemExit(f"read_stream: wrong exit status for: {', '.join(wrong)}")
print(f"read_stream: {len(RESPONSES) + len(HELD)} responses, all exit statuses are right")  # noqa: T201 - a program, not a module
