"""Level 2: the streams that are sent, what a fault server does with them, and what a client may make of it.

A behaviour is what the server does with one request. The bytes of every frame are written here one by one, so that no
encoder under test stands between the specification and the case.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from ..testing import Connection, response_head
from .generator.case_writer import frame

__all__ = [
    "END_FRAME",
    "ONE",
    "ONE_FRAME",
    "PARTS",
    "PING_FRAME",
    "PLAIN",
    "PLAIN_WHOLE",
    "TWO",
    "TWO_FRAME",
    "V1",
    "WHOLE",
    "WIRE",
    "Behaviour",
    "Verdict",
    "broken_at",
    "chunked",
    "control_frame",
    "cut_at",
    "cut_places",
    "echo",
    "endless_problem",
    "failed",
    "no_answer",
    "open_frame",
    "resetting",
    "short_of_its_length",
    "slowly",
    "until_closed",
    "whole",
]

V1: Final = "application/vnd.objectstreaming;v=1;coder=json"
PLAIN: Final = "application/octet-stream"

Verdict: TypeAlias = dict[str, Any]
"""As the `expect` of a `stream` case. With the member `beginning` it also fits the first few of its frames."""

# ------------------------------------------------------------------------------------------------------- the streams


def control_frame(**members: Any) -> bytes:
    return frame(json.dumps({"$stream": members}, separators=(",", ":")), b"{}")


def open_frame(heartbeat: float = 15) -> bytes:
    return control_frame(type="open", v=1, coder="json", heartbeat=heartbeat)


ONE: Final = {"header": {"n": 1}, "json": "one"}
TWO: Final = {"header": {"n": 2}, "json": {"tw\u00f6": "\U0001f600"}}
ONE_FRAME: Final = frame('{"n":1}', '"one"')
TWO_FRAME: Final = frame('{"n":2}', '{"tw\u00f6":"\U0001f600"}')
PING_FRAME: Final = control_frame(type="ping")
END_FRAME: Final = control_frame(type="end", frames=2, trailers={"tokens": 3})
PARTS: Final = (open_frame(), ONE_FRAME, PING_FRAME, TWO_FRAME, END_FRAME)
WIRE: Final = b"".join(PARTS)

WHOLE: Final[Verdict] = {
    "frames": [ONE, TWO],
    "end": "ok",
    "position": 2,
    "trailers": {"tokens": 3},
    "message": "",
}
PLAIN_WHOLE: Final[Verdict] = {"frames": [ONE, TWO], "end": "missing", "position": 2}


def failed(code: str, *frames: Any, **more: Any) -> Verdict:
    """These frames came, and then the error."""
    return {"frames": list(frames), "end": "missing", "position": len(frames), "error": {"code": code}, **more}


def cut_at(at: int, parts: Sequence[bytes] = PARTS) -> Verdict:
    """What has come of a stream of which the first `at` bytes arrived, and the body then ended in good order."""
    frames: list[Any] = []
    offset = 0
    for index, part in enumerate(parts):
        if offset == at:
            break
        if offset + len(part) > at:
            verdict = failed("truncated_frame", *frames)
            verdict["error"] |= {"index": index, "offset": offset}
            return verdict
        offset += len(part)
        frames += [ONE] * (part is ONE_FRAME) + [TWO] * (part is TWO_FRAME)
    return failed("stream_incomplete", *frames)


def broken_at(at: int, parts: Sequence[bytes] = PARTS) -> tuple[Verdict, ...]:
    """What may have come of it if the connection broke: an HTTP library may lose bytes that it has not passed on."""
    frames = cut_at(at, parts)["frames"]
    early = (failed(code, *frames, beginning=True) for code in ("stream_incomplete", "truncated_frame"))
    return (*early, failed("no_response"))


def cut_places(parts: Sequence[bytes] = PARTS) -> list[int]:
    """Before, after and inside each frame: where a cut is tried if not at every byte."""
    places, offset = {0}, 0
    for part in parts:
        places |= {offset + 1, offset + 6, offset + len(part) // 2, offset + len(part) - 1, offset + len(part)}
        offset += len(part)
    return sorted(places - {offset})


# ---------------------------------------------------------------------------------------------------- the behaviours

Behaviour: TypeAlias = Callable[[Connection], None]


@dataclass(frozen=True)
class _Sends:
    """Sends bytes, waits the seconds between them, and then closes, resets or stalls."""

    steps: tuple[bytes | float, ...]
    then: Literal["close", "reset", "stall"] = "close"

    def __call__(self, connection: Connection) -> None:
        for step in self.steps:
            if isinstance(step, bytes):
                connection.send(step)
            else:
                time.sleep(step)
        if self.then == "reset":
            connection.reset()
        elif self.then == "stall":
            connection.until_client_leaves()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


_LAST_CHUNK: Final = _chunk(b"")


def whole(body: bytes, status: str = "200 OK", content_type: str = V1, **headers: str) -> Behaviour:
    """A response of the length that it says."""
    head = response_head(status, content_type, content_length=str(len(body)), connection="close", **headers)
    return _Sends((head + body,))


def chunked(*chunks: bytes, content_type: str = V1, complete: bool = True) -> Behaviour:
    """Each chunk by itself, then the last chunk, or only the end of the connection."""
    # Of a response that said `Connection: close`, Node's fetch takes a body without its last chunk for whole.
    last = {"connection": "close"} if complete else {}
    head = response_head(content_type=content_type, transfer_encoding="chunked", **last)
    steps = [head, *(_chunk(chunk) for chunk in chunks if chunk)]
    return _Sends((*steps, _LAST_CHUNK) if complete else tuple(steps))


def short_of_its_length(body: bytes, missing: int) -> Behaviour:
    """Fewer bytes than the Content-Length says."""
    return _Sends((response_head(content_length=str(len(body) + missing), connection="close"), body))


def resetting(body: bytes, missing: int) -> Behaviour:
    """The same, and a reset instead of a close."""
    head = response_head(content_length=str(len(body) + missing), connection="close")
    return _Sends((head, body, 0.05), "reset")  # a reset discards what the client has not read yet


def until_closed(body: bytes) -> Behaviour:
    """HTTP/1.0 without a length: the body ends with the connection."""
    return _Sends((response_head(connection="close").replace(b"HTTP/1.1", b"HTTP/1.0"), body))


def no_answer(beginning: bytes, then: Literal["close", "reset"] = "close") -> Behaviour:
    return _Sends((beginning,), then)


def slowly(*steps: bytes | float, stall: bool = False) -> Behaviour:
    """Chunks, and the seconds to wait between them; then the last chunk, or nothing until the client leaves."""
    head = response_head(transfer_encoding="chunked", connection="close")
    chunks = (_chunk(step) if isinstance(step, bytes) else step for step in steps)
    return _Sends((head, *chunks), "stall") if stall else _Sends((head, *chunks, _LAST_CHUNK))


def endless_problem(connection: Connection) -> None:
    """An error response of 256 MiB, to a client that reads it all."""
    head = response_head("500 Internal Server Error", "text/plain", transfer_encoding="chunked", connection="close")
    connection.send(head)
    connection.send_chunks([b"x" * 65536] * 4096)


def echo(connection: Connection) -> None:
    """A stream of one frame, which says what the request was."""
    request = {
        "method": connection.method,
        "body": connection.body.decode(),
        "type": connection.headers.get("content-type", ""),
    }
    data = frame('{"n":1}', json.dumps(request))
    whole(open_frame() + data + control_frame(type="end", frames=1))(connection)
