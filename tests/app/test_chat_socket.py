"""`WS /api/chat/stream`, in one event loop with the application; and once over a real connection."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import websockets
from chat_client import ChatClient, Message
from deadlines import until, wait_until
from fake_clock import on_a_fake_clock
from reference_app import TEXT, Choir, Hanging, Model, Tone, Waiting, make_app

from objectstreaming import RawCoder, StreamEncoder, StreamError, StreamIncomplete
from objectstreaming.app import Settings, create_app
from objectstreaming.app.limits import AppLimits
from objectstreaming.cli.loopback import LoopbackServer
from objectstreaming.duplex.framed import SUBPROTOCOL
from objectstreaming.shutdown import end_streams
from wav_streaming import EspeakSynthesizer, Sound


def app(**options: Any) -> Any:
    return make_app(**{"answerer": Model(), "voice": Choir(), "limits": AppLimits(burst=1_000), **options})


def text_of(messages: list[Message]) -> str:
    return b"".join(payload for header, payload in messages if header["kind"] == "text").decode()


def last(messages: list[Message]) -> tuple[str, str]:
    """Kind and code of the last message, the only one of its kind."""
    assert not [header for header, _ in messages[:-1] if header["kind"] in ("end", "error")]
    header = messages[-1][0]
    return header["kind"], header.get("code", "")


CANCELED = ("error", "canceled")


class TestAnswers:
    async def test_question_after_question_over_one_connection(self) -> None:
        async with ChatClient(app()) as chat:
            for cached in (0, 2):
                chat.send({"message": "Why?"})
                answer = await chat.answer()
                assert (text_of(answer), last(answer)) == (TEXT, ("end", ""))
                assert {"sentences": 3, "audio": 2, "failed": 0, "cached": cached}.items() <= answer[-1][0].items()

    @pytest.mark.parametrize("without", ["audio", "voice"])
    async def test_without_sound_there_is_the_text(self, without: str) -> None:
        silent = app() if without == "audio" else create_app(Settings(engines=False), answerer=Model())
        async with ChatClient(silent) as chat:
            chat.send({"message": "Why?"} | ({"audio": False} if without == "audio" else {}))
            answer = await chat.answer()
            assert (text_of(answer), last(answer)) == (TEXT, ("end", ""))
            assert {header["kind"] for header, _ in answer} == {"text", "end"}

    async def test_a_voice_and_a_speed_hold_for_the_next_questions_too(self) -> None:
        async with ChatClient(app()) as chat:
            lengths = []
            for members in ({"voice": "duo"}, {}, {"speed": 2}, {"voice": "solo"}, {"speed": 1, "voice": None}):
                chat.send({"message": "Why?", **members})
                headers = [header for header, _ in await chat.answer()]
                lengths.append(next((h["channels"], h["samples"]) for h in headers if "samples" in h))
                assert not [header for header in headers if "voice" in header]
        assert lengths == [(2, 1_200), (2, 1_200), (2, 600), (1, 600), (1, 1_200)]

    @on_a_fake_clock
    async def test_another_voice_speaks_from_the_next_sentence_on(self) -> None:
        class Slow(Choir):
            def with_voice(self, name: str, speed: float = 1) -> Slow:
                super().with_voice(name, speed)
                return Slow(name, speed)

            async def synthesize(self, text: str) -> Sound:
                await asyncio.sleep(1)
                return await super().synthesize(text)

        async with ChatClient(app(voice=Slow(), answerer=Model("One. Two. Three. Four."))) as chat:
            chat.send({"message": "Why?"})
            headers = []
            while (message := await chat.next()) is not None and message[0]["kind"] != "end":
                headers.append(message[0])
                if message[0].get("sentence") == 1:
                    chat.send({"voice": "duo", "speed": 2})
        spoken = [(h["sentence"], h["channels"], h.get("voice")) for h in headers if "samples" in h]
        assert spoken == [(1, 1, None), (2, 1, None), (3, 2, "duo"), (4, 2, None)]

    async def test_the_failure_of_a_model_is_the_end_of_its_answer_only(self) -> None:
        class Failing(Model):
            async def tokens(self, question: str) -> AsyncIterator[str]:
                yield "So far so good. "
                raise OSError("/etc/secret") if question == "break" else StreamError("unavailable", "it has gone")

        async with ChatClient(app(answerer=Failing())) as chat:
            for question, end in (("break", ("internal", "internal error")), ("Why?", ("unavailable", "it has gone"))):
                chat.send({"message": question})
                [first, *_, (error, _)] = await chat.answer()
                assert first[1] == b"So far so good. "
                assert (error["kind"], error["code"], error["message"]) == ("error", *end)

    @pytest.mark.parametrize("failure", [SystemExit(1), asyncio.CancelledError()], ids=repr)
    @pytest.mark.parametrize("audio", [True, False])
    async def test_whatever_a_model_raises_is_the_end_of_its_answer_only(
        self, failure: BaseException, audio: bool
    ) -> None:
        class Failing(Model):
            async def tokens(self, question: str) -> AsyncIterator[str]:
                yield "So far so good. "
                raise failure

        async with ChatClient(app(answerer=Failing())) as chat:
            for _ in range(2):
                chat.send({"message": "Why?", "audio": audio})
                assert last(await chat.answer()) == ("error", "internal")


class TestInterrupts:
    async def test_stop_text_voice_and_model(self) -> None:
        model, voice = Waiting(), Hanging()
        async with ChatClient(app(answerer=model, voice=voice)) as chat:
            chat.send({"message": "Why?"})
            await until(lambda: voice.at_work)
            chat.send({"interrupt": True})
            answer = await chat.answer()
            assert (text_of(answer), last(answer)) == ("One. Two", CANCELED)
            await until(lambda: not voice.at_work and model.closed.is_set())

    async def test_a_question_interrupts_the_answer_before_it(self) -> None:
        model, voice = Waiting(), Hanging()
        async with ChatClient(app(answerer=model, voice=voice)) as chat:
            chat.send({"message": "Why?"})
            for question in ("And?", ""):
                assert (await chat.next() or ({}, b""))[1] == b"One. Two"
                chat.send({"message": question})
                assert last(await chat.answer()) == CANCELED
            assert last(await chat.answer()) == ("error", "invalid_argument")
            assert not voice.at_work

    async def test_stop_a_model_that_swallows_a_cancellation(self) -> None:
        class Deaf(Waiting):
            async def tokens(self, question: str) -> AsyncIterator[str]:
                yield "One. "
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()
                yield "Two."

        async with ChatClient(app(answerer=Deaf())) as chat:
            for _ in range(2):
                chat.send({"message": "Why?", "audio": False})
                assert (await chat.next() or ({}, b""))[1] == b"One. "
                chat.send({"interrupt": True})
                answer = await chat.answer()
                assert (text_of(answer), last(answer)) == ("", CANCELED)

    @on_a_fake_clock
    async def test_what_is_made_and_not_sent_is_dropped(self) -> None:
        async with ChatClient(app()) as chat:
            chat.send({"message": "Why?", "audio": False})
            await chat.answer()
            chat.stop_reading()
            chat.send({"message": "Why?", "audio": False})
            await asyncio.sleep(1)  # the whole answer waits to be written
            chat.send({"interrupt": True})
            await asyncio.sleep(1)
            chat.read_on()
            answer = await chat.answer()
            assert (text_of(answer), last(answer)) == (TEXT[:3], CANCELED)

    async def test_an_answer_that_was_sent_is_not_interrupted(self) -> None:
        async with ChatClient(app()) as chat:
            for _ in range(3):
                chat.send({"interrupt": True})
                chat.send({"message": "Why?", "interrupt": True})
                assert last(await chat.answer()) == ("end", "")

    async def test_every_question_gets_one_end_wherever_it_is_interrupted(self) -> None:
        async with ChatClient(app()) as chat:
            for taken in range(30):
                chat.send({"message": "Why?"})
                messages = []
                for _ in range(taken):
                    message = await chat.next()
                    assert message is not None
                    messages.append(message)
                    if message[0]["kind"] == "end":
                        break
                chat.send({"interrupt": True})
                if not messages or messages[-1][0]["kind"] != "end":
                    messages += await chat.answer()
                if last(messages) == CANCELED:
                    assert TEXT.startswith(text_of(messages))
                else:
                    assert (last(messages), text_of(messages)) == (("end", ""), TEXT)


class TestWrongMessages:
    @pytest.mark.parametrize(
        ("header", "kind", "why"),
        [
            ({"message": 3}, "error", 'must be {"message"'),
            ({"message": "  "}, "error", "is empty"),
            ({"message": "x" * 5_000}, "error", "at most 4000 characters"),
            ({"message": "Why?", "audio": "pcm"}, "error", "list of formats"),
            ({"message": "Why?", "voice": "nobody"}, "error", "there are solo, duo"),
            ({"voice": "nobody"}, "refused", "there are solo, duo"),
            ({"speed": 3}, "refused", "from 0.5 to 2"),
            ({"speed": "fast"}, "refused", "from 0.5 to 2"),
            ({"interrupt": 1}, "refused", '{"interrupt": true}'),
            ({}, "refused", '{"message": "..."}'),
        ],
    )
    async def test_are_told_and_the_connection_stays(self, header: dict[str, Any], kind: str, why: str) -> None:
        async with ChatClient(app()) as chat:
            chat.send(header)
            told = await chat.next()
            assert told is not None
            assert told[0]["kind"] == kind
            assert why in told[0]["message"]
            assert told[0]["code"] in ("invalid_argument", "resource_exhausted")
            chat.send({"message": "Why?"})
            assert last(await chat.answer()) == ("end", "")

    async def test_a_refusal_in_an_answer_does_not_end_it(self) -> None:
        model = Waiting()
        async with ChatClient(app(answerer=model)) as chat:
            chat.send({"message": "Why?"})
            chat.send({"voice": "nobody"})
            chat.send({"message": "Why?"}, b"a payload")
            refused = []
            while len(refused) < 2 and (message := await chat.next()):
                refused += [message[0]["code"]] if message[0]["kind"] == "refused" else []
            model.go_on.set()
            assert last(await chat.answer()) == ("end", "")
        assert refused == ["invalid_argument"] * 2

    @pytest.mark.parametrize(
        "garbage", [b"\xff" * 50, b'{"message": "Why?"}', b"\x0b\0\0\0\x03\0\0\0[1]", StreamEncoder(RawCoder()).open()]
    )
    async def test_bytes_that_are_no_stream_end_it_and_the_answer(self, garbage: bytes) -> None:
        model, voice = Waiting(), Hanging()
        async with ChatClient(app(answerer=model, voice=voice)) as chat:
            chat.send({"message": "Why?"})
            await until(lambda: voice.at_work)
            chat.send_bytes(garbage)
            with pytest.raises(StreamError) as caught:
                await chat.answer()
            assert caught.value.code == "invalid_argument"
            await until(lambda: not voice.at_work and model.closed.is_set())


class TestLimits:
    async def test_every_question_counts_for_the_rate(self) -> None:
        async with ChatClient(app(limits=AppLimits(burst=3, requests_a_minute=1))) as chat:
            ends = []
            for _ in range(5):
                chat.send({"message": "Why?"})
                ends.append(last(await chat.answer()))
        assert ends == [("end", "")] * 3 + [("error", "resource_exhausted")] * 2

    async def test_a_connection_is_a_stream_of_its_client(self) -> None:
        one = app(limits=AppLimits(streams=1))
        async with ChatClient(one), ChatClient(one) as second:
            assert await second.next() is None
            assert not second.accepted
            assert (second.closed or {})["code"] == 1008

    async def test_pages_of_other_sites_may_not_connect(self) -> None:
        for origin, is_welcome in (("http://localhost", True), ("http://evil.example", False), ("null", False)):
            async with ChatClient(app(), origin=origin) as chat:
                chat.send({"message": "Why?"})
                assert bool(await chat.next()) == is_welcome == chat.accepted

    @on_a_fake_clock
    async def test_a_silent_client_is_given_up(self) -> None:
        voice = Hanging()
        async with ChatClient(app(voice=voice, heartbeat=5)) as chat:
            chat.send({"message": "Why?"})
            with pytest.raises(StreamError, match="nothing arrived for 15 s"):
                await chat.answer()
            await until(lambda: not voice.at_work)
            assert asyncio.get_running_loop().time() == pytest.approx(15, abs=1)

    @on_a_fake_clock
    async def test_a_connection_does_not_last_longer_than_a_stream(self) -> None:
        voice = Hanging()
        async with ChatClient(app(voice=voice, limits=AppLimits(stream_seconds=20))) as chat:
            chat.send({"message": "Why?"})
            with pytest.raises(StreamError, match="may not last longer") as caught:
                await chat.answer()
            assert caught.value.code == "deadline_exceeded"
            await until(lambda: not voice.at_work)

    @on_a_fake_clock
    async def test_a_client_that_does_not_read_slows_down_the_model_and_the_voice(self) -> None:
        class Endless(Model):
            given = 0

            async def tokens(self, question: str) -> AsyncIterator[str]:
                while True:
                    self.given += 1
                    yield "One more sentence. "

        class Loud(Tone):
            spoken = 0

            async def synthesize(self, text: str) -> Sound:
                self.spoken += 1
                return Sound(bytes(100_000), 8_000)

        model, voice = Endless(), Loud()
        async with ChatClient(app(answerer=model, voice=voice, sounds=0)) as chat:
            chat.send({"message": "Why?"})
            assert await chat.next()
            chat.stop_reading()
            await asyncio.sleep(20)
            given, spoken = model.given, voice.spoken
            chat.ping()
            await asyncio.sleep(20)
            assert (model.given, voice.spoken) == (given, spoken)
            assert given < 600
            assert spoken < 20
            chat.send({"interrupt": True})
            chat.read_on()
            assert last(await chat.answer()) == CANCELED


class TestLeaving:
    @pytest.mark.parametrize("taken", range(8))
    async def test_at_any_message_nothing_is_left(self, taken: int) -> None:
        before = asyncio.all_tasks()
        async with ChatClient(app()) as chat:
            chat.send({"message": "Why?"})
            for _ in range(taken):
                await chat.next()
        await until(lambda: asyncio.all_tasks() == before)

    async def test_stops_the_model_and_the_voice_at_once(self) -> None:
        model, voice = Waiting(), Hanging()
        async with ChatClient(app(answerer=model, voice=voice)) as chat:
            chat.send({"message": "Why?"})
            await until(lambda: voice.at_work)
        assert not voice.at_work
        assert model.closed.is_set()

    async def test_kills_the_program_that_speaks(self, tmp_path: Path) -> None:
        program, pid = tmp_path / "voice", tmp_path / "pid"
        program.write_text(f"#!/bin/sh\necho $$ > {pid}.new\nmv {pid}.new {pid}\nexec sleep 60\n")
        program.chmod(0o755)
        async with ChatClient(app(voice=EspeakSynthesizer(program=str(program)))) as chat:
            chat.send({"message": "Why?"})
            await until(pid.exists)
        assert not os.path.exists(f"/proc/{pid.read_text().strip()}")  # noqa: ASYNC240

    async def test_a_server_that_stops_says_so(self) -> None:
        model = Waiting()
        async with ChatClient(app(answerer=model)) as chat:
            chat.send({"message": "Why?"})
            assert await chat.next()
            end_streams()
            with pytest.raises(StreamError, match="shutting down"):
                await chat.answer()

    def test_a_real_connection_that_breaks(self) -> None:
        model, voice = Waiting(), Hanging()

        async def ask_and_vanish(url: str) -> None:
            address = url.replace("http", "ws", 1) + "/api/chat/stream"
            async with websockets.connect(address, subprotocols=[websockets.Subprotocol(SUBPROTOCOL)]) as socket:
                encoder = StreamEncoder(RawCoder())
                await socket.send(encoder.open())
                await socket.send(encoder.data({"message": "Why?"}, b""))
                await until(lambda: voice.at_work)
                socket.transport.abort()

        with LoopbackServer(app(answerer=model, voice=voice)) as server:
            asyncio.run(ask_and_vanish(server.url))
            wait_until(lambda: not voice.at_work and model.closed.is_set())


async def test_a_cut_connection_does_not_look_whole() -> None:
    async with ChatClient(app(answerer=Waiting())) as chat:
        chat.send({"message": "Why?"})
        assert await chat.next()
    with pytest.raises(StreamIncomplete):
        chat.decoder.finish()
