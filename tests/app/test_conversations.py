"""`WS /duplex` of the reference app, and `objectstreaming talk`, over real HTTP on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
import wave
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from deadlines import DEADLINE
from reference_app import Breaking, Ear, Fox, Slow, Tone, make_app, sound
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from objectstreaming import ResponseError, StreamError
from objectstreaming.app import Settings, application, create_app
from objectstreaming.app.answers import Sentence
from objectstreaming.app.limits import AppLimits
from objectstreaming.app.sockets import is_allowed_origin
from objectstreaming.cli.loopback import LoopbackServer
from objectstreaming.duplex import (
    DuplexSession,
    Modality,
    StreamEvent,
    StreamItem,
    Symbol,
    WebSocketClientStream,
    WebSocketServerStream,
)
from wav_streaming.sound import Sound
from wav_streaming.wav import pcm_to_wav


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with LoopbackServer(make_app(limits=AppLimits(burst=1_000))) as server:
        yield server.url


def client(url: str, **options: Any) -> WebSocketClientStream:
    return WebSocketClientStream(f"{url}/duplex", **{"patience": DEADLINE, **options})


async def ask(stream: WebSocketClientStream, *symbols: Symbol) -> list[StreamItem]:
    items: list[StreamItem] = []

    async def sender() -> AsyncIterator[Symbol]:
        for symbol in symbols:
            yield symbol

    # One session for each connection: it knows which interrupts are not answered yet.
    session: DuplexSession = stream.__dict__.setdefault("its_session", DuplexSession(stream))
    await asyncio.wait_for(session.run_duplex(sender, items.append), DEADLINE)
    return [item for item in items if not isinstance(item, StreamEvent) or item.type != "connected"]


def texts(items: list[StreamItem]) -> list[str | None]:
    return [item.text_value for item in items if isinstance(item, Symbol) and item.modality is Modality.TEXT]


def pcm(items: list[StreamItem]) -> bytes:
    return b"".join(item.data for item in items if isinstance(item, Symbol) and item.modality is Modality.AUDIO)


class TestEndpoint:
    async def test_answers_text_in_text_and_sound(self, url: str) -> None:
        async with client(url) as stream:
            for question in ("what?", "why?"):
                items = await ask(stream, Symbol.text(question[:2]), Symbol.text(question[2:]))
                assert texts(items) == [f"You asked: {question}", "The fox is red."]
                assert len(pcm(items)) == 160 * (len(question) + 11 + 15)
                assert isinstance(items[-1], StreamEvent)
                assert items[-1].type == "stream_end"
                [first, second] = [i for i in items if isinstance(i, Symbol) and i.modality is Modality.TEXT]
                assert (first.metadata["source"], first.metadata["start_ms"]) == ("fox.md > Questions", 0)
                assert second.metadata["start_ms"] == 10 * (len(question) + 11)

    async def test_sound_comes_in_pieces_of_half_a_second_at_most(self, url: str) -> None:
        async with client(url) as stream:
            items = await ask(stream, Symbol.text("why " * 50))
        sounds = [item for item in items if isinstance(item, Symbol) and item.modality is Modality.AUDIO]
        assert max(len(symbol.data) for symbol in sounds) == 8_000
        assert {symbol.metadata["sample_rate"] for symbol in sounds} == {8_000}

    async def test_answers_sound(self) -> None:
        ear = Ear()
        whole = sound(0.2)
        with LoopbackServer(make_app(ear=ear)) as server:
            async with client(server.url) as stream:
                items = await ask(stream, *(Symbol.audio(whole[n : n + 1_000]) for n in range(0, len(whole), 1_000)))
        assert [heard.pcm for heard in ear.heard] == [whole]
        assert isinstance(items[0], StreamEvent)
        assert (items[0].type, items[0].data) == ("metadata", {"question": "what is a fox"})
        assert texts(items) == ["You asked: what is a fox", "The fox is red."]

    @pytest.mark.parametrize(
        ("symbols", "code"),
        [
            ([], "invalid_argument"),
            ([Symbol.text("  ")], "invalid_argument"),
            ([Symbol.text("x" * 5_000)], "resource_exhausted"),
            ([Symbol.text("x" * 600)] * 10, "resource_exhausted"),
            ([Symbol(Modality.TEXT, b"\xff", "text/plain")], "invalid_argument"),
            ([Symbol(Modality.IMAGE, b"", "image/png")], "unimplemented"),
            ([Symbol(Modality.AUDIO, b"", "audio/opus")], "invalid_argument"),
            ([Symbol(Modality.AUDIO, b"abc", "audio/pcm", metadata={"sample_rate": 16_000})], "invalid_argument"),
            ([Symbol(Modality.AUDIO, b"", "audio/pcm", metadata={"sample_rate": "8"})], "invalid_argument"),
            ([Symbol(Modality.AUDIO, b"", "audio/pcm", metadata={"sample_rate": 10**30})], "invalid_argument"),
            ([Symbol.audio(b"")], "invalid_argument"),
            ([Symbol.audio(bytes(2)), Symbol.audio(bytes(2), 8_000)], "invalid_argument"),
            ([Symbol.audio(bytes(700_000), 8_000)] * 2, "resource_exhausted"),
        ],
        ids=range(13),
    )
    async def test_a_wrong_question_is_an_error_and_the_next_one_is_answered(
        self, url: str, symbols: list[Symbol], code: str
    ) -> None:
        async with client(url) as stream:
            with pytest.raises(StreamError) as caught:
                await ask(stream, *symbols)
            assert caught.value.code == code
            assert texts(await ask(stream, Symbol.text("why?"))) == ["You asked: why?", "The fox is red."]

    async def test_a_voice_that_fails_is_told_once(self) -> None:
        with LoopbackServer(make_app(voice=Tone(unspeakable="e"))) as server:
            async with client(server.url) as stream:
                for _ in range(2):
                    items = await ask(stream, Symbol.text("why?"))
                    assert texts(items) == ["You asked: why?", "The fox is red."]
                    [event] = [item for item in items if isinstance(item, StreamEvent) and item.type == "metadata"]
                    assert list(event.data) == ["unspoken"]

    async def test_sound_is_limited_in_bytes_whatever_its_format(self) -> None:
        """60 s of 384 kHz in 8 channels of 32 bits would be 700 MiB."""
        piece = Symbol.audio(bytes(200_000), 384_000, 8, bit_depth=32)
        ear = Ear()
        limits = AppLimits(body=1_000_000)
        with LoopbackServer(make_app(ear=ear, limits=limits)) as server:
            async with client(server.url) as stream:
                with pytest.raises(StreamError, match="at most 1000000 bytes") as caught:
                    await ask(stream, *[piece] * 6)
                assert caught.value.code == "resource_exhausted"
                await ask(stream, *[piece] * 5)
        assert [len(heard.pcm) for heard in ear.heard] == [1_000_000]

    async def test_sound_that_is_held_counts_for_all_connections(self) -> None:
        class Patient(Ear):
            async def recognize(self, sound: Sound) -> str:
                if len(sound.pcm) == 400_000:
                    hearing.set()
                    await asyncio.to_thread(go_on.wait)
                return await super().recognize(sound)

        hearing, go_on = threading.Event(), threading.Event()
        piece = Symbol.audio(bytes(200_000))
        with LoopbackServer(make_app(ear=Patient(), limits=AppLimits(questions=500_000))) as server:
            async with client(server.url) as first, client(server.url) as second, asyncio.TaskGroup() as tasks:
                answer = tasks.create_task(ask(first, piece, piece))
                try:
                    await asyncio.to_thread(hearing.wait)
                    for _ in range(3):
                        with pytest.raises(StreamError, match="the questions to this server hold all they may"):
                            await ask(second, piece)
                finally:
                    go_on.set()
                await answer
                for _ in range(3):  # what was recognized, or refused, is held no longer
                    assert texts(await ask(second, piece))

    async def test_every_question_counts_for_the_rate(self) -> None:
        with LoopbackServer(make_app(limits=AppLimits(burst=3, requests_a_minute=1))) as server:
            async with client(server.url) as stream:
                for _ in range(3):
                    assert texts(await ask(stream, Symbol.text("why?")))
                with pytest.raises(StreamError, match="too many questions from this address") as caught:
                    await ask(stream, Symbol.text("why?"))
                assert caught.value.code == "resource_exhausted"

    @pytest.mark.parametrize("failure", [OSError("/etc/secret"), SystemExit(1), asyncio.CancelledError()], ids=repr)
    @pytest.mark.parametrize("speaks", [True, False])
    async def test_a_fault_of_the_server_is_reported_without_its_reason_and_ends_the_answer_only(
        self, failure: BaseException, speaks: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(application, "find_synthesizer", lambda: Tone() if speaks else None)
        with LoopbackServer(create_app(Settings(), answerer=Breaking(failure))) as server:
            async with client(server.url) as stream:
                with pytest.raises(StreamError) as caught:
                    await ask(stream, Symbol.text("why?"))
        assert (caught.value.code, caught.value.message) == ("internal", "internal error")

    async def test_an_interrupt_stops_the_answer(self) -> None:
        made: list[int] = []
        closed: list[int] = []

        class Endless(Fox):
            async def answer(self, question: str) -> AsyncIterator[Sentence]:
                if question != "talk":
                    yield Sentence(question, "")
                    return
                try:
                    for n in range(1_000_000):
                        made.append(n)
                        yield Sentence(f"Sentence {n}.", "")
                        await asyncio.sleep(0)
                finally:
                    closed.append(len(made))

        with LoopbackServer(make_app(answerer=Endless())) as server:
            async with client(server.url) as stream:
                session = DuplexSession(stream)
                begun = asyncio.Event()

                async def hear(item: StreamItem) -> None:
                    if isinstance(item, Symbol):
                        begun.set()
                        await asyncio.Event().wait()

                async def talk() -> AsyncIterator[Symbol]:
                    yield Symbol.text("talk")

                talking = asyncio.create_task(session.run_duplex(talk, hear))
                await asyncio.wait_for(begun.wait(), DEADLINE)
                await asyncio.wait_for(session.interrupt(played_ms=40), DEADLINE)
                await talking
                session.reset()
                items: list[StreamItem] = []

                async def again() -> AsyncIterator[Symbol]:
                    yield Symbol.text("again")

                await asyncio.wait_for(session.run_duplex(again, items.append), DEADLINE)
                assert texts(items) == ["again"]
                assert closed == [len(made)], "the answer goes on"

    async def test_a_client_that_leaves_stops_the_answer(self) -> None:
        slow = Slow()
        with LoopbackServer(make_app(answerer=slow)) as server:
            stream = client(server.url)
            await stream.connect()
            await stream.send(Symbol.text("talk"))
            await stream.send_end()
            async for item in stream.receive():
                if isinstance(item, Symbol):
                    break
            await stream.disconnect()
            assert await asyncio.to_thread(slow.closed.wait, DEADLINE)

    async def test_a_conversation_does_not_last_longer_than_a_stream(self) -> None:
        with LoopbackServer(make_app(limits=AppLimits(stream_seconds=0.2))) as server:
            async with client(server.url) as stream:
                with pytest.raises(StreamError, match="may not last longer") as caught:
                    async for _ in stream.receive():
                        pass
                assert caught.value.code == "deadline_exceeded"

    async def test_conversations_count_as_streams(self) -> None:
        with LoopbackServer(make_app(limits=AppLimits(streams=1))) as server:
            async with client(server.url):
                with pytest.raises(ResponseError) as caught:
                    await client(server.url).connect()
                assert (caught.value.status, caught.value.code) == (429, "resource_exhausted")
            async with asyncio.timeout(DEADLINE):
                while True:  # until the server has noticed that the first one has left
                    with contextlib.suppress(ResponseError):
                        async with client(server.url) as stream:
                            assert texts(await ask(stream, Symbol.text("why?")))
                            break

    async def test_a_name_that_is_not_the_servers_is_refused(self) -> None:
        with (
            LoopbackServer(make_app(hosts=("localhost",))) as server,
            pytest.raises(ResponseError, match="does not accept that host name"),
        ):
            await client(server.url).connect()

    @pytest.mark.parametrize(
        ("origin", "welcome"),
        [
            (None, True),
            ("http://{host}", True),
            ("https://friend.example", True),
            ("http://evil.example", False),
            ("http://{host}.evil.example", False),
            ("http://{host}@evil.example", False),
            ("null", False),
            ("", False),
            ("http://[", False),
        ],
    )
    async def test_pages_of_other_sites_may_not_connect(self, origin: str | None, welcome: bool) -> None:
        with LoopbackServer(make_app(origins=["https://friend.example"])) as server:
            host = server.url.removeprefix("http://")
            headers = {} if origin is None else {"Origin": origin.format(host=host)}
            stream = client(server.url, connection={"additional_headers": headers})
            if welcome:
                async with stream:
                    assert texts(await ask(stream, Symbol.text("why?")))
            else:
                with pytest.raises(ResponseError) as caught:
                    await stream.connect()
                assert (caught.value.status, caught.value.code) == (403, "permission_denied")

    def test_origins_are_compared_whole(self) -> None:
        assert is_allowed_origin("http://a:1", "A:1", ())
        assert not is_allowed_origin("http://a", "", ())
        assert not is_allowed_origin("http://a:1", "a:2", ())

    async def test_without_engines_text_is_answered_in_text(self) -> None:
        with LoopbackServer(create_app(Settings(engines=False), answerer=Fox())) as server:
            async with client(server.url) as stream:
                items = await ask(stream, Symbol.text("why?"))
                assert texts(items) == ["You asked: why?", "The fox is red."]
                assert not pcm(items)
                with pytest.raises(StreamError, match="cannot speak"):
                    await ask(stream, Symbol.audio(bytes(320)))


def talk(*arguments: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "objectstreaming", "talk", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=DEADLINE)


class TestTalk:
    def test_lines_in_text_and_a_wav_out_and_the_end_of_the_lines_is_the_end(self, url: str, tmp_path: Path) -> None:
        out = tmp_path / "answers.wav"
        ran = talk(url, "--out", out, stdin="what?\n\nwhy?\n")
        assert (ran.returncode, ran.stdout.splitlines()) == (
            0,
            [
                "You asked: what?  [fox.md > Questions]",
                "The fox is red.",
                "You asked: why?  [fox.md > Questions]",
                "The fox is red.",
            ],
        )
        with wave.open(str(out)) as saved:
            assert (saved.getframerate(), saved.getnframes()) == (8_000, 80 * (16 + 15 + 15 + 15))

    def test_a_wav_in(self, url: str, tmp_path: Path) -> None:
        question = tmp_path / "question.wav"
        question.write_bytes(pcm_to_wav(sound(2.5), 16_000))
        ran = talk(url, "--wav", question)
        assert ran.returncode == 0
        assert ran.stdout.splitlines() == ["You asked: what is a fox  [fox.md > Questions]", "The fox is red."]
        assert ran.stderr == "heard: what is a fox\n"

    @pytest.mark.parametrize(
        ("arguments", "status", "message"),
        [
            (["http://127.0.0.1:9"], 1, "cannot be reached"),
            (["ftp://host"], 2, "is not an http URL"),
            (["{url}", "--wav", "missing.wav"], 1, "missing.wav: No such file"),
            (["{url}/objects"], 1, "objectstreaming: "),
        ],
    )
    def test_an_error_is_one_line(self, url: str, arguments: list[str], status: int, message: str) -> None:
        ran = talk(*(argument.format(url=url) for argument in arguments), stdin="why?\n")
        assert ran.returncode == status
        assert message in ran.stderr
        assert len(ran.stderr.splitlines()) == 1

    def test_a_question_that_is_refused_is_an_error(self, url: str) -> None:
        ran = talk(url, stdin="x" * 5_000 + "\n")
        assert ran.returncode == 1
        assert "resource_exhausted" in ran.stderr

    def test_an_answer_that_the_server_stops_is_an_error(self) -> None:
        async def rude(websocket: WebSocket) -> None:
            async with WebSocketServerStream(websocket) as stream:
                session = DuplexSession(stream)

                async def hear(item: StreamItem) -> None:
                    if isinstance(item, Symbol):
                        await session.interrupt()

                async def answer() -> AsyncIterator[Symbol]:
                    yield Symbol.text("Well,")
                    await asyncio.Event().wait()

                await session.run_duplex(answer, hear)
                async for _ in stream.receive():
                    pass

        with LoopbackServer(Starlette(routes=[WebSocketRoute("/duplex", rude)])) as server:
            ran = talk(server.url, stdin="why?\n")
        assert ran.returncode == 1
        assert ran.stderr == "objectstreaming: the server stopped its answer\n"

    def test_sound_that_is_not_pcm_is_not_saved(self, tmp_path: Path) -> None:
        async def odd(websocket: WebSocket) -> None:
            async with WebSocketServerStream(websocket) as stream:
                await stream.send(Symbol(Modality.AUDIO, b"abc", "audio/pcm", metadata={"sample_rate": 8_000}))
                async for _ in stream.receive():
                    pass

        with LoopbackServer(Starlette(routes=[WebSocketRoute("/duplex", odd)])) as server:
            ran = talk(server.url, "--out", tmp_path / "out.wav", stdin="why?\n")
        assert ran.returncode == 1
        assert "not PCM" in ran.stderr
        assert not list(tmp_path.iterdir())

    def test_a_line_typed_on_a_terminal_stops_the_answer_before_it(self) -> None:
        import io

        from objectstreaming.cli.talking import talk as run

        said: list[str] = []
        noted: list[str] = []
        answered = threading.Event()

        def say(line: str) -> None:
            said.append(line)
            answered.set()

        class Typing(io.StringIO):
            """Types its second line when the answer to the first has begun."""

            def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]
                line = super().readline()
                if line == "why?\n":
                    assert answered.wait(DEADLINE)
                return line

        class Thinking(Fox):
            async def answer(self, question: str) -> AsyncIterator[Sentence]:
                yield Sentence(f"About {question}", "")
                if question == "talk":
                    await asyncio.Event().wait()

        with LoopbackServer(make_app(answerer=Thinking(), voice=Tone())) as server:
            run(
                url=server.url,
                lines=Typing("talk\nwhy?\n"),
                interactive=True,
                wav=None,
                out=None,
                say=say,
                note=noted.append,
            )
        assert said == ["About talk", "About why?"]
        assert noted == ["(stopped)"]
