"""The reference app: questions in, frames out, over real HTTP on loopback."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from typing import Any, ClassVar

import httpx
import jsonschema
import pytest
from deadlines import DEADLINE
from fake_clock import on_a_fake_clock
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from reference_app import Ear, Fox, Slow, Tone, make_app, sound

from objectstreaming import (
    Coder,
    JsonCoder,
    ResponseError,
    StreamError,
    encode_frame,
    iter_messages,
)
from objectstreaming.app import Settings, create_app
from objectstreaming.app.answers import Sentence
from objectstreaming.app.clients import Clients
from objectstreaming.app.gate import Gate, RateLimiter
from objectstreaming.app.limits import AppLimits
from objectstreaming.cli.loopback import LoopbackServer
from objectstreaming.client import aopen_stream, open_stream
from objectstreaming.store import Keep, MemoryStore
from wav_streaming import TALAudio, TALCoder, tal_decoder, tal_encoder
from wav_streaming.sound import Sound
from wav_streaming.wav import pcm_to_wav

V1 = {"Accept": "application/vnd.objectstreaming;v=1"}
OCTETS = {"Content-Type": "application/octet-stream"}


@contextmanager
def served(**options: Any) -> Iterator[httpx.Client]:
    with LoopbackServer(make_app(**options)) as server, httpx.Client(base_url=server.url, timeout=DEADLINE) as client:
        yield client


@asynccontextmanager
async def in_process(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with served(limits=AppLimits(burst=1_000)) as client:
        yield client


HEAD = b"POST /objects HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n"


def answer_of(connection: socket.socket) -> bytes:
    """What comes until the connection is closed."""
    return b"".join(iter(lambda: connection.recv(65_536), b""))


def read(client: httpx.Client, path: str, coder: Coder[Any, Any], **options: Any) -> list[Any]:
    with open_stream(client, "POST", path, coder=coder, **options) as stream:
        return list(stream)


class TestObjects:
    def test_answers_with_a_frame_a_sentence(self, client: httpx.Client) -> None:
        assert read(client, "/objects", JsonCoder(), json={"question": " what? "}) == [
            ({"status": "success", "reason": "none"}, {"answer": "You asked: what?", "source": "fox.md > Questions"}),
            ({"status": "warning", "reason": "no source"}, {"answer": "The fox is red.", "source": ""}),
        ]

    def test_a_client_that_does_not_ask_for_version_1_gets_a_plain_stream(self, client: httpx.Client) -> None:
        response = client.post("/objects", json={"question": "what?"}, headers={"Accept": "*/*"})
        assert response.headers["content-type"] == "application/octet-stream"
        assert b"$stream" not in response.content
        assert len(list(iter_messages([response.content], JsonCoder()))) == 2

    @pytest.mark.parametrize(
        ("body", "kind", "status"),
        [
            (b"", "application/json", 400),
            (b"[]", "application/json", 400),
            (b'{"question": 1}', "application/json", 400),
            (b'{"question": " \\n"}', "application/json", 400),
            (b'{"question": NaN}', "application/json", 400),
            (b"[" * 50_000, "application/json", 400),
            (b'{"question": "what?"}', "text/plain", 415),
            (b'{"question": "what?"}', "", 415),
            (b'{"question": "%b"}' % (b"x" * 5_000), "application/json", 413),
            (b'{"question": "%b"}' % (b"x" * 100_000), "application/json", 413),
        ],
    )
    def test_refuses_a_body_that_is_not_a_question(
        self, client: httpx.Client, body: bytes, kind: str, status: int
    ) -> None:
        response = client.post("/objects", content=body, headers={"Content-Type": kind})
        assert response.status_code == status
        assert set(response.json()) <= {"code", "message", "details"}


class TestWav:
    def check(self, messages: list[tuple[TALAudio, bytes]], question: str) -> None:
        headers = [tal for tal, _ in messages]
        assert [(tal.order, tal.sign) for tal in headers] == [(1, 1), (2, 2), (3, 3)]
        assert [tal.answer for tal in headers] == [f"You asked: {question}", "The fox is red.", ""]
        assert [tal.url for tal in headers] == ["fox.md > Questions", "", ""]
        assert {tal.question for tal in headers} == {question}
        assert [len(pcm) for _, pcm in messages] == [160 * (len(question) + 11), 160 * 15, 0]
        assert {tal.sampleRate for tal in headers} == {8_000}

    def test_answers_a_wav_file_in_speech(self, client: httpx.Client) -> None:
        wav = pcm_to_wav(sound(), sample_rate=16_000)
        messages = read(client, "/wav", TALCoder(), content=wav, headers={"Content-Type": "audio/wav"})
        self.check(messages, "what is a fox")

    @pytest.mark.parametrize("size", [1, 7, 1_000])
    def test_reads_a_wav_file_in_any_pieces(self, size: int) -> None:
        ear = Ear()
        wav = pcm_to_wav(sound(0.05), sample_rate=16_000)
        pieces = (wav[at : at + size] for at in range(0, len(wav), size))
        with served(ear=ear) as client:
            self.check(
                read(client, "/wav", TALCoder(), content=pieces, headers={"Content-Type": "audio/wav"}), "what is a fox"
            )
        assert ear.heard == [Sound(sound(0.05), 16_000)]

    def test_answers_frames_of_speech(self) -> None:
        ear = Ear()
        pcm = sound()
        body = tal_encoder(TALAudio(), pcm[:6_000]) + tal_encoder(TALAudio(order=2, sign=2), pcm[6_000:])
        with served(ear=ear) as client:
            self.check(read(client, "/wav", TALCoder(), content=body, headers=OCTETS), "what is a fox")
        assert ear.heard == [Sound(pcm, 16_000)]

    def test_a_question_in_the_header_is_not_listened_to(self) -> None:
        ear = Ear()
        body = tal_encoder(TALAudio(question="why?"), sound())
        with served(ear=ear) as client:
            self.check(read(client, "/wav", TALCoder(), content=body, headers=OCTETS), "why?")
        assert not ear.heard

    def test_serves_the_original_client(self, client: httpx.Client) -> None:
        response = client.post("/wav", content=tal_encoder(TALAudio(question="why?")), headers=OCTETS)
        rest, signs = response.content, []
        while rest:
            found = tal_decoder(rest)
            assert found is not None
            (header, _), rest = found
            signs.append(header["sign"])
        assert signs == [1, 2, 3]

    def test_a_sentence_that_cannot_be_spoken_still_comes(self, caplog: pytest.LogCaptureFixture) -> None:
        body = tal_encoder(TALAudio(question="why?"))
        with served(voice=Tone(unspeakable="You")) as client:
            messages = read(client, "/wav", TALCoder(), content=body, headers=OCTETS)
        assert [(tal.answer, bool(pcm)) for tal, pcm in messages] == [
            ("You asked: why?", False),
            ("The fox is red.", True),
            ("", False),
        ]
        assert ["unspoken" in tal.extra for tal, _ in messages] == [True, False, False]
        assert "secret" not in messages[0][0].extra["unspoken"]
        assert "could not be spoken" in caplog.text

    def test_a_voice_that_fails_is_told_once(self) -> None:
        body = tal_encoder(TALAudio(question="why?"))
        with served(voice=Tone(unspeakable="e")) as client:  # no sentence can be spoken
            messages = read(client, "/wav", TALCoder(), content=body, headers=OCTETS)
        assert [tal.answer for tal, _ in messages] == ["You asked: why?", "The fox is red.", ""]
        assert ["unspoken" in tal.extra for tal, _ in messages] == [True, False, False]

    def test_markdown_is_followed_from_sentence_to_sentence(self) -> None:
        class Writer:
            async def answer(self, question: str) -> AsyncIterator[Sentence]:
                for text in ("# *Note one.", "Two.*", "```py", "x = 1", "```", "See [it.", "Now](http://a.org)."):
                    yield Sentence(text, "")

        class Speaker(Tone):
            said: ClassVar[list[str]] = []

            async def synthesize(self, text: str) -> Sound:
                self.said.append(text)
                return await super().synthesize(text)

        for _ in range(2):  # an answer leaves nothing open for the next
            Speaker.said.clear()
            with served(answerer=Writer(), voice=Speaker()) as client:
                body = tal_encoder(TALAudio(question="why?"))
                messages = read(client, "/wav", TALCoder(), content=body, headers=OCTETS)
            assert Speaker.said == ["Note one.", "Two.", "a code example", "See it.", "Now."]
            assert [tal.answer for tal, pcm in messages if not pcm] == ["x = 1", "```", ""]

    def test_what_waits_for_the_end_of_a_tag_is_spoken_at_the_end(self) -> None:
        class Writer:
            async def answer(self, question: str) -> AsyncIterator[Sentence]:
                yield Sentence("One <two", "")

        with served(answerer=Writer(), voice=Tone()) as client:
            messages = read(client, "/wav", TALCoder(), content=tal_encoder(TALAudio(question="why?")), headers=OCTETS)
        assert [(tal.answer, bool(pcm)) for tal, pcm in messages] == [("One <two", True), ("", True), ("", False)]

    def test_a_sound_larger_than_a_frame_goes_on_in_the_next(self) -> None:
        class Long(Tone):
            async def synthesize(self, text: str) -> Sound:
                return Sound(bytes(8 if "fox" in text else 9 * 1024 * 1024 + 8), 48_000, 2, 32)

        with served(voice=Long()) as client:
            messages = read(client, "/wav", TALCoder(), content=tal_encoder(TALAudio(question="why?")), headers=OCTETS)
        assert [tal.order for tal, _ in messages] == [1, 2, 3, 4, 5]
        assert [tal.answer for tal, _ in messages] == ["You asked: why?", "", "", "The fox is red.", ""]
        assert sum(len(pcm) for _, pcm in messages) == 9 * 1024 * 1024 + 16

    def test_silence_is_an_error(self) -> None:
        with served(ear=Ear("  ")) as client, pytest.raises(StreamError, match="no word was recognized") as caught:
            read(client, "/wav", TALCoder(), content=tal_encoder(TALAudio(), sound()), headers=OCTETS)
        assert caught.value.code == "invalid_argument"

    @pytest.mark.parametrize(
        ("body", "kind", "status"),
        [
            (b"", "audio/wav", 400),
            (b"RIFF", "audio/wav", 400),
            (b"<html>no sound</html>" * 10, "audio/wav", 400),
            (pcm_to_wav(b"", sample_rate=16_000), "audio/wav", 400),
            (pcm_to_wav(sound(3), sample_rate=16_000), "audio/wav", 413),
            (b"", "application/octet-stream", 400),
            (b"\0" * 8, "application/octet-stream", 400),
            (b"\xff" * 8, "application/octet-stream", 413),
            (tal_encoder(TALAudio()), "application/octet-stream", 400),
            (tal_encoder(TALAudio(), sound())[:-1], "application/octet-stream", 400),
            (encode_frame({"sampleRate": 0}), "application/octet-stream", 400),
            (tal_encoder(TALAudio(question="x" * 5_000)), "application/octet-stream", 413),
            (tal_encoder(TALAudio(), sound(3)), "application/octet-stream", 413),
            (tal_encoder(TALAudio(), sound(0.1)) * 2, "application/octet-stream", 200),
            (
                tal_encoder(TALAudio(), sound(0.1))
                + tal_encoder(TALAudio(sampleRate=8_000, order=2, sign=2), sound(0.1)),
                "application/octet-stream",
                400,
            ),
            (b"{}", "application/vnd.objectstreaming;v=2", 415),
            (b"{}", "application/json", 415),
            (b"{}", "", 415),
        ],
    )
    async def test_refuses_a_body_that_is_not_a_question(self, body: bytes, kind: str, status: int) -> None:
        app = make_app(limits=AppLimits(speech_seconds=2))
        async with in_process(app) as client:
            response = await client.post("/wav", content=body, headers={"Content-Type": kind})
        assert response.status_code == status
        if status != 200:
            assert set(response.json()) <= {"code", "message", "details"}

    async def test_a_missing_engine_is_an_error_before_the_stream(self) -> None:
        app = create_app(Settings(engines=False), answerer=Fox())
        async with in_process(app) as client:
            response = await client.post("/wav", content=tal_encoder(TALAudio(question="why?")), headers=OCTETS)
            assert (response.status_code, response.json()["code"]) == (501, "unimplemented")
            assert (await client.post("/objects", json={"question": "why?"})).status_code == 200


HOSTILE = st.one_of(
    st.binary(max_size=200),
    st.builds(
        lambda wire, at, junk: wire[: at % len(wire)] + junk + wire[at % len(wire) :],
        st.sampled_from([pcm_to_wav(sound(0.01), 16_000), tal_encoder(TALAudio(), sound(0.01))]),
        st.integers(0, 10_000),
        st.binary(max_size=8),
    ),
)


@given(body=HOSTILE, kind=st.sampled_from(["audio/wav", "application/octet-stream"]))
def test_no_body_is_a_fault_of_the_server(body: bytes, kind: str) -> None:
    async def post() -> httpx.Response:
        async with in_process(APP) as client:
            return await client.post("/wav", content=body, headers={"Content-Type": kind})

    response = asyncio.run(post())
    assert response.status_code in (200, 400, 413)
    assert response.status_code == 200 or set(response.json()) == {"code", "message"}


class TestSettings:
    @pytest.mark.parametrize(
        ("name", "wrong"),
        [
            *[("sample_rate", wrong) for wrong in (0, 5, 10**9, "24000", 1.5, True)],
            *[("heartbeat", wrong) for wrong in (0, -1, math.nan, math.inf, "15", None)],
            *[("origin", wrong) for wrong in (["example.org"], ["http://x/"], ["http://x/page"])],
            *[("host", wrong) for wrong in (["localhost:80"], ["http://x"], ["::1"], ["*"], [""])],
            *[("sounds", wrong) for wrong in (-1, 1.5)],
            *[(name, "one") for name in ("origins", "hosts", "proxies", "documents", "store", "page", "limits")],
            *[(name, [1]) for name in ("origins", "hosts", "proxies", "documents", "voice", "engines", "faults")],
        ],
        ids=repr,
    )
    def test_what_cannot_be_is_refused_by_its_name(self, name: str, wrong: Any) -> None:
        setting = {"origin": "origins", "host": "hosts"}.get(name, name)
        with pytest.raises(ValueError, match=name):
            Settings(**{setting: wrong})

    @pytest.mark.parametrize("wrong", [0, -1, math.nan, math.inf, True, "1", None], ids=repr)
    @pytest.mark.parametrize("name", ["streams", "stream_seconds"])
    def test_a_limit_is_a_number(self, name: str, wrong: Any) -> None:
        with pytest.raises(ValueError, match=f"{name} must be"):
            AppLimits(**{name: wrong})

    def test_a_voice_without_names_cannot_have_one(self) -> None:
        with pytest.raises(ValueError, match="Tone has no voices"):
            create_app(Settings(voice="af_sarah"), synthesizer=Tone())


APP = make_app(limits=AppLimits(burst=1_000_000))


class TestBounds:
    def test_one_stream_too_many_is_refused_with_a_time_to_wait(self) -> None:
        answerer = Slow()
        with served(answerer=answerer, store=None, limits=AppLimits(streams=1)) as client:
            with open_stream(client, "POST", "/objects", coder=JsonCoder(), json={"question": "a"}) as stream:
                assert next(stream)
                refused = client.post("/objects", json={"question": "b"})
                assert refused.status_code == 429
                assert refused.json()["code"] == "resource_exhausted"
                assert int(refused.headers["retry-after"]) >= 1
                assert client.get("/health").status_code == 200
            # The place is free again once the client that took it has left.
            for _ in range(100):
                if (
                    client.post("/objects", content=b"[]", headers={"Content-Type": "application/json"}).status_code
                    == 400
                ):
                    break
            else:
                pytest.fail("the stream that was left still counts")
        assert answerer.closed.is_set()

    def test_a_stored_answer_that_was_left_counts_until_it_is_stopped(self) -> None:
        """Whoever asks and leaves, again and again, has no more of them than whoever stays."""
        answerer = Slow()
        with served(answerer=answerer, limits=AppLimits(streams_per_client=1)) as client:
            with open_stream(
                client, "POST", "/objects", coder=JsonCoder(), json={"question": "a"}, resume=True
            ) as stream:
                assert next(stream)
            refused = client.post("/objects", json={"question": "b"})
            assert (refused.status_code, refused.json()["message"]) == (
                429,
                "this address has as many streams as it may",
            )
            assert not answerer.closed.is_set()
            assert stream.place is not None
            assert client.delete(stream.place.url).status_code == 204
            assert answerer.closed.wait(DEADLINE)
            assert client.post("/objects", content=b"[]").status_code in (400, 415)

    def test_an_answer_that_nobody_reads_is_stopped(self) -> None:
        answerer = Slow()
        with served(answerer=answerer, store=MemoryStore(keep=Keep(unread=0.01), lease=0.03)) as client:
            with open_stream(client, "POST", "/objects", coder=JsonCoder(), json={"question": "a"}) as stream:
                assert next(stream)
            assert answerer.closed.wait(DEADLINE)

    def test_the_oldest_answers_of_a_client_that_has_too_many_bytes_are_forgotten(self) -> None:
        with served(limits=AppLimits(kept_per_client=1)) as client:
            places = []
            for question in "abc":
                with open_stream(
                    client, "POST", "/objects", coder=JsonCoder(), json={"question": question}, resume=True
                ) as stream:
                    stream.read_all()
                assert stream.place is not None
                places.append(stream.place.url)
            assert [client.head(url).status_code for url in places] == [404, 404, 200]

    async def test_a_client_that_asks_too_often_is_refused_with_a_time_to_wait(self) -> None:
        async with in_process(make_app(limits=AppLimits(requests_a_minute=6, burst=3))) as client:
            statuses = [(await client.post("/objects", json={"question": "a"})).status_code for _ in range(4)]
            refused = await client.post("/objects", json={"question": "a"})
        assert statuses == [200, 200, 200, 429]
        assert 1 <= int(refused.headers["retry-after"]) <= 10

    def test_a_client_that_has_its_streams_leaves_room_for_others(self) -> None:
        limits = AppLimits(streams=3, streams_per_client=2)

        def post(address: str) -> AbstractContextManager[socket.socket]:
            """A question whose body does not come."""
            connection = socket.create_connection(("127.0.0.1", port), DEADLINE, source_address=(address, 0))
            connection.sendall(HEAD + b"Content-Length: 99\r\n\r\n")
            return connection

        with LoopbackServer(make_app(limits=limits)) as server, ExitStack() as stack:
            port = int(server.url.rpartition(":")[2])
            for _ in range(2):
                stack.enter_context(post("127.0.0.2"))
            refused = stack.enter_context(post("127.0.0.2"))
            assert b"this address has as many streams" in answer_of(refused)
            other = stack.enter_context(post("127.0.0.3"))
            other.sendall(b'{"question": "why?"}'.ljust(99))
            assert answer_of(other).startswith(b"HTTP/1.1 200")

    async def test_questions_that_are_not_whole_take_no_more_memory_than_they_may(self) -> None:
        limits = AppLimits(questions=300_000, questions_per_client=200_000)
        wav = pcm_to_wav(sound(4), 16_000)  # 128,000 bytes

        async def begin(app: FastAPI, address: str, size: int) -> httpx.Response:
            transport = httpx.ASGITransport(app, client=(address, 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
                return await client.post("/wav", content=trickle(size), headers={"Content-Type": "audio/wav"})

        async def trickle(size: int) -> AsyncIterator[bytes]:
            yield wav[:size]
            whole.set()
            await asyncio.Event().wait()

        app, whole = make_app(limits=limits), asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            held = []
            for address, size in [("10.0.0.1", 128_000), ("10.0.0.2", 128_000)]:
                whole.clear()
                held.append(tasks.create_task(begin(app, address, size)))
                await whole.wait()
            for address, size, whose in [
                ("10.0.0.1", 80_000, "of this address"),
                ("10.0.0.3", 50_000, "to this server"),
            ]:
                refused = await begin(app, address, size)
                assert refused.status_code == 429
                assert f"the questions {whose} hold all they may" in refused.json()["message"]
            for task in held:
                task.cancel()
            await asyncio.wait(held)
            whole.clear()
            answered = asyncio.create_task(begin(app, "10.0.0.3", 128_000))  # there is room again
            await whole.wait()
            answered.cancel()

    def test_a_question_that_was_recognized_is_held_no_longer(self) -> None:
        wav = {"content": pcm_to_wav(sound(4), 16_000), "headers": {"Content-Type": "audio/wav"}}
        with served(answerer=Slow(), limits=AppLimits(questions=150_000)) as client, ExitStack() as stack:
            for _ in range(3):  # each is still being answered when the next one comes
                stream = stack.enter_context(open_stream(client, "POST", "/wav", coder=TALCoder(), **wav))
                assert next(stream)[0].answer == "Wait."

    def test_the_addresses_that_are_remembered_are_bounded(self) -> None:
        limiter = RateLimiter(a_minute=60, burst=1, clients=10, clock=lambda: 0.0)
        for n in range(1_000):
            assert limiter.wait(str(n)) == 0
        assert len(limiter._buckets) == 10
        assert limiter.wait("999") > 0

    def test_a_client_that_leaves_stops_the_synthesizer(self) -> None:
        started, stopped = threading.Event(), threading.Event()

        class Mute(Tone):
            async def synthesize(self, text: str) -> Sound:
                if text == "The fox is red.":
                    started.set()
                    try:
                        await asyncio.Event().wait()
                    finally:
                        stopped.set()
                return await super().synthesize(text)

        body = tal_encoder(TALAudio(question="why?"))
        with served(voice=Mute(), store=None) as client:
            with open_stream(client, "POST", "/wav", coder=TALCoder(), content=body, headers=OCTETS) as stream:
                assert next(stream)
                assert started.wait(DEADLINE)
                assert not stopped.is_set()
            assert stopped.wait(DEADLINE)

    @on_a_fake_clock
    async def test_an_answer_that_takes_too_long_is_ended(self) -> None:
        async with (
            in_process(make_app(answerer=Slow(), limits=AppLimits(stream_seconds=60))) as client,
            aopen_stream(client, "POST", "/objects", coder=JsonCoder(), json={"question": "a"}) as stream,
        ):
            assert (await anext(stream))[1]["answer"] == "Wait."
            with pytest.raises(StreamError) as caught:
                await anext(stream)
        assert caught.value.code == "deadline_exceeded"

    @pytest.mark.parametrize("path", ["/objects", "/wav"])
    def test_a_body_that_trickles_is_cut_off(self, path: str) -> None:
        body = b"RIFF" if path == "/wav" else b'{"que'
        kind = "audio/wav" if path == "/wav" else "application/json"

        async def trickle(url: str) -> bytes:
            host, port = url.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: 999\r\n\r\n"
            writer.write(head.encode() + body)
            status = await reader.readline()
            writer.close()
            return status

        with LoopbackServer(make_app(limits=AppLimits(body_seconds=0.2))) as server:
            assert b" 408 " in asyncio.run(trickle(server.url))

    @pytest.mark.parametrize("path", ["/objects", "/wav"])
    async def test_a_body_that_never_ends_is_read_up_to_the_limit(self, path: str) -> None:
        taken = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal taken
            yield b'{"question": "' if path == "/objects" else pcm_to_wav(b"", sample_rate=16_000)[:40] + b"\xff" * 4
            while True:
                taken += 65_536
                yield b"x" * 65_536

        kind = "audio/wav" if path == "/wav" else "application/json"
        async with in_process(make_app(limits=AppLimits(body=1024 * 1024))) as client:
            response = await client.post(path, content=endless(), headers={"Content-Type": kind})
        assert response.status_code == 413
        assert taken <= 1024 * 1024 + 2 * 65_536

    def test_a_limit_of_zero_is_refused(self) -> None:
        with pytest.raises(ValueError, match="streams"):
            AppLimits(streams=0)


class TestWhatClientsGet:
    async def test_a_fault_of_the_server_is_reported_without_its_reason(self, caplog: pytest.LogCaptureFixture) -> None:
        class Broken(Fox):
            async def answer(self, question: str) -> AsyncIterator[Sentence]:
                raise OSError("/etc/secret/key is missing")
                yield

        async with in_process(make_app(answerer=Broken())) as client:
            response = await client.post("/objects", json={"question": "a"})
        assert (response.status_code, response.json()) == (500, {"code": "internal", "message": "internal error"})
        assert "/etc/secret/key" in caplog.text

    @pytest.mark.parametrize(
        ("method", "path", "status"), [("GET", "/nowhere", 404), ("GET", "/wav", 405), ("GET", "/docs", 404)]
    )
    async def test_every_failure_has_the_same_shape(self, method: str, path: str, status: int) -> None:
        async with in_process(make_app()) as client:
            response = await client.request(method, path)
        assert response.status_code == status
        assert set(response.json()) == {"code", "message"}

    async def test_another_name_for_this_machine_is_refused(self) -> None:
        app = make_app(hosts=("localhost", "[::1]"))
        async with in_process(app) as client:
            for host, status in [
                ("localhost", 200),
                ("LOCALHOST:8000", 200),
                ("[::1]:80", 200),
                ("evil.example", 403),
                ("localhost.evil.example:80", 403),
                ("localhost@evil.example", 403),
            ]:
                assert (await client.get("/health", headers={"Host": host})).status_code == status, host

    async def test_pages_of_other_origins_are_refused_unless_named(self) -> None:
        ask = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
        async with in_process(make_app()) as client:
            assert "access-control-allow-origin" not in (await client.get("/health", headers=ask)).headers
        async with in_process(make_app(origins=("https://a.example",))) as client:
            response = await client.options("/wav", headers=ask)
            assert response.headers["access-control-allow-origin"] == "https://a.example"
            other = await client.get("/health", headers={"Origin": "https://b.example"})
            assert "access-control-allow-origin" not in other.headers

    async def test_health_names_the_engines(self) -> None:
        async with in_process(make_app()) as client:
            health = (await client.get("/health")).json()
        assert health["status"] == "ok"
        assert (health["synthesizer"], health["recognizer"]) == ("Tone", "Ear")


class TestOpenApi:
    async def test_describes_the_binary_bodies(self) -> None:
        async with in_process(make_app()) as client:
            described = (await client.get("/openapi.json")).json()
        wav = described["paths"]["/wav"]["post"]
        assert wav["requestBody"]["content"]["audio/wav"]["schema"] == {"type": "string", "format": "binary"}
        answer = wav["responses"]["200"]["content"]
        views = {"text/event-stream", "application/x-ndjson", "application/jsonl"}
        assert set(answer) == {"application/vnd.objectstreaming;v=1;coder=tal", "application/octet-stream"} | views
        assert "Retry-After" in wav["responses"]["429"]["headers"]
        objects = described["paths"]["/objects"]["post"]
        assert "question" in json.dumps(objects["requestBody"])
        chat = {"/api/chat", "/api/chat/stream", "/api/chat/voices"}
        openai = {"/v1/chat/completions", "/v1/audio/speech", "/v1/models"}
        assert set(described["paths"]) == {"/objects", "/wav", "/health", "/streams/{id}"} | chat | openai

    async def test_describes_every_line_that_it_sends(self) -> None:
        answer = await self.checked_lines("/objects", json={"question": "why?"})
        assert answer[0]["payload"]["answer"] == "You asked: why?"
        headers = {"Content-Type": "application/octet-stream"}
        spoken = await self.checked_lines("/wav", content=encode_frame({"question": "why?"}), headers=headers)
        assert spoken[0]["header"]["answer"] == "You asked: why?"
        assert len(base64.b64decode(spoken[0]["base64"])) > 1_000

    async def checked_lines(self, path: str, **request: Any) -> list[Any]:
        """The lines of an answer, each checked with the schema that the API describes it with."""
        lines = []
        async with in_process(make_app()) as client:
            description = (await client.get("/openapi.json")).json()
            assert description["openapi"] == "3.2.0"
            content = description["paths"][path]["post"]["responses"]["200"]["content"]
            request["headers"] = {"Accept": "application/jsonl", **request.get("headers", {})}
            response = await client.post(path, **request)
            for line in response.text.splitlines():
                lines.append(json.loads(line))
                jsonschema.validate(lines[-1], content["application/jsonl"]["itemSchema"])
        assert lines[-1] == {"end": {"frames": len(lines) - 1}}
        return lines


class TestClients:
    @pytest.mark.parametrize(
        ("peer", "forwarded", "client"),
        [
            ("192.0.2.7", ["10.0.0.9"], "192.0.2.7"),  # a stranger's word counts for nothing
            ("10.0.0.1", ["192.0.2.7"], "192.0.2.7"),
            ("10.0.0.1", ["1.1.1.1, 192.0.2.7"], "192.0.2.7"),  # the client wrote the first one
            ("10.0.0.1", ["1.1.1.1", "192.0.2.7, 10.0.0.2"], "192.0.2.7"),
            ("10.0.0.1", ["192.0.2.7:4711"], "192.0.2.7"),
            ("10.0.0.1", ["[2001:db8::7]:4711"], "2001:db8::/64"),
            ("10.0.0.1", ["text"], "10.0.0.1"),
            ("10.0.0.1", ["192.0.2.7, "], "10.0.0.1"),
            ("10.0.0.1", [], "10.0.0.1"),
            ("10.0.0.1", ["10.0.0.2, 10.0.0.3"], "10.0.0.2"),
            ("::ffff:10.0.0.1", ["::ffff:192.0.2.7"], "192.0.2.7"),
            ("2001:db8::1", ["1.1.1.1"], "2001:db8::/64"),
            ("2001:db8::ffff:2", ["1.1.1.1"], "2001:db8::/64"),
            ("fe80::1%eth0", [], "fe80::/64"),
            ("testclient", ["1.1.1.1"], "testclient"),
            (None, ["1.1.1.1"], ""),
        ],
    )
    def test_only_a_proxy_that_is_trusted_says_who_the_client_is(
        self, peer: str | None, forwarded: list[str], client: str
    ) -> None:
        scope = {
            "type": "http",
            "client": peer and (peer, 4711),
            "headers": [(b"x-forwarded-for", value.encode()) for value in forwarded],
        }
        assert Clients(["10.0.0.0/8"]).name(scope) == client

    def test_all_proxies_can_be_trusted(self) -> None:
        scope = {"type": "http", "client": ("192.0.2.1", 1), "headers": [(b"x-forwarded-for", b"1.1.1.1, 2.2.2.2")]}
        assert Clients("*").name(scope) == "1.1.1.1"

    def test_what_is_no_address_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"proxy\.example"):
            create_app(Settings(proxies=["proxy.example"]))

    async def test_a_header_that_any_client_can_send_evades_no_limit(self) -> None:
        async with in_process(make_app(limits=AppLimits(burst=3))) as client:
            statuses = [
                (await client.post("/objects", json={"question": "a"}, headers={"X-Forwarded-For": f"10.0.0.{n}"}))
                for n in range(5)
            ]
        assert [response.status_code for response in statuses] == [200, 200, 200, 429, 429]


class TestGate:
    async def test_passes_on_what_is_not_http(self) -> None:
        seen = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            seen.append(scope["type"])

        await Gate(app, AppLimits(), hosts={"localhost"})({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
        assert seen == ["lifespan"]


async def test_hundreds_of_answers_at_once_are_each_whole() -> None:
    app = make_app(limits=AppLimits(streams=1_000, streams_per_client=1_000, burst=1_000))
    with LoopbackServer(app) as server:
        limits = httpx.Limits(max_connections=200)
        async with httpx.AsyncClient(base_url=server.url, limits=limits, timeout=DEADLINE) as client:

            async def ask(n: int) -> None:
                body = {"question": f"number {n}"}
                async with aopen_stream(client, "POST", "/objects", coder=JsonCoder(), json=body) as stream:
                    answer = [payload["answer"] async for _, payload in stream]
                assert answer == [f"You asked: number {n}", "The fox is red."]

            await asyncio.gather(*(ask(n) for n in range(150)))


def test_a_refusal_is_a_clear_error_on_the_client(client: httpx.Client) -> None:
    with pytest.raises(ResponseError) as caught:
        read(client, "/wav", TALCoder(), content=b"RIFX\0\0\0\0WAVE", headers={"Content-Type": "audio/wav"})
    assert (caught.value.status, caught.value.code) == (400, "invalid_argument")
