"""In which format the sound of a sentence is sent: PCM where the link allows it, and else compressed.

A client says what it can read: `"audio": ["opus", "flac", "pcm"]`. PCM is heard from its first piece on, and costs
nothing; FLAC has half of its bytes, and Opus a fifteenth. Compressed sound is sent as a whole sentence. So for each
sentence the server takes the first of PCM, FLAC and Opus that the client can read, and that the link carries.

A stored answer may be made faster than it is sent: then its format is chosen before its link is known. So what was
learned of a client's link is kept for its next answers.
"""

from __future__ import annotations

import logging
import math
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypeAlias

from wav_streaming.compression import check_installed, compress
from wav_streaming.resampling import to_mono
from wav_streaming.sound import Sound

from ..errors import StreamError
from ..observe import Observer, StreamRecord

__all__ = ["FORMATS", "Link", "Links", "SoundFormats", "accepted_formats"]

log = logging.getLogger("objectstreaming.server")

FORMATS: Final = {"pcm": "s16le", "flac": "flac", "opus": "ogg-opus"}
"""What a request names, and what the header of a sound says; the first one that the link carries is taken."""

_BITS: Final[dict[str, Callable[[Sound], float]]] = {
    "pcm": lambda sound: 16.0 * sound.channels * sound.sample_rate,
    "flac": lambda sound: 0.6 * 16 * sound.sample_rate,  # speech: 0.5 to 0.6 of its PCM
    "opus": lambda sound: 30_000.0,  # with its container
}
_MARGIN: Final = 1.25
"""The link must be so many times as fast as the sound is played."""
_LARGEST: Final = 1024 * 1024
"""The most bytes of compressed sound in a frame. There is none so large that is not half an hour of Opus."""
_SENT_AHEAD: Final = 64 * 1024
"""What a server takes before it waits for the client (uvicorn and asyncio: 64 KiB)."""
_NOTICED: Final = 0.005
"""Seconds: a shorter wait says nothing of the link."""
_REMEMBERED: Final = 300.0
"""Seconds that a wait counts for."""

Waits: TypeAlias = deque[tuple[int, float, float]]
"""Bytes, the seconds until they were taken, and when that was."""


def accepted_formats(wanted: Iterable[str]) -> tuple[str, ...]:
    """The formats of `FORMATS` among those that a request names; others are passed over, those of a later version.

    Raises `StreamError` if there is none, or none that this server has.
    """
    known = [name for name in FORMATS if name in wanted]
    if not known:
        raise StreamError("invalid_argument", f"`audio` names none of the formats that there are: {', '.join(FORMATS)}")
    if known != ["pcm"]:
        try:
            check_installed()
        except ModuleNotFoundError as error:
            if "pcm" not in known:
                raise StreamError("unimplemented", f"this server has sound as pcm only ({error})") from None
            known = ["pcm"]
    return tuple(known)


class Link(Observer):
    """How many bits a second a client takes, from how long the server waited for it during one answer, and in `waits`,
    where it also writes what it learns. What is older than five minutes does not count: the link may be better now.

    >>> link = Link()
    >>> link.bits is None
    True
    >>> link.sent(4_000, 0.0), link.sent(4_000, 0.25)
    (None, None)
    >>> link.bits
    256000.0
    """

    def __init__(self, waits: Waits | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._waits = _no_waits() if waits is None else waits
        self._clock = clock
        self._size = 0
        self._seconds = 0.0
        self._stalled = 0.0

    @property
    def bits(self) -> float | None:
        """`None` as long as the server has not waited."""
        since = self._clock() - _REMEMBERED
        waits = [(size, seconds) for size, seconds, at in self._waits if at > since]
        return 8 * sum(size for size, _ in waits) / sum(seconds for _, seconds in waits) if waits else None

    def sent(self, size: int, seconds: float) -> None:
        """So many bytes were sent, and `seconds` passed until they were taken."""
        self._size += size
        self._seconds += seconds
        if seconds > _NOTICED:
            # What was taken before without a wait filled the server's own buffer, which has emptied while it waited.
            self._waits.append((min(self._size, max(size, _SENT_AHEAD)), self._seconds, self._clock()))
            self._size, self._seconds = 0, 0.0

    def wrote(self, stream: StreamRecord, size: int) -> None:
        self.sent(size, stream.stalled - self._stalled)
        self._stalled = stream.stalled


class Links:
    """The links of the clients that asked last, by their names.

    >>> links = Links()
    >>> links.of("ann").sent(32_000, 1.0)
    >>> links.of("ann").bits, links.of("bob").bits
    (256000.0, None)
    """

    def __init__(self, most: int = 1_024) -> None:
        self._most = most
        self._waits: OrderedDict[str, Waits] = OrderedDict()

    def of(self, client: str) -> Link:
        """The link of a client during a new answer."""
        waits = self._waits.setdefault(client, _no_waits())
        self._waits.move_to_end(client)
        if len(self._waits) > self._most:
            self._waits.popitem(last=False)
        return Link(waits)


def _no_waits() -> Waits:
    return deque(maxlen=8)


class SoundFormats:
    """The formats that a client can read, and the choice among them for each sentence."""

    def __init__(
        self,
        accepted: Iterable[str] = ("pcm",),
        link: Link | None = None,
        compress: Callable[[Sound, str], Awaitable[bytes]] = compress,
    ) -> None:
        self.accepted = tuple(name for name in FORMATS if name in accepted)
        self.link = link or Link()
        self._compress = compress

    def choose(self, sound: Sound) -> str:
        """The name of the format in which `sound` is to be sent now.

        >>> formats = SoundFormats(["opus", "flac", "pcm"])
        >>> formats.choose(Sound(b"", 22_050))
        'pcm'
        >>> formats.link.sent(32_000, 1.0)
        >>> formats.choose(Sound(b"", 22_050)), SoundFormats(["flac"]).choose(Sound(b"", 22_050))
        ('opus', 'flac')
        """
        bits = self.link.bits
        if bits is None:
            bits = math.inf
        return next((name for name in self.accepted if _MARGIN * _BITS[name](sound) <= bits), self.accepted[-1])

    async def encoded(self, sound: Sound) -> tuple[dict[str, Any], bytes] | None:
        """The members of a header for `sound`, which has 16 bits, and its bytes; `None` if it is to be sent as PCM.
        Raises what keeps it from being sent in any of its formats."""
        name = self.choose(sound)
        if name == "pcm":
            return None
        mixed = to_mono(sound, sound.sample_rate)
        try:
            data = await self._compress(mixed, FORMATS[name])
            if len(data) > _LARGEST:
                raise StreamError("resource_exhausted", "the sound of a sentence is too large for one frame")
        except Exception:
            if "pcm" not in self.accepted:
                raise
            log.warning("a sound of %.1f s could not be sent as %s", sound.seconds, name, exc_info=True)
            return None
        samples = len(mixed.pcm) // mixed.block_align
        form = {"format": FORMATS[name], "rate": sound.sample_rate, "channels": 1, "samples": samples}
        return form, data
