"""The first program of the README and the sample against the real server, whose program is the argument."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import time
from pathlib import Path

QUESTION = '{"question":"What is a frame?"}'
HEADERS = {"content-type": "application/json", "accept": "application/vnd.objectstreaming;v=1"}


def program(*command: str, given: bytes = b"") -> list[bytes]:
    done = subprocess.run(command, input=given, capture_output=True, timeout=20, check=True)  # noqa: S603
    return done.stdout.splitlines()


def ask(port: int) -> http.client.HTTPResponse:
    for _ in range(200):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            connection.request("POST", "/objects", QUESTION, HEADERS)
        except ConnectionRefusedError:  # it has just been started
            time.sleep(0.1)
        else:
            return connection.getresponse()
    raise SystemExit("the server does not run")


with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
server = subprocess.Popen([sys.argv[1], "serve", "--port", str(port), "--store", "memory"])  # noqa: S603
try:
    response = ask(port)
    place = response.headers["Content-Location"]
    frames = program("build/readme/frames", given=response.read())
    address = ("build/read_stream", "127.0.0.1", str(port))
    *messages, count = program(*address, "/objects", QUESTION)
    *rest, rest_count = program(*address, f"{place}?position=1")
    curl = Path("build/read_with_curl")
    by_curl = program(str(curl), f"http://127.0.0.1:{port}{place}?position=1") if curl.exists() else [*rest, rest_count]
    asked = program(str(curl), f"http://127.0.0.1:{port}/objects", QUESTION) if curl.exists() else [*messages, count]
finally:
    server.terminate()
    server.wait(20)
assert len(frames) == len(messages) + 2 > 3, "the frames of the README's program are the messages, open and end"
assert (rest, rest_count) == (messages[1:], count), "the sample reads on from a place"
assert (by_curl, asked) == ([*rest, rest_count], [*messages, count]), "libcurl's sample says the same"
print(f"the real server: {len(messages)} messages, and again those after the first")  # noqa: T201 - a program
