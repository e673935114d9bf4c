"""Voices by name. Names of Kokoro's voices, such as `af_sarah`, are known to every engine here.

Kokoro names a voice by a letter for its language, one for its gender, and a name. Engines that do not have these voices
take their own that is closest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal, Protocol, TypeAlias, runtime_checkable

import msgspec

from .sound import Sound

__all__ = ["SPEEDS", "UnknownVoice", "Voice", "VoicedSynthesizer", "chosen_voice", "voice_of"]

SPEEDS: Final = (0.5, 2.0)
"""The slowest and the fastest speed of a voice; 1 is its own."""

_KOKORO: Final = re.compile(r"([a-z])([fm])_[a-z0-9]+")
_LANGUAGES: Final = {
    "a": "en-us",
    "b": "en-gb",
    "e": "es",
    "f": "fr",
    "h": "hi",
    "i": "it",
    "j": "ja",
    "p": "pt-br",
    "z": "cmn",
}


Gender: TypeAlias = Literal["female", "male", ""]


class Voice(msgspec.Struct, frozen=True):
    """A voice of an engine.

    Args:
        name: as the engine spells it.
        language: the engine's name for it, mostly as in BCP 47; "" if it is not known.
        gender: `"female"`, `"male"`, or "" if it is not known.
    """

    name: str
    language: str = ""
    gender: Gender = ""


class UnknownVoice(ValueError):
    """An engine does not have the voice, or cannot speak at that speed. The message names what it has."""


@runtime_checkable
class VoicedSynthesizer(Protocol):
    """A synthesizer with several voices."""

    async def synthesize(self, text: str) -> Sound:
        """As in `Synthesizer`."""

    def voices(self) -> Sequence[Voice]:
        """The voices that are known, the engine's own choice first; empty if the engine does not say."""

    def with_voice(self, name: str, speed: float = 1.0) -> VoicedSynthesizer:
        """The same engine with another voice. The engine itself does not change.

        Args:
            name: of one of `voices`, or of one of Kokoro's.
            speed: 0.5 to 2 times as fast as the voice's own.

        Raises:
            UnknownVoice: There is no such voice or speed.
        """


def own_first(own: str, voices: Sequence[Voice]) -> tuple[Voice, ...]:
    """The voices, the one named `own` first, also if it is not one of them.

    >>> [voice.name for voice in own_first("rms", FLITE_VOICES)][:2], own_first("cmu_us_clb", FLITE_VOICES)[0].name
    (['rms', 'slt'], 'cmu_us_clb')
    """
    first = next((voice for voice in voices if voice.name == own), Voice(own))
    return (first, *(voice for voice in voices if voice.name != own))


def voice_of(engine: object) -> str:
    """The name of the voice that an engine speaks with; "" if it has one voice, or does not say."""
    voices = engine.voices() if isinstance(engine, VoicedSynthesizer) else ()
    return voices[0].name if voices else ""


_VARIANTS: Final[tuple[tuple[str, Gender], ...]] = (("", ""), ("+f3", "female"), ("+m3", "male"))
ESPEAK_VOICES: Final = tuple(
    Voice(f"{language}{variant}", language, gender) for language in _LANGUAGES.values() for variant, gender in _VARIANTS
)
FLITE_VOICES: Final = (
    Voice("slt", "en-us", "female"),
    Voice("rms", "en-us", "male"),
    Voice("kal", "en-us", "male"),
    Voice("kal16", "en-us", "male"),
    Voice("awb", "en-gb-scotland", "male"),
)


def chosen_voice(name: str, voices: Sequence[Voice]) -> str:
    """`name` if it is one of `voices`; the voice of the language and gender that a Kokoro name begins with, or of the
    gender alone where there is no such language. Raises `UnknownVoice`.

    >>> [chosen_voice(name, ESPEAK_VOICES) for name in ("af_sarah", "bm_lewis", "es")]
    ['en-us+f3', 'en-gb+m3', 'es']
    """
    if any(name == voice.name for voice in voices):
        return name
    kokoro = _KOKORO.fullmatch(name)
    if kokoro is not None and kokoro[1] in _LANGUAGES:
        gender = "female" if kokoro[2] == "f" else "male"
        fitting = [voice for voice in voices if voice.gender == gender]
        same_language = [voice for voice in fitting if voice.language == _LANGUAGES[kokoro[1]]]
        # An English voice reads another language aloud wrongly, and a Kokoro voice for it is no reason to do that.
        if same_language or kokoro[1] in "ab":
            return (same_language or fitting)[0].name
    names = ", ".join(voice.name for voice in voices)
    raise UnknownVoice(f"there is no voice {name[:40]!r}; there are {names}, and names of Kokoro's such as af_sarah")


def checked_speed(speed: float) -> float:
    """`speed`, if it is one of `SPEEDS` or between them. Otherwise raises `UnknownVoice`."""
    slowest, fastest = SPEEDS
    if not slowest <= speed <= fastest:
        raise UnknownVoice(f"a speed is {slowest:g} to {fastest:g}, and 1 is the voice's own, not {speed!r}")
    return speed
