"""Streams that outlive a connection: stored while they are written, and read from any position, by anybody who may.

`MemoryStore` keeps them in one process, `FileStore` on one machine, `RedisStore` for several (the extra `redis`).
"""

from typing import TYPE_CHECKING, Any

from ..extras import extra

with extra("server"):
    from .end import End
    from .files import FileStore
    from .memory import MemoryStore
    from .reader import Reader
    from .recording import Recording
    from .serving import StoredResponse
    from .store import Store
    from .verbs import Keep, new_id

if TYPE_CHECKING:
    from .redis import RedisStore

__all__ = [
    "End",
    "FileStore",
    "Keep",
    "MemoryStore",
    "Reader",
    "Recording",
    "RedisStore",
    "Store",
    "StoredResponse",
    "new_id",
]


def __getattr__(name: str) -> Any:
    if name != "RedisStore":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with extra("redis"):
        from .redis import RedisStore
    return RedisStore
