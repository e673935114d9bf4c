"""A payload in one short text: JSON and MessagePack as JSON, sound as its loudness, an array as its type and range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy

from wav_streaming import TALCoder

from ..coders import MsgpackCoder, NdarrayCoder
from ..errors import ObjectStreamError
from ..frames import Frame
from .terminal import printable

__all__ = ["coder_of", "loudness", "preview"]

_WIDTH: Final = 60
_BARS: Final = "·▁▂▃▄▅▆▇█"
_COLUMNS: Final = 20
_FLOOR_DB: Final = -60.0
"""What is quieter than this is shown as silence: 16-bit sound has 96 dB, a quiet recording's noise is at -60."""

_MAGIC: Final = {
    b"\x89PNG": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"%PDF": "application/pdf",
    b"OggS": "audio/ogg",
    b"fLaC": "audio/flac",
    b"ID3": "audio/mpeg",
    b"\x1aE\xdf\xa3": "video/webm",
    b"\x1f\x8b": "application/gzip",
    b"PK\x03\x04": "application/zip",
    b"RIFF": "RIFF (WAV?)",
}


def coder_of(frame: Frame) -> str:
    """The name of the coder that a data frame looks like, where nothing says it.

    >>> coder_of(Frame(b'{"dtype":"<f4","shape":[2]}', bytes(8))), coder_of(Frame(b"{}", b'{"a":1}'))
    ('ndarray', 'json')
    """
    try:
        header: Mapping[str, Any] = frame.header
    except ObjectStreamError:
        return "raw"
    if {"audioType", "sampleRate"} <= header.keys():
        return "tal"
    if {"dtype", "shape"} <= header.keys():
        return "ndarray"
    return "json" if frame.payload[:1] in (b"{", b"[", b'"') else "raw"


def preview(frame: Frame, coder: str | None, width: int = _WIDTH) -> str:
    """The payload of a data frame in at most about `width` characters, without anything that a terminal would obey.

    >>> preview(Frame(b"{}", b'{"answer":"Yes."}'), "json")
    '{"answer":"Yes."}'
    >>> preview(Frame(b'{"dtype":"<f4","shape":[2,2]}', numpy.array([0, 1, 2, 3], "<f4").tobytes()), "ndarray")
    'float32[2,2] 0 / 1.5 / 3'
    """
    if not frame.payload:
        return ""
    show = _SHOWN.get(coder or coder_of(frame), _raw)
    try:
        text = printable(show(frame, width))
    except ObjectStreamError as error:
        text = f"({error.code}) {frame.payload[:16].hex(' ')}"
    return text if len(text) <= width else text[: width - 3] + "..."


def loudness(samples: numpy.ndarray[Any, Any], columns: int = _COLUMNS) -> str:
    """Samples between -1 and 1 as a row of bars, one for the loudness (RMS in dB) of each part.

    >>> loudness(numpy.concatenate([numpy.zeros(100), numpy.ones(100)]), 4)
    '··██'
    """
    bars = ""
    for part in numpy.array_split(samples, min(columns, samples.size)):
        rms = float(numpy.sqrt(numpy.mean(part * part)))
        decibels = 20 * numpy.log10(rms) if rms > 0 else _FLOOR_DB
        height = (decibels - _FLOOR_DB) / -_FLOOR_DB * (len(_BARS) - 1)
        bars += _BARS[max(0, min(len(_BARS) - 1, round(height)))]
    return bars


def _json(frame: Frame, width: int) -> str:
    return frame.payload[: 4 * width].decode(errors="replace")


def _msgpack(frame: Frame, width: int) -> str:
    _, value = _MSGPACK.decode(frame)
    return _plain(value, width)


def _plain(value: Any, width: int) -> str:
    """A value as JSON with its bytes counted. Stops once the text is long enough."""
    match value:
        case bytes():
            return f"<{len(value)} B>"
        case dict():
            text = "{"
            for name, member in value.items():
                if len(text) > width:
                    break
                text += f"{', ' if len(text) > 1 else ''}{_plain(name, width)}: {_plain(member, width)}"
            return text + "}"
        case list() | tuple():
            text = "["
            for member in value:
                if len(text) > width:
                    break
                text += f"{', ' if len(text) > 1 else ''}{_plain(member, width)}"
            return text + "]"
        case str():
            return f'"{value[:width]}"'
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
    return f"{value!s:.{width}}"


def _ndarray(frame: Frame, width: int) -> str:
    _, array = _NDARRAY.decode(frame)
    name = f"{array.dtype.name}[{','.join(map(str, array.shape))}]"
    if array.dtype.kind not in "iuf" or not array.size:
        return name
    wide = array.astype("f8")
    with numpy.errstate(all="ignore"):
        low, mean, high = (float(number) for number in (wide.min(), wide.mean(), wide.max()))
    return f"{name} {low:.4g} / {mean:.4g} / {high:.4g}"


def _sound(frame: Frame, width: int) -> str:
    kind, pcm = _TAL.decode(frame)
    if not pcm:
        return ""
    samples = numpy.frombuffer(pcm, "<i2" if kind.bitDepth == 16 else "<i4") / 2.0 ** (kind.bitDepth - 1)
    peak = float(numpy.abs(samples).max())
    seconds = samples.size / kind.channels / kind.sampleRate
    highest = 1 - 2.0 ** (1 - kind.bitDepth)
    level = "silence" if peak == 0 else f"{20 * numpy.log10(peak):.1f} dBFS"
    clipped = int((numpy.abs(samples) >= highest).sum())
    return f"|{loudness(samples)}| {level}, {seconds:.2f} s" + (", clipping" if clipped > 1 else "")


def _raw(frame: Frame, width: int) -> str:
    payload = frame.payload
    kind = next((kind for magic, kind in _MAGIC.items() if payload.startswith(magic)), None)
    if kind is not None:
        return kind
    text = payload[:width].decode(errors="ignore")
    return text if len(text) >= min(len(payload), width) - 3 and text.isprintable() else payload[:16].hex(" ")


_MSGPACK: Final[MsgpackCoder[Any, Any]] = MsgpackCoder()
_NDARRAY: Final = NdarrayCoder()
_TAL: Final[TALCoder[Any]] = TALCoder()
_SHOWN: Final = {"json": _json, "msgpack": _msgpack, "ndarray": _ndarray, "tal": _sound}
