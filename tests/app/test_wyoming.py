"""The reference app as a voice service of Home Assistant, with the `wyoming` package's own client."""

from __future__ import annotations

import asyncio
import socket
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from deadlines import DEADLINE
from reference_app import Breaking, Ear, Fox, Tone, sound

from objectstreaming.app.limits import AppLimits
from objectstreaming.app.wyoming import WyomingServer
from wav_streaming import Sound, UnknownVoice, Voice

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it imports audioop, where Python still has that
    from wyoming.audio import AudioChunk, AudioStart, AudioStop

from wyoming.asr import Transcribe, Transcript
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.handle import Handled
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop, SynthesizeStopped

SPOKEN = "One fox.Two foxes."
"""What the voice is asked for, in two sentences."""


class Voices(Tone):
    """Two voices, one of which speaks at another rate."""

    def __init__(self, rate: int = 8_000) -> None:
        super().__init__(unspeakable="broken")
        self.rate = rate

    async def synthesize(self, text: str) -> Sound:
        return Sound((await super().synthesize(text)).pcm, self.rate)

    def voices(self) -> list[Voice]:
        return [Voice("low", "en-us"), Voice("high", "de")]

    def with_voice(self, name: str, speed: float = 1.0) -> Voices:
        if name not in ("low", "high"):
            raise UnknownVoice(f"there is no voice {name}")
        return Voices(8_000 if name == "low" else 16_000)


@asynccontextmanager
async def serving(
    *, answerer: Any = None, voice: Any = None, ear: Any = None, **limits: Any
) -> AsyncIterator[tuple[str, int]]:
    server = WyomingServer(answerer or Fox(), voice or Voices(), ear or Ear(), AppLimits(**limits))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with server.serving(listener):
            yield listener.getsockname()[:2]


async def ask(address: tuple[str, int], *events: Event, until: str) -> list[Event]:
    """What is answered, to the event of the type `until`, or to the end of the connection."""
    answered: list[Event] = []
    async with asyncio.timeout(DEADLINE), AsyncTcpClient(*address) as client:
        for event in events:
            await client.write_event(event)
        while (event := await client.read_event()) is not None:
            answered.append(event)
            if event.type == until:
                break
    return answered


def pcm_of(events: list[Event]) -> bytes:
    return b"".join(AudioChunk.from_event(event).audio for event in events if AudioChunk.is_type(event.type))


async def test_it_says_what_it_can_do() -> None:
    async with serving() as address:
        [event] = await ask(address, Describe().event(), until="info")
    info = Info.from_event(event)
    assert [voice.name for voice in info.tts[0].voices] == ["low", "high"]
    assert info.tts[0].voices[1].languages == ["de"]
    assert info.tts[0].supports_synthesize_streaming
    assert info.asr[0].installed
    assert info.asr[0].models[0].languages == ["en"]
    assert info.handle[0].models[0].name == "default"


async def test_what_is_not_there_is_not_offered() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with WyomingServer(Fox(), None, None).serving(listener):
            address = listener.getsockname()[:2]
            [event] = await ask(address, Describe().event(), until="info")
            refused = await ask(address, Synthesize("hello").event(), until="")
    info = Info.from_event(event)
    assert (info.asr, info.tts) == ([], [])
    assert Error.from_event(refused[0]).code == "unimplemented"


async def test_a_text_is_spoken() -> None:
    async with serving() as address:
        events = await ask(address, Synthesize("One fox. Two foxes.").event(), until="audio-stop")
    start = AudioStart.from_event(events[0])
    assert (start.rate, start.width, start.channels) == (8_000, 2, 1)
    assert len(pcm_of(events)) == 2 * 80 * len(SPOKEN)
    times = [event.data["timestamp"] for event in events]
    assert times == sorted(times)
    assert times[-1] == 10 * len(SPOKEN)


@pytest.mark.parametrize("voice", [{"name": "high"}, {"language": "de"}])
async def test_a_voice_is_chosen_by_its_name_or_its_language(voice: dict[str, str]) -> None:
    request = Event("synthesize", {"text": "hello", "voice": voice})
    async with serving() as address:
        assert AudioStart.from_event((await ask(address, request, until="audio-stop"))[0]).rate == 16_000


async def test_a_text_is_spoken_while_it_is_made() -> None:
    """As Home Assistant does it: it also sends the whole text, for services that cannot take pieces."""
    async with asyncio.timeout(DEADLINE), serving() as address, AsyncTcpClient(*address) as client:
        await client.write_event(SynthesizeStart().event())
        await client.write_event(SynthesizeChunk("One fox. Two").event())
        first = await client.read_event()
        assert first is not None
        assert AudioStart.is_type(first.type)  # the rest of the text was not sent yet
        await client.write_event(SynthesizeChunk(" foxes.").event())
        await client.write_event(Synthesize("One fox. Two foxes.").event())
        await client.write_event(SynthesizeStop().event())
        events = []
        while not events or not SynthesizeStopped.is_type(events[-1].type):
            event = await client.read_event()
            assert event is not None
            events.append(event)
    assert AudioStop.is_type(events[-2].type)
    assert len(pcm_of(events)) == 2 * 80 * len(SPOKEN)


async def test_a_sound_that_is_not_whole_has_no_end() -> None:
    async with serving() as address:
        events = await ask(address, Synthesize("One fox. A broken one.").event(), until="audio-stop")
    assert AudioStart.is_type(events[0].type)
    assert Error.from_event(events[-1]).code == "unavailable"
    assert "secret" not in events[-1].data["text"]


def heard(pcm: bytes, rate: int = 16_000, width: int = 2) -> list[Event]:
    pieces = [pcm[start : start + 2_048] for start in range(0, len(pcm), 2_048)]
    chunks = [AudioChunk(rate=rate, width=width, channels=1, audio=piece).event() for piece in pieces]
    return [Transcribe(language="en").event(), AudioStart(rate, width, 1).event(), *chunks, AudioStop().event()]


async def test_speech_is_recognized() -> None:
    ear = Ear()
    async with serving(ear=ear) as address:
        [event] = await ask(address, *heard(sound()), until="transcript")
    assert Transcript.from_event(event).text == "what is a fox"
    assert ear.heard == [Sound(sound(), 16_000)]


async def test_a_connection_may_have_several_requests() -> None:
    async with serving() as address:
        events = await ask(address, *heard(sound()), *heard(sound()), Ping("a").event(), until="pong")
    assert [event.type for event in events] == ["transcript", "transcript", "pong"]
    assert Pong.from_event(events[-1]).text == "a"


async def test_a_question_is_answered() -> None:
    question = Transcript("why?", context={"conversation_id": "7"}, language="en").event()
    async with serving() as address:
        [event] = await ask(address, question, until="handled")
    handled = Handled.from_event(event)
    assert (handled.text, handled.context) == ("You asked: why? The fox is red.", {"conversation_id": "7"})


@pytest.mark.parametrize("failure", [OSError("/etc/secret"), SystemExit("secret")], ids=repr)
async def test_a_failure_does_not_tell_its_cause(failure: BaseException) -> None:
    async with serving(answerer=Breaking(failure)) as address:
        [event] = await ask(address, Transcript("why?").event(), until="handled")
    error = Error.from_event(event)
    assert error.code == "internal"
    assert "secret" not in error.text


@pytest.mark.parametrize(
    ("events", "code"),
    [
        ([Event("synthesize", {"text": 5})], "invalid_argument"),
        ([Synthesize("").event()], "invalid_argument"),
        ([Event("synthesize", {"text": "a", "voice": {"name": "none"}})], "invalid_argument"),
        ([AudioStop().event()], "invalid_argument"),
        ([AudioChunk(rate=8000, width=2, channels=1, audio=b"ab").event()], "invalid_argument"),
        (heard(b"abc", width=3), "invalid_argument"),
        (heard(b"abc"), "invalid_argument"),
        (heard(sound(2)), "resource_exhausted"),
        ([Event("audio-chunk", {"text": "a" * 70_000})], "resource_exhausted"),
    ],
)
async def test_wrong_requests_get_an_error_and_the_end(events: list[Event], code: str) -> None:
    async with serving(speech_seconds=1) as address:
        answered = await ask(address, *events, until="")
    assert Error.from_event(answered[-1]).code == code


@pytest.mark.parametrize(
    "wire",
    [
        b"not JSON\n",
        b"[]\n",
        b'{"type":5}\n',
        b'{"type":"ping","data":[5]}\n',
        b'{"type":"ping","data_length":-1}\n',
        b'{"type":"audio-chunk","payload_length":2000000000}\n',
        b'{"type":"' + b"a" * 100_000 + b'"}\n',
    ],
)
async def test_what_is_no_event_gets_an_error_and_the_end(wire: bytes) -> None:
    async with asyncio.timeout(DEADLINE), serving() as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(wire)
        answered = await reader.read()
        writer.close()
    assert b'"type":"error"' in answered


async def test_a_client_has_so_many_connections_and_requests() -> None:
    async with serving(streams_per_client=1, burst=1, requests_a_minute=1) as address:
        async with AsyncTcpClient(*address) as first:
            await first.write_event(Ping().event())
            await first.read_event()
            [event] = await ask(address, until="")
            assert Error.from_event(event).code == "resource_exhausted"
        async with asyncio.timeout(DEADLINE):
            while (await ask(address, Ping().event(), until="pong"))[0].type != "pong":  # noqa: ASYNC110  none announces it
                await asyncio.sleep(0.01)
        assert (await ask(address, Synthesize("a fox").event(), until="audio-stop"))[-1].type == "audio-stop"
        refused = await ask(address, Synthesize("a fox").event(), until="audio-stop")
        assert Error.from_event(refused[0]).code == "resource_exhausted"


async def test_the_end_of_the_server_closes_its_connections() -> None:
    async with asyncio.timeout(DEADLINE):
        async with serving() as address:
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b'{"type":"ping"}\n')
            await reader.readline()
        await reader.read()
        writer.close()
