"""Implementations with one mistake each. The tests run the suite on all of them: it must find every mistake.

    objectstreaming conformance -- python -m objectstreaming.conformance.mutants NAME

Those that decode are a small decoder with a switch for each mistake; `none` is that decoder without a mistake, and must
pass. Those that read streams, encode, fetch or resume are the Python implementation with one thing changed.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx

from .. import Frame, FrameDecoder, FrameError, client, encode_frame, strict_json
from ..errors import code_for_status
from ..protocol import CONTROL
from . import python_implementation
from .python_implementation import Answer, Request, chunks_of, layout_of, limits_of
from .resume_mutants import RESUMES, resume

# Each mistake, and the suite in which it must be found.
DECODES = {
    "none": "",  # nothing
    "big-endian": "frames",  # reads the length words in the machine's order, on the wrong machine
    "no-limit": "limits",  # has no limit on T and H
    "limit-one-too-low": "limits",  # refuses a frame of exactly the limit
    "no-eof-check": "truncation",  # takes the end of the input inside a frame for success
    "zero-offset": "limits",  # says that every error is at byte 0
    "offset-of-frame": "limits",  # reports a bad H at the frame's first byte
    "index-from-1": "limits",  # counts frames from 1
    "drop-last": "frames",  # does not deliver the frame that ends with the input
    "batch-loss": "limits",  # loses the good frames of a chunk with a bad one in it
    "t-unchecked": "frames",  # lets T be below 8
    "h-unchecked": "layouts",  # lets H reach beyond T
    "h-before-t": "frames",  # judges H before T
    "waits-for-both-words": "limits",  # judges T only when H is there too
    "waits-for-the-frame": "limits",  # judges H only when T bytes are there
    "header-early": "truncation",  # judges the header before its frame is whole
    "accepts-nan": "headers",  # reads JSON with its library's defaults
    "accepts-any-value": "headers",  # takes any JSON for a header
    "accepts-bom": "headers",  # skips a byte order mark
    "utf8-replaced": "headers",  # decodes bad UTF-8 with replacement characters
    "empty-chunk-is-eof": "truncation",  # stops at an empty chunk
    "loses-split-words": "frames",  # drops bytes of a length word that is split between chunks
}
STREAMS = {
    "counts-control-frames": "states",  # counts control frames in the position
    "ignores-count-mismatch": "end",  # does not compare the end's count
    "null-error-is-success": "control",  # takes "error": null for no error
    "end-not-required": "end",  # takes a stream without its end for whole
    "control-by-parsing": "control",  # takes any header with the member $stream for control
    "unknown-type-is-an-error": "states",  # refuses control types of later versions
    "frames-after-end": "states",  # stops reading at the end frame
    "stops-at-refused-payload": "json",  # lets a payload error end the stream
    "no-order-check": "tal",  # takes tal frames in any order
}
ENCODES = {
    "utf16-lengths": "encode",  # counts UTF-16 units where bytes are to be counted
    "t-without-itself": "encode",  # leaves the length word out of T
    "extra-length-word": "encode",  # writes a word before the payload, as the original's JavaScript did
    "encodes-nan": "encode",  # writes headers without checking them
}
# Each with the case in which it must be found.
FETCHES = {
    "cut-is-success": "http-cut/every-byte-in-good-order",  # takes the end of the body for the end of the stream
    "broken-is-success": "http-cut/every-byte-without-the-last-chunk",  # and a broken connection too
    "plain-broken-is-success": "http-cut/plain-broken",  # but not of version 1
    "loses-frames-before-a-cut": "http-cut/every-byte-in-good-order",  # raises before the frames that were whole
    "posts-again-after-a-cut": "http-cut/short-of-its-length",  # sends the request twice, and answers rightly
    "posts-again-unanswered": "http-cut/no-answer",  # repeats a request that was not answered
    "end-must-close": "http-cut/after-the-end",  # makes an error of a connection that breaks when all is there
    "no-idle-timeout": "http-silence/stall-after-a-frame",  # waits for ever
    "pings-do-not-count": "http-silence/pings-then-success",  # lets data frames alone reset the timer
    "ignores-content-type": "http-types/wrong",  # decodes whatever comes
    "ignores-parameters": "http-types/wrong",  # looks at the type, but not at v and coder
    "type-by-spelling": "http-types/spelled-otherwise",  # compares the content type as a string
    "ignores-status": "http-errors/a-stream-with-a-wrong-status",  # decodes whatever the status
    "problem-unread": "http-errors/problem",  # knows the status, not what the body says
    "ignores-end-error": "http-errors/after-the-first-frame",  # takes any end for success
    "asks-for-plain": "http-bodies/whole",  # does not ask for version 1
    "asks-the-app-for-plain": "http-app/objects",  # and the application does not record the request
}


class Refused(Exception):
    def __init__(self, code: str, index: int, offset: int) -> None:
        super().__init__(code)
        self.words = f"{code} {index} {offset}"


class Decoder:
    """A plain incremental decoder, broken in the one way that `mistake` names."""

    def __init__(self, request: Request, mistake: str) -> None:
        self.limits = limits_of(request)
        layout = layout_of(request)
        self.width = layout.byte_length
        self.order = "big" if mistake == "big-endian" else layout.byte_order
        self.mistake = mistake
        self.buffer = b""
        self.index = self.offset = 0

    def refuse(self, code: str, at_h: bool = False) -> None:
        offset = self.offset + (self.width if at_h and self.mistake != "offset-of-frame" else 0)
        if self.mistake == "zero-offset":
            offset = 0
        raise Refused(code, self.index + (self.mistake == "index-from-1"), offset)

    def feed(self, chunk: bytes) -> Any:
        width, mistake = self.width, self.mistake
        if mistake == "loses-split-words" and 0 < len(self.buffer) < width:
            self.buffer = b""
        self.buffer += chunk
        while len(self.buffer) >= width:
            words = 2 * width
            if mistake == "waits-for-both-words" and len(self.buffer) < words:
                return
            t = int.from_bytes(self.buffer[:width], self.order)
            h = int.from_bytes(self.buffer[width:words], self.order)
            if mistake == "h-before-t" and len(self.buffer) >= words and h > self.limits.header:
                self.refuse("header_too_large", at_h=True)
            if t < words and mistake != "t-unchecked":
                self.refuse("invalid_length")
            if t > self.limits.frame - (mistake == "limit-one-too-low") and mistake != "no-limit":
                self.refuse("frame_too_large")
            if len(self.buffer) < words or (mistake == "waits-for-the-frame" and len(self.buffer) < t):
                return
            if h > t - words and mistake not in ("h-unchecked", "t-unchecked"):
                self.refuse("invalid_length", at_h=True)
            if h > self.limits.header and mistake != "no-limit":
                self.refuse("header_too_large", at_h=True)
            header = self.buffer[words : words + h]
            if mistake == "header-early" and len(header) == h:
                self.judge(header)
            if len(self.buffer) < t:
                return
            self.judge(header)
            yield f"{header.hex()}:{self.buffer[words + h : t].hex()}"
            self.buffer = self.buffer[max(t, 1) :]
            self.offset += t
            self.index += 1

    def judge(self, header: bytes) -> None:
        text = header
        if self.mistake == "accepts-bom":
            text = header.removeprefix(b"\xef\xbb\xbf")
        if self.mistake == "utf8-replaced":
            text = header.decode(errors="replace").encode()
        try:
            if self.mistake == "accepts-nan":
                strict_json.loads_object(text.replace(b"NaN", b"0").replace(b"Infinity", b"0"))
            elif self.mistake == "accepts-any-value":
                strict_json.loads(text)
            else:
                strict_json.loads_object(text)
        except strict_json.InvalidJSON:
            self.refuse("invalid_header")

    def finish(self) -> None:
        if self.buffer and self.mistake != "no-eof-check":
            self.refuse("truncated_frame")


def decode(request: Request, mistake: str) -> Answer:
    decoder = Decoder(request, mistake)
    words: list[str] = []
    error = ""
    fed = 0
    try:
        for chunk in chunks_of(request):
            if mistake == "empty-chunk-is-eof" and not chunk:
                break
            fed += len(chunk)
            found = decoder.feed(chunk)
            words += list(found) if mistake == "batch-loss" else []
            for word in found:
                words.append(word)
        decoder.finish()
    except Refused as refused:
        error = f"{refused.words} {fed}"
    if mistake == "drop-last":
        words = words[:-1]
    return {"frames": " ".join(words), "error": error}


# Mistakes that let an error pass: its code, and the end that is reported instead of the one that the decoder found.
LETS_PASS = {
    "ignores-count-mismatch": ("count_mismatch", "ok"),
    "null-error-is-success": ("invalid_control", "ok"),
    "end-not-required": ("stream_incomplete", "missing"),
    "frames-after-end": ("frame_after_end", "ok"),
    "no-order-check": ("order_gap", "missing"),
}


def stream(request: Request, mistake: str) -> Answer:
    wire = b"".join(chunks_of(request))
    if mistake == "control-by-parsing":
        request = {**request, "chunks": b"".join(map(control_if_parsed, frames_of(wire))).hex()}
    answer = python_implementation.stream(request)
    kinds = [frame.header["$stream"]["type"] for frame in frames_of(wire) if is_control(frame)]
    code, end = LETS_PASS.get(mistake, ("", ""))
    if mistake == "counts-control-frames":
        answer["position"] += len(kinds)
    elif mistake == "unknown-type-is-an-error" and set(kinds) - {"open", "ping", "end"}:
        answer |= {"end": "missing", "error": f"invalid_control 0 - {len(wire)}"}
    elif mistake == "stops-at-refused-payload" and "!" in answer["frames"]:
        before, _, refused = answer["frames"].partition("!")
        answer |= {"frames": f"{before}!{refused.split()[0]}", "end": "missing", "error": ""}
    elif mistake == "null-error-is-success" and b'"error":null' not in wire:
        return answer
    elif code and answer["error"].startswith(code):
        answer |= {"error": "", "end": end}
    return answer


def frames_of(wire: bytes) -> Iterator[Frame]:
    """The good frames of a wire, as far as they go."""
    with contextlib.suppress(FrameError):
        for frame in FrameDecoder().feed(wire):
            frame.header  # noqa: B018 - reads it: InvalidHeader is raised here
            yield frame


def is_control(frame: Frame) -> bool:
    members = frame.header.get("$stream")
    return frame.header_bytes.startswith(CONTROL) and isinstance(members, dict) and isinstance(members.get("type"), str)


def control_if_parsed(frame: Frame) -> bytes:
    """The frame, as a control frame if its header has the member `$stream`, wherever in it."""
    header = frame.header_bytes
    if "$stream" in frame.header:
        header = strict_json.dumps({"$stream": frame.header["$stream"]})
    return encode_frame(header, frame.payload)


def encode(request: Request, mistake: str) -> Answer:
    header, payload = bytes.fromhex(request["header"]), bytes.fromhex(request["payload"])
    if mistake == "encodes-nan" and "coder" not in request and "byte_length" not in request:
        try:
            json.loads(header)
        except ValueError:
            return {"wire": "", "error": "encode_error"}
        frame = encode_frame({}, bytes(len(header) - 2) + payload)
        return {"wire": (frame[:4] + len(header).to_bytes(4, "little") + header + payload).hex(), "error": ""}
    answer = python_implementation.encode(request)
    if answer["error"] or "coder" in request or "byte_length" in request:
        return answer
    wire = encode_frame(header, payload)
    t, h = len(wire), len(header)
    if mistake == "utf16-lengths":
        shorter = h - len(header.decode().encode("utf-16-le")) // 2
        t, h = t - shorter, h - shorter
    elif mistake == "t-without-itself":
        t -= 4
    wire = t.to_bytes(4, "little") + h.to_bytes(4, "little") + wire[8:]
    if mistake == "extra-length-word":
        wire = wire[: 8 + h] + len(payload).to_bytes(4, "little") + wire[8 + h :]
    return {"wire": wire.hex(), "error": ""}


class BrokenTransport(httpx.HTTPTransport):
    """A client that does not check a response, or checks the wrong part of it."""

    mistake = ""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.mistake in ("asks-for-plain", "asks-the-app-for-plain"):
            request.headers["accept"] = "application/octet-stream"
        response = super().handle_request(request)
        kind = response.headers.get("content-type", "")
        if self.mistake == "ignores-status":
            response.status_code = 200
        ignored = self.mistake == "ignores-content-type" or (
            self.mistake == "ignores-parameters" and kind.startswith("application/vnd.objectstreaming")
        )
        if ignored:
            response.headers["content-type"] = TYPE
        if self.mistake == "type-by-spelling" and kind != TYPE:
            response.headers["content-type"] = "text/plain"
        return response


TYPE = "application/vnd.objectstreaming;v=1;coder=json"


def fetch(request: Request, mistake: str) -> Answer:
    if python_implementation.client is None:
        BrokenTransport.mistake = mistake
        python_implementation.client = httpx.Client(transport=BrokenTransport(), trust_env=False)
    if mistake == "no-idle-timeout":
        vars(client)["HEARTBEATS"] = 1000
    began = time.monotonic()
    answer = python_implementation.fetch(request)
    code = answer["error"].partition(" ")[0]
    cut = code in ("truncated_frame", "stream_incomplete")
    if (mistake == "posts-again-after-a-cut" and cut) or (
        mistake == "posts-again-unanswered" and code == "no_response"
    ):
        answer = python_implementation.fetch(request)
    elif mistake in ("cut-is-success", "broken-is-success") and cut:
        answer |= {"end": "ok", "error": ""}
    elif mistake == "plain-broken-is-success" and code == "stream_incomplete":
        answer |= {"error": ""}
    elif mistake == "loses-frames-before-a-cut" and cut:
        answer |= {"frames": "", "position": 0}
    elif mistake == "end-must-close" and time.monotonic() - began > 0.5:
        answer |= {"error": "stream_incomplete"}
    elif mistake == "pings-do-not-count" and time.monotonic() - began > 1.5:
        answer |= {"end": "missing", "error": "idle_timeout"}
    elif mistake == "problem-unread" and code.startswith("http_status:"):
        status = code.split(":")[1]
        answer |= {"error": f"http_status:{status}:{code_for_status(int(status))}"}
    elif mistake == "ignores-end-error" and answer["end"].startswith("error:"):
        answer |= {"end": "ok", "message": ""}
    return answer


MUTANTS = {name: suite for name, suite in (DECODES | STREAMS | ENCODES).items() if name != "none"}


def main(name: str) -> None:
    if name in DECODES:
        ops = {"decode": lambda request: decode(request, name)}
        features = "decode limits layout json bigint"
    elif name in STREAMS:
        ops = {"stream": lambda request: stream(request, name)}
        features = "stream json tal"
    elif name in ENCODES:
        ops = {"encode": lambda request: encode(request, name)}
        features = "encode json tal layout"
    elif name in FETCHES:
        ops = {"fetch": lambda request: fetch(request, name)}
        features = "fetch json tal"
    elif name in RESUMES:
        ops = {"resume": resume(name)}
        features = "resume json"
    else:
        sys.exit(f"no mutant {name!r}; there are: none {' '.join([*MUTANTS, *FETCHES, *RESUMES])}")
    python_implementation.serve({"hello": lambda request: {"name": f"mutant {name}", "features": features}, **ops})


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) == 2 else "")
