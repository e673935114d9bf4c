"""How a stream ended: stored once, and the same for every reader."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from .. import strict_json
from ..errors import HTTP_STATUS, EncodeError, StreamError
from ..frames import KiB

__all__ = ["CANCELED", "DEAD", "LARGEST", "LOST", "SHUTTING_DOWN", "UNREACHABLE", "End", "StoreClosed"]

logger: Final = logging.getLogger("objectstreaming.store")

LARGEST: Final = 48 * KiB
"""Bytes of what is said at a stream's creation or end: it fits the header that receivers accept by default."""


class End(msgspec.Struct, frozen=True):
    """The end of a stream: a success, with trailers, or an error.

    Args:
        code: of the error, one of the sixteen of `StreamError`; "" for a success.
        message: of the error.
        details: of the error, any JSON value.
        trailers: what the source had to say at its end.

    >>> End.failed(StreamError("not_found", "no such document"))
    End(code='not_found', message='no such document', details=None, trailers=None)
    >>> End.succeeded({"tokens": 7}).error is None
    True
    """

    code: str = ""
    message: str = ""
    details: Any = None
    trailers: dict[str, Any] | None = None

    @classmethod
    def succeeded(cls, trailers: Mapping[str, Any] | None = None) -> End:
        """A success.

        Args:
            trailers: a mapping, or `None`.

        Returns:
            The end.

        Raises:
            EncodeError: The trailers are not JSON, or too large.
        """
        end = cls(trailers=dict(trailers) if trailers else None)
        end._check()
        return end

    @classmethod
    def failed(cls, error: StreamError) -> End:
        """An error.

        Args:
            error: what readers are told. If its message or details cannot be told, its code is.

        Returns:
            The end.
        """
        end = cls(code=error.code, message=error.message, details=error.details)
        try:
            end._check()
        except EncodeError:
            logger.exception("an error cannot be told: its message or details are not JSON, or too large")
            return cls(code=error.code)
        return end

    @property
    def error(self) -> StreamError | None:
        """The error, a new one at each call; `None` for a success."""
        return self.failure() if self.code else None

    def failure(self) -> StreamError:
        """The error that it is known to be."""
        return StreamError(self.code if self.code in HTTP_STATUS else "unknown", self.message, self.details)

    def members(self) -> dict[str, Any]:
        """The members of an `end` frame (SPEC section 3.4), all but `frames`."""
        members: dict[str, Any] = {}
        if self.trailers is not None:
            members["trailers"] = self.trailers
        if self.code:
            members["error"] = {"code": self.code, "message": self.message}
            if self.details is not None:
                members["error"]["details"] = self.details
        return members

    @classmethod
    def from_members(cls, members: Mapping[str, Any]) -> End:
        """The inverse of `members`.

        Args:
            members: of an `end` frame. What else is in there is passed over.

        Returns:
            The end.

        >>> end = End.failed(StreamError("aborted", "why", [1]))
        >>> End.from_members({"frames": 3, **end.members()}) == end
        True
        """
        error = members.get("error", {})
        return cls(error.get("code", ""), error.get("message", ""), error.get("details"), members.get("trailers"))

    def to_json(self) -> bytes:
        """`members` as JSON."""
        return strict_json.dumps(self.members())

    @classmethod
    def from_json(cls, data: bytes) -> End:
        """The inverse of `to_json`.

        Args:
            data: what `to_json` has given.

        Returns:
            The end.
        """
        return cls.from_members(strict_json.loads_object(data))

    def _check(self) -> None:
        size = len(self.to_json())
        if size > LARGEST:
            raise EncodeError(f"an end of {size} bytes: trailers and details may have {LARGEST} bytes")


class StoreClosed(StreamError):
    """This process has closed its store. The stream may go on elsewhere."""

    def __init__(self) -> None:
        super().__init__("unavailable", "the server is shutting down")

    def __reduce__(self) -> Any:
        return StoreClosed, ()


DEAD: Final = End("unavailable", "the process that wrote the stream has died")
CANCELED: Final = End("canceled", "the stream was stopped")
UNREACHABLE: Final = End("unavailable", "the store does not answer")
LOST: Final = End("data_loss", "the store has lost a part of the stream")
SHUTTING_DOWN: Final = End("unavailable", "the server is shutting down")
"""Of what this process writes, and for those who read in it what another writes."""
