"""`objectstreaming cat` and `to-wav`: what a stream says and how it sounds, without its frames."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wav_streaming import TALAudio

from ..errors import ObjectStreamError
from .asking import SavedSound
from .errors import CommandError
from .previews import coder_of
from .streams import CODERS, Request, Watch, opened
from .terminal import harmless

__all__ = ["cat", "text_of", "to_wav"]


def cat(
    source: str,
    request: Request,
    *,
    exchange: int | None,
    coder: str | None,
    member: str,
    separator: str,
    play: bool,
    write: Callable[[str], object],
    note: Callable[[str], object],
) -> int:
    """Write the text of each message as it comes; with `play` its sound goes to the sound card. The exit status."""
    with opened(source, request, recorded=True, exchange=exchange) as stream, _speaker(play) as sound:
        watch = Watch(stream, coder)
        for header, payload in _messages(watch):
            text = text_of(header, payload, member)
            if text:
                write(harmless(text) + separator)
            if isinstance(header, TALAudio) and payload:
                sound(header, payload)
    if watch.status:
        note(harmless(watch.verdict))
    return watch.status


def to_wav(
    source: str,
    request: Request,
    out: Path,
    *,
    exchange: int | None,
    keep: bool,
    note: Callable[[str], object],
) -> int:
    """Save the sound of a stream as WAV; of one that is not whole only with `keep`. Returns the exit status."""
    with SavedSound(out) as saved, opened(source, request, recorded=True, exchange=exchange) as stream:
        watch = Watch(stream)
        for header, payload in _messages(watch):
            if isinstance(header, TALAudio):
                saved.add(header, payload)
        if watch.status and not keep:
            raise CommandError(f"{watch.verdict}; nothing is saved without --keep", status=watch.status)
    note(f"{out}: {saved.seconds:.1f} s of sound{f', {watch.verdict}' if watch.status else ''}")
    return watch.status


def text_of(header: Any, payload: Any, member: str = "") -> str:
    """The text of a message. `member` is a path such as `answer` or `choices.0.delta`, in the payload or the header.

    Without it: of speech what is said, of an object its member `answer` or `text`, of anything else its JSON.

    >>> text_of({}, {"answer": "Yes."}), text_of({}, "Yes."), text_of({}, [1, 2])
    ('Yes.', 'Yes.', '[1, 2]')
    >>> text_of({}, {"choices": [{"delta": "Y"}]}, "choices.0.delta"), text_of({"n": 1}, "Yes.", "n")
    ('Y', '1')
    """
    if member:
        found = _member(payload, member)
        return _spelled(_member(header, member) if found is None else found)
    if isinstance(header, TALAudio):
        return header.answer
    if isinstance(payload, dict):
        said = next((payload[name] for name in ("answer", "text") if isinstance(payload.get(name), str)), None)
        return said if said is not None else _spelled(payload)
    return _spelled(payload)


def _member(value: Any, path: str) -> Any:
    for name in path.split("."):
        if isinstance(value, list) and name.isdecimal() and len(name) < 10 and int(name) < len(value):
            value = value[int(name)]
        elif isinstance(value, dict):
            value = value.get(name)
        else:
            value = getattr(value, name, None) if isinstance(value, TALAudio) else None
    return value


def _spelled(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    try:
        return json.dumps(value, ensure_ascii=False)
    except TypeError:  # bytes and arrays are no text
        return ""


def _messages(watch: Watch) -> Iterator[tuple[Any, Any]]:
    """The messages that can be read. What is wrong with the others is in the verdict."""
    for seen in watch:
        if seen.kind != "data":
            continue
        coder = CODERS.get(watch.coder or coder_of(seen.frame), CODERS["raw"])
        try:
            yield coder.decode(seen.frame)
        except ObjectStreamError:
            continue


@contextmanager
def _speaker(play: bool) -> Iterator[Callable[[TALAudio, bytes], None]]:
    """What plays sound, and waits until it was heard. Raises `CommandError` where there is no sound card."""
    if not play:
        yield lambda kind, pcm: None
        return
    try:
        import sounddevice  # type: ignore[import-untyped]
    except OSError as error:  # PortAudio, a library of the system, is missing
        raise CommandError(f"sound cannot be played: {error}") from None
    device: Any = None
    played: tuple[int, int, str] | None = None

    def sound(kind: TALAudio, pcm: bytes) -> None:
        nonlocal device, played
        wanted = (kind.sampleRate, kind.channels, kind.audioType)
        try:
            if wanted != played:
                if device is not None:
                    device.stop()
                    device.close()
                device = sounddevice.RawOutputStream(*wanted[:1], channels=wanted[1], dtype=wanted[2])
                device.start()
                played = wanted
            device.write(pcm)
        except sounddevice.PortAudioError as error:
            raise CommandError(f"sound cannot be played: {error}") from None

    try:
        yield sound
    finally:
        if device is not None:
            device.stop()
            device.close()
