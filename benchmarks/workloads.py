"""The messages, the same for every contender, and how their bytes are cut into chunks.

T: `{"status", "reason"}` + `{"answer", "source"}`, small objects. A: 20 ms of 24 kHz speech, 960 bytes of PCM with a
TAL header. B: 1 MiB of PCM. mix: what a voice assistant sends, which is objects, text in several scripts, and PCM.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

KiB = 1024
MiB = 1024 * KiB

Message = tuple[dict[str, Any], Any]


class Status(msgspec.Struct):
    status: str
    reason: str


class Answer(msgspec.Struct):
    answer: str
    source: str


class Tal(msgspec.Struct):
    """The ten members, for contenders that have no `TALAudio`. Nothing is checked: a little faster than ours."""

    audioType: str  # noqa: N815
    bitDepth: int  # noqa: N815
    sampleRate: int  # noqa: N815
    channels: int
    audioFormat: str  # noqa: N815
    question: str
    answer: str
    url: str
    sign: int
    order: int


def _tal(order: int, answer: str = "") -> dict[str, Any]:
    return {
        "audioType": "int16",
        "bitDepth": 16,
        "sampleRate": 24000,
        "channels": 1,
        "audioFormat": "wav",
        "question": "",
        "answer": answer,
        "url": "",
        "sign": 1 if order == 1 else 2,
        "order": order,
    }


def objects(count: int) -> list[Message]:
    return [
        (
            {"status": "success", "reason": ""},
            {"answer": f"Answer {n}: the train leaves at ten past nine.", "source": f"timetable.md#{n % 97}"},
        )
        for n in range(count)
    ]


def audio(count: int, size: int = 960) -> list[Message]:
    noise = random.Random(1).randbytes(size + 2 * 64)
    # The text comes with the first frame of a sentence, as speech engines send it.
    return [
        (_tal(n + 1, "Good morning, the train leaves soon." if n % 50 == 0 else ""), noise[2 * (n % 64) :][:size])
        for n in range(count)
    ]


def mixed(count: int) -> list[Message]:
    choose = random.Random(2)
    noise = choose.randbytes(8192)
    texts = (
        "Der nächste Zug fährt um 9:10 Uhr. ",
        "下一班火车九点十分开。",
        "The next train leaves at ten past nine. ",
    )
    messages: list[Message] = []
    for n in range(count):
        kind = choose.choices(("object", "text", "audio"), (3, 3, 4))[0]
        if kind == "object":
            places = [
                {"name": f"stop {k}", "at": [52.5 + k, 13.25], "minutes": 9 * k} for k in range(choose.randrange(6))
            ]
            payload: Any = {"id": n, "places": places, "score": n / 7, "final": n % 5 == 0, "next": None}
        elif kind == "text":
            payload = choose.choice(texts) * choose.randrange(1, 4)
        else:
            payload = noise[: 2 * choose.randrange(160, 2048)]
        messages.append(({"kind": kind, "order": n}, payload))
    return messages


MAKERS: dict[str, Callable[[int], list[Message]]] = {
    "T": objects,
    "A": audio,
    "B": lambda count: audio(count, MiB),
    "mix": mixed,
}

TITLES = {
    "T": "T, small objects",
    "A": "A, 960 bytes of PCM",
    "B": "B, 1 MiB of PCM",
    "mix": "objects, text and PCM mixed",
}


def digest(messages: Iterable[Message]) -> str:
    """Of the content alone: the same for every contender."""
    total = hashlib.sha256()
    for header, payload in messages:
        data = (
            bytes(payload)
            if isinstance(payload, bytes | bytearray | memoryview)
            else json.dumps(payload, sort_keys=True)
        )
        total.update(json.dumps(header, sort_keys=True).encode())
        total.update(data if isinstance(data, bytes) else data.encode())
        total.update(b"\0")
    return total.hexdigest()


CHUNKINGS = ("1", "1460", "16384", "65536", "random", "frame")
"""Bytes a chunk: one; an Ethernet segment; a TLS record; what httpx and asyncio read at once; a random size,
log-uniform from 1 byte to 64 KiB; and one message a chunk, which is how a message that was sent alone arrives."""


Sizes = dict[str, dict[str, int]]
"""How many messages a case has: chunking -> workload -> count. In 1-byte chunks a few are many, and B is large."""

FULL: Sizes = {
    "1": {"T": 250, "A": 30},
    "1460": {"T": 2_000, "A": 1_000, "B": 3},
    "16384": {"T": 2_000, "A": 1_000, "B": 3},
    "65536": {"T": 10_000, "A": 2_000, "B": 3, "mix": 1_000},
    "random": {"T": 2_000, "A": 1_000, "B": 3, "mix": 1_000},
    "frame": {"T": 10_000, "A": 2_000},
}
QUICK: Sizes = {
    "1": {"T": 100, "A": 12},
    "1460": {"A": 300, "B": 2},
    "65536": {"T": 2_000, "A": 600, "B": 2, "mix": 300},
    "frame": {"T": 2_000, "A": 600},
}
COUNTED: Sizes = {
    "1": {"T": 50, "A": 8},
    "65536": {"T": 1_500, "A": 500, "mix": 300},
    "frame": {"T": 1_000, "A": 500},
}


def cut(pieces: list[bytes], chunking: str) -> list[bytes]:
    """The wire as chunks; `pieces` are its messages."""
    if chunking == "frame":
        return pieces
    wire = b"".join(pieces)
    if chunking == "random":
        choose = random.Random(3)
        chunks, at = [], 0
        while at < len(wire):
            size = int(2 ** choose.uniform(0, 16))
            chunks.append(wire[at : at + size])
            at += size
        return chunks
    size = int(chunking)
    return [wire[at : at + size] for at in range(0, len(wire), size)]
