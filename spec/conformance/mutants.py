"""Testees that are broken on purpose, each in one way: what certifies the runner is that it catches every one.

    python spec/conformance/mutants.py NAME

The decoding ones are a small decoder of their own with a switch for each mistake; `none` is that decoder unbroken, and
must pass. The streaming, encoding and fetching ones are the Python testee with one thing changed.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import httpx
import testee
from testee import Answer, Request, chunks_of, layout_of, limits_of

from objectstreaming import InvalidHeader, StreamDecoder, client, encode_frame, strict_json
from objectstreaming.errors import code_for_status

# Each mistake, and the suite that is enough to catch it.
DECODING = {
    "none": "",  # nothing
    "big-endian": "frames",  # reads the length words in the machine's order, on the wrong machine
    "no-limit": "limits",  # believes every T and H
    "limit-one-too-low": "limits",  # refuses a frame of exactly the limit
    "no-eof-check": "truncation",  # takes the end of the input for success
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
STREAMING = {
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
ENCODING = {
    "utf16-lengths": "encode",  # counts UTF-16 units where bytes are to be counted
    "t-without-itself": "encode",  # leaves the length word out of T
    "extra-length-word": "encode",  # writes a word before the payload, as the original's JavaScript did
    "encodes-nan": "encode",  # writes headers without looking
}
FETCHING = {  # each with the case that is enough
    "cut-is-success": "http-cut/every-byte-in-good-order",  # takes the end of the body for the end of the stream
    "broken-is-success": "http-cut/every-byte-without-the-last-chunk",  # and a broken connection too
    "plain-broken-is-success": "http-cut/plain-broken",  # but not of version 1
    "loses-frames-before-a-cut": "http-cut/every-byte-in-good-order",  # raises before the frames that were whole
    "posts-again-after-a-cut": "http-cut/short-of-its-length",  # asks twice, and answers rightly
    "posts-again-unanswered": "http-cut/no-answer",  # takes no answer for not having been heard
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
    "asks-the-app-for-plain": "http-app/objects",  # and nobody looks at the request
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


class BrokenStreamDecoder(StreamDecoder[Any, Any]):
    """`StreamDecoder` with one of its checks gone."""

    mistake = ""

    def __init__(self, coder: Any, **options: Any) -> None:
        if self.mistake == "end-not-required":
            options["require_end"] = False
        super().__init__(coder, **options)
        self._plain = None  # no short cut past the mistakes on the native codec
        if self.mistake == "no-order-check":
            self._check_order = None

    def _messages(self, frames: Any) -> Any:
        if self.mistake == "control-by-parsing":
            frames = map(self._respelled, frames)
        yield from super()._messages(frames)

    @staticmethod
    def _respelled(frame: Any) -> Any:
        try:
            members = frame.header
        except InvalidHeader:
            return frame
        if "$stream" not in members:
            return frame
        header = strict_json.dumps({"$stream": members["$stream"]})
        return type(frame)(header, frame.payload, frame.index, frame.offset)

    def _control(self, frame: Any) -> None:
        if self.mistake == "frames-after-end" and self.ended:
            return
        super()._control(frame)
        self._position += self.mistake == "counts-control-frames"
        if self.mistake == "unknown-type-is-an-error" and frame.header["$stream"]["type"] not in (
            "open",
            "ping",
            "end",
        ):
            self._fail("invalid_control", "unknown", frame)

    def _ended(self, control: dict[str, Any], frame: Any) -> None:
        if self.mistake == "ignores-count-mismatch":
            control = {**control, "frames": self._position}
        if self.mistake == "null-error-is-success" and control.get("error", 0) is None:
            control = {name: value for name, value in control.items() if name != "error"}
        super()._ended(control, frame)


def stream(request: Request, mistake: str) -> Answer:
    answer = testee.stream(request)
    if mistake == "stops-at-refused-payload" and "!" in answer["frames"]:
        before, _, refused = answer["frames"].partition("!")
        answer |= {"frames": f"{before}!{refused.split()[0]}", "end": "missing", "error": ""}
    return answer


def encode(request: Request, mistake: str) -> Answer:
    header, payload = bytes.fromhex(request["header"]), bytes.fromhex(request["payload"])
    if mistake == "encodes-nan" and "coder" not in request and "byte_length" not in request:
        try:
            json.loads(header)
        except ValueError:
            return {"wire": "", "error": "encode_error"}
        frame = encode_frame({}, bytes(len(header) - 2) + payload)
        return {"wire": (frame[:4] + len(header).to_bytes(4, "little") + header + payload).hex(), "error": ""}
    answer = testee.encode(request)
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
    """What a client would do that does not look at what it got, or looks in the wrong place."""

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
    if testee.client is None:
        BrokenTransport.mistake = mistake
        testee.client = httpx.Client(transport=BrokenTransport(), trust_env=False)
    if mistake == "no-idle-timeout":
        vars(client)["HEARTBEATS"] = 1000
    began = time.monotonic()
    answer = testee.fetch(request)
    code = answer["error"].partition(" ")[0]
    cut = code in ("truncated_frame", "stream_incomplete")
    if (mistake == "posts-again-after-a-cut" and cut) or (
        mistake == "posts-again-unanswered" and code == "no_response"
    ):
        answer = testee.fetch(request)
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


MUTANTS = {name: suite for name, suite in (DECODING | STREAMING | ENCODING).items() if name != "none"}


def main(name: str) -> None:
    if name in DECODING:
        ops = {"decode": lambda request: decode(request, name)}
        features = "decode limits layout json bigint"
    elif name in STREAMING:
        BrokenStreamDecoder.mistake = name
        vars(testee)["StreamDecoder"] = BrokenStreamDecoder
        ops = {"stream": lambda request: stream(request, name)}
        features = "stream json tal"
    elif name in ENCODING:
        ops = {"encode": lambda request: encode(request, name)}
        features = "encode json tal layout"
    elif name in FETCHING:
        ops = {"fetch": lambda request: fetch(request, name)}
        features = "fetch json tal"
    else:
        sys.exit(f"no mutant {name!r}; there are: none {' '.join([*MUTANTS, *FETCHING])}")
    testee.serve({"hello": lambda request: {"name": f"mutant {name}", "features": features}, **ops})


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) == 2 else "")
