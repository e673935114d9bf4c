"""How the reference app runs."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, Literal, get_type_hints

import msgspec
from msgspec import Meta

from ..store import Store
from .limits import AppLimits

__all__ = ["Settings"]

_ORIGIN: Final = re.compile(r"\*|null|[A-Za-z][A-Za-z0-9+.-]*://[^/?#\s]+")
_HOST: Final = re.compile(r"[^/:\s*]+|\[[0-9A-Fa-f:.]+\]")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How the reference app runs. Raises `ValueError` where it cannot run so.

    >>> Settings(sample_rate=5)
    Traceback (most recent call last):
        ...
    ValueError: the setting sample_rate cannot be 5: Expected `int` >= 1000
    """

    documents: Sequence[str | Path] = ()
    """Folders and files to answer from; none: this project's own. Used only if no answerer is given."""
    limits: AppLimits = AppLimits()
    heartbeat: Annotated[float, Meta(gt=0)] = 15
    """Seconds of silence after which a ping is sent."""
    origins: Sequence[str] = ()
    """Origins whose pages may use the server (CORS), such as `https://example.org`; "*": any. By default none."""
    hosts: Sequence[str] = ()
    """Host names that the server accepts, without a port; none: any. A server on loopback should name its own."""
    proxies: Sequence[str] = ()
    """Addresses and networks of proxies whose `X-Forwarded-For` says who the client is; "*": any address. By default it
    is not believed. A server that believes it by itself (uvicorn does, of 127.0.0.1) must be told not to."""
    voice: str = ""
    """The voice to speak with, if the synthesizer has several: one of its own, or one of Kokoro's names."""
    sample_rate: Annotated[int, Meta(ge=1_000, le=384_000)] | None = None
    """The sample rate of the chat's sound; by default the voice's own."""
    sounds: Annotated[int, Meta(ge=0)] = 64 * 1024 * 1024
    """How many bytes of sound are kept for sentences that are spoken again; 0: none."""
    engines: bool = True
    """Whether to look for engines on this machine where none is given."""
    store: Store | Literal["memory"] | None = "memory"
    """Where the answers of `/objects`, `/wav` and `/api/chat/stream` are kept, so that their readers can resume them,
    at `/streams`: in this process, or in a store of your own. With `None` an answer ends with its connection."""
    page: bool = True
    """Whether `GET /` serves the page."""
    faults: bool = False
    """Whether `/demo/killed` and `/demo/ended` give answers that are broken on purpose, for the page of the demo."""

    def __post_init__(self) -> None:
        paths = self.documents
        if isinstance(paths, str) or not all(isinstance(path, str | Path) for path in paths):
            raise ValueError(f"the setting documents is a sequence of paths, not {paths!r}")
        if self.store not in ("memory", None) and not hasattr(self.store, "router"):
            raise ValueError(f'the setting store is a store, "memory" or None, not {self.store!r}')
        if not isinstance(self.limits, AppLimits):
            raise ValueError(f"the setting limits is an AppLimits, not {self.limits!r}")
        for name, kind in get_type_hints(Settings, include_extras=True).items():
            if name not in ("documents", "limits", "store"):
                value = getattr(self, name)
                try:
                    msgspec.convert(value, kind)
                except msgspec.ValidationError as error:
                    raise ValueError(f"the setting {name} cannot be {value!r}: {error}") from None
        if not math.isfinite(self.heartbeat):
            raise ValueError(f"the setting heartbeat is a number of seconds, not {self.heartbeat}")
        for origin in self.origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"an origin is like https://example.org, without a path, not {origin!r}")
        for host in self.hosts:
            if not _HOST.fullmatch(host):
                raise ValueError(f"a host name is like example.org or [::1], without a port, not {host!r}")
