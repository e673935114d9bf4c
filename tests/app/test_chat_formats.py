"""Compressed sound of `/api/chat/stream`: who gets which format, and what a listener behind a slow link gains by it."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import statistics
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from fractions import Fraction
from typing import Any

import pytest
import soundfile
from chat_client import ChatClient
from fake_clock import FakeClock
from listening import Listener, TimedVoice, answers, model
from reference_app import TEXT, Choir, Model, make_app
from starlette.testclient import TestClient

from objectstreaming import RawCoder, StreamDecoder, encode_frame
from objectstreaming.app import chat_formats
from objectstreaming.app.chat_formats import Link, Links, SoundFormats, accepted_formats
from objectstreaming.app.chat_messages import Summary, chat_messages
from objectstreaming.errors import StreamError
from objectstreaming.observe import Watch
from wav_streaming import Pacing, Sound, Speaker, speak_along

V1 = "application/vnd.objectstreaming;v=1"
Message = tuple[Any, bytes]


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(make_app(answerer=Model(), voice=Choir())) as client:
        yield client


def messages(client: TestClient, audio: Any, accept: str = V1) -> list[Message]:
    response = client.post("/api/chat/stream", json={"message": "Why?", "audio": audio}, headers={"Accept": accept})
    assert response.status_code == 200, response.text
    return list(StreamDecoder(RawCoder()).feed(response.content))


def lengths(found: list[Message]) -> dict[int, Fraction]:
    """Seconds of sound by sentence, as the headers say."""
    return {
        header["sentence"]: Fraction(header["samples"], header["rate"]) for header, _ in found if header.get("samples")
    }


@pytest.mark.parametrize(("name", "form", "exactly"), [("flac", "flac", True), ("opus", "ogg-opus", False)])
def test_a_sentence_is_a_whole_file_with_as_many_samples_as_pcm(
    client: TestClient, name: str, form: str, exactly: bool
) -> None:
    plain, found = messages(client, ["pcm"]), messages(client, [name, "mp3"])
    assert b"".join(payload for header, payload in found if header["kind"] == "text").decode() == TEXT
    assert "".join(header.get("text", "") for header, _ in found if header["kind"] == "audio") == TEXT
    assert sum(lengths(found).values()) == sum(lengths(plain).values())
    at = Fraction(0)
    for header, payload in found:
        if header.get("format") is None:
            continue
        assert (header["format"], header["rate"], header["channels"]) == (form, 8_000, 1)
        assert header["at"] == round(1_000_000 * at)
        at += Fraction(header["samples"], 8_000)
        decoded, rate = soundfile.read(io.BytesIO(payload), dtype="int16")
        assert len(decoded) == -(-header["samples"] * rate // 8_000)
        if exactly and not header["sentence"] > 1:
            pcm = b"".join(payload for header, payload in plain if header.get("sentence") == 1)
            assert decoded.astype("<i2").tobytes() == pcm


def test_who_reads_pcm_gets_it_until_the_link_is_known_to_be_slow(client: TestClient) -> None:
    assert {header.get("format") for header, _ in messages(client, ["opus", "flac", "pcm"])} == {None, "s16le"}


async def formats_of_an_answer(app: Any, *, delay: float) -> set[str]:
    """Those of an answer of 7 KB whose reader takes each piece after so many seconds."""
    body = json.dumps({"message": "Why?", "audio": ["opus", "pcm"]}).encode()
    asked: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    asked.put_nowait({"type": "http.request", "body": body})
    decoder, found = StreamDecoder(RawCoder()), list[Message]()

    async def send(message: dict[str, Any]) -> None:
        await asyncio.sleep(delay)
        found.extend(decoder.feed(message.get("body", b"")))

    headers = [(b"accept", V1.encode()), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/api/chat/stream", "query_string": b"", "headers": headers}
    await app({**scope, "http_version": "1.1", "client": ("192.0.2.7", 1)}, asked.get, send)
    return {header["format"] for header, _ in found if "format" in header}


def test_a_stored_answer_is_made_before_its_link_is_known_and_the_next_one_has_the_format_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Watch, "clock", lambda _: asyncio.get_running_loop().time())
    app = make_app(answerer=Model(), voice=Choir())

    async def formats(delay: float) -> set[str]:
        async with app.router.lifespan_context(app):
            return await formats_of_an_answer(app, delay=delay)

    with asyncio.Runner(loop_factory=FakeClock) as runner:
        assert runner.run(formats(0.5)) == {"s16le"}
    assert asyncio.run(formats(0)) == {"ogg-opus"}


def test_lines_have_it_too_and_events_have_wav(client: TestClient) -> None:
    question = {"message": "Why?", "audio": ["opus"]}
    lines = client.post("/api/chat/stream", json=question, headers={"Accept": "application/x-ndjson"})
    assert '"format":"ogg-opus"' in lines.text
    assert base64.b64encode(b"OggS").decode()[:4] in lines.text
    assert "data: UklGR" in client.post("/api/chat/stream", json=question).text


async def test_over_a_websocket() -> None:
    async with ChatClient(make_app(answerer=Model(), voice=Choir())) as chat:
        chat.send({"message": "Why?", "audio": ["flac"]})
        [*found, (end, _)] = await chat.answer()
    assert end["kind"] == "end"
    assert {header["format"] for header, _ in found if "format" in header} == {"flac"}


class TestAccepted:
    def test_names_that_are_not_known_are_passed_over(self) -> None:
        assert accepted_formats(["mp3", "opus", "pcm"]) == ("pcm", "opus")

    def test_without_any_that_is_known_the_reason_names_those_that_are(self) -> None:
        with pytest.raises(StreamError, match="pcm, flac, opus") as caught:
            accepted_formats(["mp3"])
        assert caught.value.code == "invalid_argument"

    def test_without_the_codecs_there_is_pcm(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def missing() -> None:
            raise ModuleNotFoundError("av is not installed: pip install 'objectstreaming[codecs]'")

        monkeypatch.setattr(chat_formats, "check_installed", missing)
        assert accepted_formats(["opus", "pcm"]) == ("pcm",)
        with pytest.raises(StreamError, match=r"objectstreaming\[codecs\]") as caught:
            accepted_formats(["opus"])
        assert caught.value.code == "unimplemented"


SPEECH = Sound(bytes(2 * 22_050), 22_050)


class TestChoice:
    @pytest.mark.parametrize(
        ("bits", "name"),
        [(None, "pcm"), (450_000, "pcm"), (430_000, "flac"), (270_000, "flac"), (250_000, "opus"), (9, "opus")],
    )
    def test_is_the_first_that_the_link_carries(self, bits: int | None, name: str) -> None:
        formats = SoundFormats(["opus", "flac", "pcm"])
        if bits is not None:
            formats.link.sent(bits // 8, 1.0)
        assert formats.choose(SPEECH) == name

    def test_is_among_those_that_the_client_reads(self) -> None:
        link = Link()
        link.sent(1_000, 1.0)
        assert SoundFormats(["flac", "pcm"], link).choose(SPEECH) == "flac"
        assert SoundFormats(["pcm"], link).choose(SPEECH) == "pcm"

    def test_what_only_fills_the_buffer_of_the_server_is_not_a_fast_link(self) -> None:
        link = Link()
        link.sent(1_000_000, 0.0)
        link.sent(8_000, 2.0)
        assert link.bits == 8 * 64 * 1024 / 2

    def test_a_link_is_known_in_the_clients_next_answer_for_five_minutes(self) -> None:
        now = 0.0
        waits: chat_formats.Waits = deque()
        Link(waits, clock=lambda: now).sent(32_000, 1.0)
        link = Link(waits, clock=lambda: now)
        now = 299.0
        assert link.bits == 256_000
        now = 300.0
        assert link.bits is None

    def test_so_many_clients_are_remembered_those_that_asked_last(self) -> None:
        links = Links(2)
        for client in ("ann", "bob", "ann", "eve"):
            links.of(client).sent(32_000, 1.0)
        assert [links.of(client).bits for client in ("ann", "bob")] == [256_000, None]

    @pytest.mark.parametrize("failure", [RuntimeError("no encoder"), b"x" * (1024 * 1024 + 1)])
    @pytest.mark.parametrize("accepted", [["opus"], ["opus", "pcm"]])
    async def test_a_sound_that_cannot_be_compressed_is_sent_as_pcm_if_it_may_be(
        self, failure: Exception | bytes, accepted: list[str]
    ) -> None:
        async def compress(sound: Sound, form: str) -> bytes:
            if isinstance(failure, Exception):
                raise failure
            return failure

        link = Link()
        link.sent(1_000, 1.0)
        formats = SoundFormats(accepted, link, compress)

        async def tokens() -> AsyncGenerator[str]:
            yield "One."

        summary = Summary()
        [_, (header, payload)] = [m async for m in chat_messages(tokens(), Choir(), summary, formats=formats)][:2]
        if "pcm" in accepted:
            assert (header["format"], bool(payload), summary.failed) == ("s16le", True, 0)
        else:
            code = "unavailable" if isinstance(failure, Exception) else "resource_exhausted"
            assert (header["error"], payload, summary.failed, summary.audio) == (code, b"", 1, 0)


async def test_text_does_not_wait_for_the_codec() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def compress(sound: Sound, form: str) -> bytes:
        begun.set()
        await go_on.wait()
        return b"fLaC"

    async def tokens() -> AsyncGenerator[str]:
        yield "One. "
        yield "Two. "
        await begun.wait()
        yield "Three."

    texts = []
    formats = SoundFormats(["flac"], compress=compress)
    async with aclosing(chat_messages(tokens(), Choir(), Summary(), formats=formats)) as found:
        async for header, payload in found:
            if header["kind"] == "text":
                texts.append(payload)
            if len(texts) == 3:
                break
        go_on.set()
        assert [payload async for header, payload in found if "format" in header] == [b"fLaC"] * 3


# ----------------------------------------------------------------------- what is gained by it over a link of 256 kbit/s

BITS = 256_000
RATE = 22_050


async def by_the_document(text: str, listener: Listener) -> None:
    """A sound for each sentence, as a WAV file in base64."""
    async for item in speak_along(model(text), TimedVoice(0.3, 0.1, RATE)):
        size = len(item) if isinstance(item, str) else 4 * (44 + len(item.sound.pcm if item.sound else b"")) // 3
        await asyncio.sleep(8 * size / BITS)
        if not isinstance(item, str) and item.sound:
            listener.get(item.sound.seconds)


async def by_us(text: str, listener: Listener) -> None:
    async def compress(sound: Sound, form: str) -> bytes:
        return bytes(int({"flac": 0.55, "ogg-opus": 0.07}[form] * len(sound.pcm)))

    formats = SoundFormats(["opus", "flac", "pcm"], compress=compress)
    speaker = Speaker(TimedVoice(0.3, 0.1, RATE), pacing=Pacing(asyncio.get_running_loop().time))
    async for header, payload in chat_messages(model(text), speaker, Summary(), formats=formats):  # type: ignore[arg-type]
        size = len(encode_frame(header, payload))
        await asyncio.sleep(8 * size / BITS)
        formats.link.sent(size, 8 * size / BITS)
        if header.get("format") == "s16le":
            listener.get(len(payload) / 2 / RATE)
        elif "samples" in header:
            listener.get(header["samples"] / RATE)


def test_over_a_slow_link_sound_comes_sooner_and_with_less_silence() -> None:
    async def listen(way: Any, text: str) -> tuple[float, float]:
        listener = Listener()
        await way(text, listener)
        return listener.first or 0.0, listener.silence

    with asyncio.Runner(loop_factory=FakeClock) as runner:
        found = [[runner.run(listen(way, text)) for text in answers(8)] for way in (by_the_document, by_us)]
    [documented, ours] = [
        (statistics.median(first for first, _ in times), statistics.mean(silence for _, silence in times))
        for times in found
    ]
    # First sound 15.4 -> 1.3 s, silence in an answer 20.0 -> 2.4 s, most of it in the first sentence, which is PCM.
    assert ours[0] < 0.1 * documented[0]
    assert ours[1] < 0.12 * documented[1]
