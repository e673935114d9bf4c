"""What a store keeps of a stream, and the five verbs by which it is written and read.

**The log.** A stream is stored as a log of data frames. A *position* is a number of data frames: the log's own position
is how many it holds, a reader's how many it has got. Frames are stored in entries, each one or more whole frames; how
frames are split into entries can be seen by nobody. After the last frame comes the end, once. A log with an end never
changes again.

**The lease.** A log has one writer. It renews its lease with each append, and with an append of nothing when its source
is silent. A writer that has not renewed for `lease` seconds is dead, and any reader may end the log in its place.

**What a store may lose.** A store may lose entries that it has acknowledged: Redis comes back empty, a failover loses
the last second. The writer notices with its next append (`Gone`, `Conflict`) and gives them again from its `Tail`. So
that a call whose answer was lost can be repeated, every verb that writes may be called twice with the same arguments,
and the second call changes nothing.
"""

from __future__ import annotations

import math
import re
import secrets
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from .. import strict_json
from ..errors import EncodeError
from ..frames import MiB
from .end import LARGEST, End

if TYPE_CHECKING:
    from .tail import Tail

__all__ = [
    "About",
    "Conflict",
    "Fenced",
    "Full",
    "Gone",
    "Keep",
    "Lease",
    "Page",
    "Refused",
    "Sealed",
    "Unavailable",
    "Unread",
    "Verbs",
    "is_id",
    "new_id",
]

_ID: Final = re.compile(r"[A-Za-z0-9_-]{22,64}", re.ASCII)


def new_id() -> str:
    """An id that nobody can guess: 128 random bits, 22 characters.

    >>> is_id(new_id()), new_id() == new_id()
    (True, False)
    """
    return secrets.token_urlsafe(16)


def is_id(id: str) -> bool:
    """Whether a chosen id is one that a store takes: 22 to 64 letters, digits, `_` and `-` of ASCII.

    >>> is_id("2f1c9a70-5e0b-4d0e-9c52-6f1f6f5f0b11"), is_id("../../etc/passwd/0123456"), is_id("short")
    (True, False, False)
    """
    return _ID.fullmatch(id) is not None


class Keep(msgspec.Struct, frozen=True):
    """How much of a stream is kept, and for how long.

    Args:
        ttl: seconds that a stream is kept after its last write.
        bytes: how large its data may become; a stream that grows beyond ends with `resource_exhausted`.
        unread: seconds after which a stream that nobody reads is stopped, with `canceled`; `None`: it is never stopped
            for that.

    Raises:
        ValueError: One of them is no positive number.

    >>> Keep(ttl=3600, unread=300)
    Keep(ttl=3600, bytes=16777216, unread=300)
    """

    ttl: float = 600
    bytes: int = 16 * MiB
    unread: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("ttl", self.ttl), ("bytes", self.bytes), ("unread", self.unread)):
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"Keep.{name} is a positive number, not {value!r}")


class About(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is said of a stream when it is created: JSON, and never changed.

    `token` is the writer's: two streams with one id, one after the other, differ in it. `coder` and `views` are names;
    `neutral` is the payload of the coder's control frames. `owner` is who may read it, "" for everybody who knows the
    id. `metadata` goes out in the `open` frame of every response.
    """

    token: str
    coder: str
    neutral: bytes = b""
    owner: str = ""
    views: tuple[str, ...] = ()
    metadata: dict[str, Any] | None = None

    def check(self) -> None:
        """Raise `EncodeError` if it is not JSON, or too large."""
        size = len(self.to_json())
        if size > LARGEST:
            raise EncodeError(f"owner, views and metadata are {size} bytes of JSON; they may have {LARGEST}")

    def to_json(self) -> bytes:
        """As JSON, with `neutral` in base64."""
        return strict_json.dumps(self)

    @classmethod
    def from_json(cls, data: bytes) -> About:
        """The inverse of `to_json`."""
        return msgspec.json.decode(data, type=cls)


class Lease(msgspec.Struct, frozen=True):
    """The right to write a stream: its id, and the token of its one writer."""

    id: str
    token: str


class Page(msgspec.Struct, frozen=True):
    """What `fetch` gives of a log: the frames after a position, and how the log stands.

    `first` and `position`: the log holds the frames `first + 1` to `position`; `first` is 0 unless entries were lost.
    `data` is whole frames, the last of them at position `upto`; empty if there are none after the position, or the
    position is not in the log. `end` is there if the log has one, and no frame after `upto`.
    """

    about: About
    first: int
    position: int
    upto: int
    data: bytes = b""
    end: End | None = None


class Verbs(Protocol):
    """The five verbs. Each may raise `Unavailable`; `Gone` where the id is of no stream, or no longer.

    `lease` is how long a writer is trusted without a renewal, in seconds. `renew` is the interval of renewals, and of
    the checks of what is watched: a third of the lease. For `patience` seconds a store that does not answer is waited
    for. `largest` is the size in bytes of the largest frame that the store takes, `None` if any.
    """

    lease: float
    renew: float
    patience: float
    largest: int | None

    async def create(self, id: str, about: About, first: int = 0) -> Tail | None:
        """Begin a log, which will hold the frames after position `first`; `None` if another writer has this id.

        Of several creations of one id one succeeds. The result is the stream's tail, for the writer, who calls
        `release` once when it does not write any more. A repetition with the same `about` gives the same tail.
        """

    async def append(self, lease: Lease, after: int, upto: int, data: bytes) -> None:
        """Add frames `after + 1` to `upto` to the log, all or none, and renew the lease.

        With `data` empty and `upto == after` it only renews. If the log is at `upto` already, nothing changes.
        Raises `Sealed`, `Fenced` (another writer), `Conflict` (the log is at another position than `after`), `Full`,
        `Unread`.
        """

    async def seal(
        self,
        id: str,
        end: End,
        *,
        lease: Lease | None = None,
        position: int | None = None,
        only_if_dead: bool = False,
    ) -> End | None:
        """End a log, once. The end that stands: `end`, or the one that was there before.

        The writer calls it with its `lease`, which is given up; raises `Fenced`. With `position`, raises `Conflict` if
        the log is at another one. With `only_if_dead`, `None` is returned, and nothing changed, while the writer lives.
        """

    async def fetch(self, id: str, after: int | None) -> Page:
        """Some of the frames after position `after`, at least one if there are any; `None`: none, only the state."""

    async def watch(self, id: str) -> Tail:
        """The tail of a stream, kept up to date while it is watched. Call its `release` once, when done."""


# ------------------------------------------------------------------------------------------------ refusals
#
# They stay inside this package: whoever uses a store gets a StreamError.


class Refused(Exception):
    """A store did not do what was asked."""


class Unavailable(Refused):
    """The store does not answer, or not now. It may have done what was asked."""


class Gone(Refused):
    """There is no such stream: it never was, has expired, or the store has lost it."""


class Sealed(Refused):
    """The log has ended, with `end`."""

    def __init__(self, end: End) -> None:
        super().__init__(end)
        self.end = end


class Fenced(Refused):
    """The log has another writer."""


class Conflict(Refused):
    """The log is at `position`."""

    def __init__(self, position: int) -> None:
        super().__init__(position)
        self.position = position


class Full(Refused):
    """The log has room for `room` bytes more."""

    def __init__(self, room: int) -> None:
        super().__init__(room)
        self.room = room


class Unread(Refused):
    """Nobody has read the stream for as long as `Keep.unread` says."""
