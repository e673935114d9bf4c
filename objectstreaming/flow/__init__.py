"""Dataflow over async iterators: functions ("verbs") that take streams and return streams.

    stream = read_lines("talk.txt")
    stream = map(stream, str.lower)
    await write_lines(stream, "copy.txt")

A stream is any async iterable. Every verb keeps these promises:

* lazy: nothing runs before the first item is asked for; a sink asks, and the verbs ask their sources;
* bounded: the number of items read ahead is bounded, unless you choose otherwise;
* closed: a verb closes what it iterates, at its end, on an early exit and on a cancel, and leaves no task running
  (leave a loop early inside `contextlib.aclosing`, as with any async generator);
* honest: an error reaches every reader as it was raised, after the items before it; cancellation is never swallowed;
  None, exceptions and arrays are items like any other.

The modules: `ends` (in memory), `files`, `queues`, `websocket`; `steps` (item by item), `buffering`, `control`;
`fan_out`, `fan_in`, `switching`. Below them are the engines: `pump` (one source, several readers), `junction` (several
sources, one reader) and `websocket_reader`. For asyncio. Imports nothing else of this package.
"""

from __future__ import annotations

from .buffering import buffer, rechunk
from .control import on_silence, rate_limit, recover, timeout, until
from .ends import collect, drain, endless, from_iterable
from .fan_in import concat, merge, merge_latest
from .fan_out import partition, split
from .files import read_chunks, read_lines, write_chunks, write_lines
from .queues import dequeue, enqueue
from .steps import enumerate, filter, flatten, map, map_concurrent, tap  # noqa: A004  in a namespace of their own
from .switching import switch
from .websocket import from_websocket, to_websocket

__all__ = [
    "buffer",
    "collect",
    "concat",
    "dequeue",
    "drain",
    "endless",
    "enqueue",
    "enumerate",
    "filter",
    "flatten",
    "from_iterable",
    "from_websocket",
    "map",
    "map_concurrent",
    "merge",
    "merge_latest",
    "on_silence",
    "partition",
    "rate_limit",
    "read_chunks",
    "read_lines",
    "rechunk",
    "recover",
    "split",
    "switch",
    "tap",
    "timeout",
    "to_websocket",
    "until",
    "write_chunks",
    "write_lines",
]
