"""What a message says to a reader that knows no frames: text, sound, objects.

Views for readers of other protocols (`UIMessages`, `ChatCompletions`) ask a function of two arguments what is in a
message. It takes the header and the payload, and gives any number of parts, in their order:

    a string               text of the answer
    a wav_streaming.Sound  sound
    (name, value)          an object; the value is what JSON can say
    a mapping              something in the words of the format itself, sent as it is

So the same function serves both views, as long as it gives no mapping.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from wav_streaming import Sound, TALAudio

from .. import strict_json
from ..coders import Coder
from ..errors import EncodeError
from ..frames import Limits
from .views import JsonTexts

__all__ = ["Part", "PartsEncoder", "PartsOf"]

Part: TypeAlias = str | Sound | tuple[str, Any] | Mapping[str, Any]
PartsOf: TypeAlias = Callable[[Any, Any], Iterable[Part]]
"""The parts of a message, by its header and its payload."""


class PartsEncoder(JsonTexts):
    """Encodes a message by its parts.

    Without a function of the user's: a payload that is a string is text; a frame of speech is its `answer` and its
    sound; any other message is the object `("message", {"header": ..., "payload" or "base64": ...})`.
    """

    def __init__(self, coder: Coder[Any, Any], limits: Limits, position: int | None, parts: PartsOf | None) -> None:
        super().__init__(coder, limits, position)
        self._parts_of = parts
        self._count = 0

    @property
    def position(self) -> int:
        return self._before + self._count

    def data(self, header: Any, payload: Any) -> bytes:
        written = self.write([_checked(part) for part in self._parts(header, payload)])
        self._count += 1
        return written

    @abstractmethod
    def write(self, parts: list[Part]) -> bytes:
        """The bytes of a message. Changes nothing if it raises."""

    def ping(self) -> bytes:
        return b": ping\n\n"

    def _parts(self, header: Any, payload: Any) -> Iterator[Part]:
        text = self.message(header, payload)
        if self._parts_of is not None:
            yield from self._parts_of(header, payload)
        elif isinstance(payload, str):
            yield payload
        elif isinstance(header, TALAudio):
            yield header.answer
            if payload:
                yield Sound(bytes(payload), header.sampleRate, header.channels, header.bitDepth)
        else:
            yield "message", strict_json.loads(text)


def _checked(part: Part) -> Part:
    if isinstance(part, str | Sound | Mapping):
        return part
    if isinstance(part, tuple) and len(part) == 2 and isinstance(part[0], str):
        return part
    raise EncodeError(
        f"a part is a string, a Sound, a tuple (name, value) or a mapping, not {type(part).__name__}; "
        "the function of the parts gives any number of them"
    )
