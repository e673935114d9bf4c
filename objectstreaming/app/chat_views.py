"""Views of the messages of `chat_messages.py`: server-sent events for a web page, JSON lines, and one JSON.

    event: text     data: a piece of the answer
    event: audio    data: the sound of a sentence, a WAV file in base64
    event: done     data: how many sounds there were
    event: error    data: why the answer is not whole; nothing comes after it

A reader of server-sent events joins the `data` lines of an event with a line feed, and removes one space from the
beginning of each. So a text with line ends has a `data` line for each of its lines, and its own spaces stay. CR and
CRLF, which end a line of the format itself, are sent as line feeds.
"""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final

from wav_streaming import Sound, pcm_to_wav, to_mono

from .. import strict_json
from ..coders import Coder
from ..errors import StreamError
from ..frames import Limits
from ..server.views import View, ViewEncoder, one_line

__all__ = ["ChatEncoder", "ChatLines", "ChatView", "WholeChat"]

_LARGEST_WHOLE: Final = 64 * 1024 * 1024
"""The most bytes of sound in one JSON: 25 minutes at 22,050 Hz."""


class _Sentences:
    """Puts the pieces of each sentence's sound together."""

    def __init__(self) -> None:
        self._pcm = bytearray()
        self._size = self._rate = self._channels = 0

    def add(self, header: Mapping[str, Any], payload: bytes) -> Sound | None:
        """The sound of a sentence, if `payload` is its last piece."""
        if "samples" in header:
            self._rate, self._channels = header["rate"], header["channels"]
            self._size = 2 * self._channels * header["samples"]
        self._pcm += payload
        if not self._pcm or len(self._pcm) < self._size:
            return None
        sound = Sound(bytes(self._pcm), self._rate, self._channels)
        self._pcm.clear()
        return sound


class ChatEncoder(ABC):
    """What encoders of these messages share."""

    def __init__(self) -> None:
        self.position = 0

    @abstractmethod
    def message(self, header: Mapping[str, Any], payload: bytes) -> bytes:
        """The bytes of a message; may be empty."""

    def open(self, *, heartbeat: float | None = None, metadata: Mapping[str, Any] | None = None) -> bytes:
        return b""

    def data(self, header: Mapping[str, Any], payload: bytes) -> bytes:
        self.position += 1
        return self.message(header, payload)

    def ping(self) -> bytes:
        return b""


class _Events(ChatEncoder):
    def __init__(self) -> None:
        super().__init__()
        self._sentences = _Sentences()
        self._is_after_cr = False
        self._sounds = 0

    def message(self, header: Mapping[str, Any], payload: bytes) -> bytes:
        if header["kind"] == "text":
            return self._text(payload.decode()) if payload else b""
        sound = self._sentences.add(header, payload)
        if sound is None:
            return b""
        self._sounds += 1
        wav = pcm_to_wav(sound.pcm, sound.sample_rate, sound.channels)
        return b"event: audio\ndata: %b\n\n" % base64.b64encode(wav)

    def _text(self, text: str) -> bytes:
        is_after_cr, self._is_after_cr = self._is_after_cr, text.endswith("\r")
        if is_after_cr:  # that CR was sent as a line feed already
            text = text.removeprefix("\n")
        if not text:
            return b""
        return _event("text", text)

    def ping(self) -> bytes:
        return b": ping\n\n"

    def end(self, *, trailers: Mapping[str, Any] | None = None, error: StreamError | None = None) -> bytes:
        return _event("done", str(self._sounds)) if error is None else _event("error", error.message)


def _event(name: str, data: str) -> bytes:
    lines = data.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "".join([f"event: {name}\n", *(f"data: {line}\n" for line in lines), "\n"]).encode()


class ChatView(View):
    r"""Server-sent events with the names `text`, `audio`, `done` and `error`.

    >>> from objectstreaming import RawCoder
    >>> encoder = ChatView().encoder(RawCoder(), Limits(), None)
    >>> encoder.data({"kind": "text"}, b"Why"), encoder.data({"kind": "text"}, b" did\nthe")
    (b'event: text\ndata: Why\n\n', b'event: text\ndata:  did\ndata: the\n\n')
    >>> encoder.end()
    b'event: done\ndata: 0\n\n'
    """

    media_type = "text/event-stream"

    def encoder(self, coder: Coder[Any, Any], limits: Limits, position: int | None) -> ViewEncoder:
        return _Events()

    def openapi(self, message: dict[str, Any]) -> dict[str, Any]:
        def event(name: str, data: dict[str, Any]) -> dict[str, Any]:
            properties = {"event": {"const": name}, "data": data}
            return {"type": "object", "required": ["event", "data"], "properties": properties}

        text = {"type": "string"}
        wav = {"type": "string", "contentEncoding": "base64", "contentMediaType": "audio/wav"}
        count = {"type": "string", "pattern": "^[0-9]+$"}
        kinds = {"text": text, "audio": wav, "done": count, "error": text}
        return {"itemSchema": {"oneOf": [event(name, data) for name, data in kinds.items()]}}


class _Lines(ChatEncoder):
    def message(self, header: Mapping[str, Any], payload: bytes) -> bytes:
        if header["kind"] == "text":
            return _line({**header, "text": payload.decode()})
        return _line({**header, "data": base64.b64encode(payload).decode()} if payload else header)

    def ping(self) -> bytes:
        return b"\n"

    def end(self, *, trailers: Mapping[str, Any] | None = None, error: StreamError | None = None) -> bytes:
        if error is None:
            return _line({"kind": "end", **(trailers or {})})
        return _line({"kind": "error", "code": error.code, "message": error.message})


def _line(value: Any) -> bytes:
    return one_line(strict_json.dumps(value)) + b"\n"


class ChatLines(View):
    r"""Lines of JSON: the headers of the messages, with the text as `text` and the sound in base64 as `data`. The last
    line has the `kind` "end", and the trailers, or "error", with `code` and `message`.

    >>> from objectstreaming import RawCoder
    >>> encoder = ChatLines().encoder(RawCoder(), Limits(), None)
    >>> print((encoder.data({"kind": "text"}, b" did") + encoder.end(trailers={"sentences": 1})).decode().rstrip())
    {"kind":"text","text":" did"}
    {"kind":"end","sentences":1}
    """

    def __init__(self, media_type: str = "application/x-ndjson") -> None:
        self.media_type = media_type

    def encoder(self, coder: Coder[Any, Any], limits: Limits, position: int | None) -> ViewEncoder:
        return _Lines()

    def openapi(self, message: dict[str, Any]) -> dict[str, Any]:
        kind = {"enum": ["text", "audio", "end", "error"]}
        return {"itemSchema": {"type": "object", "required": ["kind"], "properties": {"kind": kind}}}


class _Whole(ChatEncoder):
    def __init__(self) -> None:
        super().__init__()
        self._sentences = _Sentences()
        self._text: list[str] = []
        self._sounds: list[Sound] = []
        self._size = 0.0

    def message(self, header: Mapping[str, Any], payload: bytes) -> bytes:
        if header["kind"] == "text":
            self._text.append(payload.decode())
        elif (sound := self._sentences.add(header, payload)) is not None:
            self._sounds.append(sound)
            self._size += max(len(sound.pcm), 2 * sound.seconds * self._sounds[0].sample_rate)
            if self._size > _LARGEST_WHOLE:
                raise StreamError("resource_exhausted", "the answer is too long for one JSON; ask for a stream of it")
        return b""

    def end(self, *, trailers: Mapping[str, Any] | None = None, error: StreamError | None = None) -> bytes:
        if error is not None:
            return b""
        answer: dict[str, Any] = {"response": "".join(self._text), "audio": None, "sample_rate": None}
        if self._sounds:
            sound = _joined(self._sounds)
            wav = pcm_to_wav(sound.pcm, sound.sample_rate, sound.channels)
            answer.update(audio=base64.b64encode(wav).decode(), sample_rate=sound.sample_rate)
        return strict_json.dumps(answer)


def _joined(sounds: list[Sound]) -> Sound:
    """The sounds one after the other: as they are if they have one format, else in mono at the rate of the first."""
    rate, channels = sounds[0].sample_rate, sounds[0].channels
    if any((sound.sample_rate, sound.channels) != (rate, channels) for sound in sounds):
        sounds, channels = [to_mono(sound, rate) for sound in sounds], 1
    return Sound(b"".join(sound.pcm for sound in sounds), rate, channels)


class WholeChat(View):
    """One JSON object when the answer is whole: `response`, the text; `audio`, a WAV file in base64, or null; and its
    `sample_rate`. A failure has its real status, because nothing is sent before the end."""

    media_type = "application/json"

    def encoder(self, coder: Coder[Any, Any], limits: Limits, position: int | None) -> ViewEncoder:
        return _Whole()

    def openapi(self, message: dict[str, Any]) -> dict[str, Any]:
        audio = {"type": ["string", "null"], "contentEncoding": "base64", "contentMediaType": "audio/wav"}
        rate = {"type": ["integer", "null"]}
        properties = {"response": {"type": "string"}, "audio": audio, "sample_rate": rate}
        return {"schema": {"type": "object", "required": list(properties), "properties": properties}}
