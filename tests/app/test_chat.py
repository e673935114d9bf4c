"""`/api/chat/stream`, `/api/chat` and `/api/chat/voices` over real HTTP on loopback."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from chat_client import ChatClient
from deadlines import DEADLINE, until, wait_until
from fastapi import FastAPI
from httpx_sse import EventSource
from hypothesis import given, settings
from hypothesis import strategies as st
from needed_programs import needs
from reference_app import TEXT, Choir, Fox, Hanging, Model, Tone, Waiting, make_app

from objectstreaming import Limits, RawCoder, StreamError
from objectstreaming.app.answers import Sentence
from objectstreaming.app.chat_messages import Summary, chat_messages, tokens_of
from objectstreaming.app.chat_views import ChatView
from objectstreaming.app.limits import AppLimits
from objectstreaming.cli.loopback import LoopbackServer
from objectstreaming.client import aopen_stream, open_stream
from objectstreaming.store import MemoryStore
from objectstreaming.testing import StreamingASGITransport
from wav_streaming import FliteSynthesizer, Sound, TALCoder, read_wav

EVENTS, LINES, V1 = "text/event-stream", "application/x-ndjson", "application/vnd.objectstreaming;v=1"


@contextmanager
def served(**options: Any) -> Iterator[httpx.Client]:
    app = make_app(**{"answerer": Model(), "limits": AppLimits(burst=10_000), **options})
    with LoopbackServer(app) as server, httpx.Client(base_url=server.url, timeout=DEADLINE) as client:
        yield client


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with served(voice=Choir()) as client:
        yield client


def events(client: httpx.Client, path: str = "/api/chat/stream", **body: Any) -> list[tuple[str, str]]:
    with client.stream("POST", path, json={"message": "Why?", **body}, headers={"Accept": EVENTS}) as response:
        assert response.status_code == 200, response.read()
        return [(event.event, event.data) for event in EventSource(response).iter_sse()]


def text_of(found: list[tuple[str, str]]) -> str:
    return "".join(data for name, data in found if name == "text")


def sounds_of(found: list[tuple[str, str]]) -> list[Sound]:
    return [read_wav(base64.b64decode(data)) for name, data in found if name == "audio"]


def lines(client: httpx.Client, **body: Any) -> list[dict[str, Any]]:
    response = client.post("/api/chat/stream", json={"message": "Why?", **body}, headers={"Accept": LINES})
    return [json.loads(line) for line in response.iter_lines() if line]


# ----------------------------------------------------------------------------------------------------- the events


class TestEvents:
    def test_the_curl_command_of_the_document(self) -> None:
        needs("curl", "espeak-ng")
        command = """
# Test with curl (SSE stream)
curl -N -X POST http://localhost:8000/api/chat/stream \\
  -H "Content-Type: application/json" \\
  -d '{"message": "Tell me a short joke"}'
"""
        with served(voice=None) as client:
            where = str(client.base_url).rstrip("/")
            script = command.replace("http://localhost:8000", where)
            done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, timeout=DEADLINE)
        pieces = [TEXT[at : at + 3] for at in range(0, len(TEXT), 3)]
        written = ["event: text\n" + "".join(f"data: {line}\n" for line in piece.split("\n")) for piece in pieces]
        got = [event + "\n" for event in done.stdout.split("\n\n")[:-1]]
        assert [event for event in got if event.startswith("event: text")] == written
        audio = [event for event in got if event.startswith("event: audio\ndata: UklGR")]
        assert len(audio) == 4
        assert got[-1] == "event: done\ndata: 4\n"
        assert len(got) == len(written) + len(audio) + 1

    def test_ordinary_text_is_byte_for_byte_as_documented(self) -> None:
        with served(answerer=Model("Why did the", 3)) as client:
            body = client.post("/api/chat/stream", json={"message": "Why?", "audio": False})
        assert body.headers["content-type"].startswith("text/event-stream")
        assert body.content == (
            b"event: text\ndata: Why\n\nevent: text\ndata:  di\n\nevent: text\ndata: d t\n\nevent: text\ndata: he\n\n"
            b"event: done\ndata: 0\n\n"
        )

    @pytest.mark.parametrize("accept", [None, "*/*", "text/event-stream", "application/json, text/plain, */*"])
    def test_is_the_default_of_the_endpoint(self, client: httpx.Client, accept: str | None) -> None:
        request = client.build_request("POST", "/api/chat/stream", json={"message": "Why?"})
        del request.headers["accept"]
        if accept is not None:
            request.headers["accept"] = accept
        response = client.send(request)
        assert response.headers["content-type"].startswith(EVENTS)
        assert b"event: done\ndata: 4\n\n" in response.content

    def test_every_sentence_has_one_sound_that_is_a_whole_file(self, client: httpx.Client) -> None:
        found = events(client)
        assert text_of(found) == TEXT
        assert [round(sound.seconds, 2) for sound in sounds_of(found)] == [0.15, 0.08, 0.04, 0.08]

    def test_a_sentence_that_cannot_be_spoken_costs_its_sound_only(self) -> None:
        with served(voice=Tone("runs")) as client:
            found = events(client)
            assert text_of(found) == TEXT
            assert found[-1] == ("done", "3")
            [failed] = [line for line in lines(client) if "error" in line]
        assert (failed["sentence"], failed["error"], failed["text"]) == (3, "unavailable", "  It runs. ")

    def test_a_sentence_whose_sound_cannot_be_sent_is_counted_as_failed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def to_mono(sound: Sound, rate: int) -> Sound:
            raise MemoryError

        monkeypatch.setattr("objectstreaming.app.chat_messages.to_mono", to_mono)
        with served(voice=Tone(), sample_rate=24_000) as client:
            assert events(client)[-1] == ("done", "0")
            assert lines(client)[-1].items() >= {"kind": "end", "audio": 0, "failed": 4}.items()

    def test_a_late_failure_is_an_error_event_and_a_broken_connection(self) -> None:
        class Failing(Model):
            async def tokens(self, question: str) -> AsyncIterator[str]:
                yield "So far so good. "
                await asyncio.sleep(0.05)
                raise StreamError("unavailable", "the model\nhas gone")

        chunks: list[bytes] = []
        with (
            served(answerer=Failing()) as client,
            client.stream("POST", "/api/chat/stream", json={"message": "Why?"}) as response,
            pytest.raises(httpx.RemoteProtocolError),
        ):
            chunks.extend(response.iter_bytes())
        assert b"".join(chunks).endswith(b"event: error\ndata: the model\ndata: has gone\n\n")

    def test_an_early_failure_has_its_status(self) -> None:
        class Failing(Model):
            async def tokens(self, question: str) -> AsyncIterator[str]:
                raise StreamError("unavailable", "the model has gone")
                yield ""

        class Empty(Model):
            async def tokens(self, question: str) -> AsyncIterator[str]:
                yield ""

        for answerer in (Failing(), Empty()):
            with served(answerer=answerer) as client:
                for path in ("/api/chat/stream", "/api/chat"):
                    response = client.post(path, json={"message": "Why?"})
                    assert (response.status_code, response.json()["code"]) == (503, "unavailable")


def standard_reader(body: bytes) -> list[tuple[str, str]]:
    """WHATWG HTML, section 9.2.6, "Interpreting an event stream", read literally."""
    found, name, data = [], "", ""
    for line in body.decode().replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if not line:
            if data:
                found.append((name or "message", data.removesuffix("\n")))
            name, data = "", ""
        elif not line.startswith(":"):
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "event":
                name = value
            elif field == "data":
                data += value + "\n"
    return found


def simple_reader(body: bytes) -> list[tuple[str, str]]:
    """As most hand-written clients read: events at empty lines, fields by their beginnings."""
    found = []
    for event in body.decode().split("\n\n")[:-1]:
        rows = event.split("\n")
        data = [row[len("data: ") :] for row in rows if row.startswith("data: ")]
        found.append((rows[0].removeprefix("event: "), "\n".join(data)))
    return found


def httpx_reader(body: bytes) -> list[tuple[str, str]]:
    response = httpx.Response(200, headers={"Content-Type": EVENTS}, content=body)
    return [(event.event, event.data) for event in EventSource(response).iter_sse()]


PIECES = st.lists(st.sampled_from(["a", " ", "\n", "\r", "\r\n", "\n\n", ":", "data: x", "é", "", " did"]), max_size=12)


@pytest.mark.parametrize("reader", [standard_reader, simple_reader, httpx_reader])
@given(PIECES)
def test_every_reader_gets_the_text_whole_for_every_cut(reader: Any, pieces: list[str]) -> None:
    encoder = ChatView().encoder(RawCoder(), Limits(), None)
    body = b"".join(encoder.data({"kind": "text"}, piece.encode()) for piece in pieces) + encoder.end()
    found = reader(body)
    assert text_of(found) == "".join(pieces).replace("\r\n", "\n").replace("\r", "\n")
    assert found[-1] == ("done", "0")


# ------------------------------------------------------------------------------------------------ other formats


class Spelling(Choir):
    """Says each word by itself, so the samples are the same however the text is cut and joined."""

    async def synthesize(self, text: str) -> Sound:
        words = [await super(Spelling, self).synthesize(word) for word in text.split()]
        return Sound(b"".join(word.pcm for word in words), 8_000)


async def over_a_websocket(question: dict[str, Any]) -> list[Any]:
    async with ChatClient(make_app(answerer=Model(), voice=Spelling())) as chat:
        chat.send(question)
        [*messages, (end, _)] = await chat.answer()
        assert end["kind"] == "end"
        return messages


class TestFormats:
    @pytest.fixture
    def spelled(self) -> Iterator[httpx.Client]:
        with served(voice=Spelling()) as client:
            yield client

    def test_all_have_the_same_text_and_the_same_samples(self, spelled: httpx.Client) -> None:
        client = spelled
        question = {"message": "Why?"}
        found = events(client)
        sounds = [sound.pcm for sound in sounds_of(found)]

        with open_stream(client, "POST", "/api/chat/stream", coder=RawCoder(), json=question) as stream:
            frames = list(stream)
        for messages in (frames, asyncio.run(over_a_websocket(question))):
            assert b"".join(pcm for header, pcm in messages if header["kind"] == "text").decode() == TEXT
            assert "".join(header.get("text", "") for header, _ in messages if header["kind"] == "audio") == TEXT
            assert b"".join(pcm for header, pcm in messages if header["kind"] == "audio") == b"".join(sounds)

        read = lines(client)
        assert "".join(line["text"] for line in read if line["kind"] == "text") == TEXT
        assert b"".join(base64.b64decode(line.get("data", "")) for line in read) == b"".join(sounds)

        headers = {"Accept": f"{V1};coder=tal"}
        with open_stream(
            client, "POST", "/api/chat/stream", coder=TALCoder(), json=question, headers=headers
        ) as spoken:
            tals = list(spoken)
        assert "".join(tal.answer for tal, _ in tals) == TEXT
        assert [tal.sign for tal, _ in tals] == [1, 2, 2, 2, 2, 3]
        assert {tal.question for tal, _ in tals} == {"Why?"}
        assert [pcm for _, pcm in tals if pcm] == sounds

        whole = client.post("/api/chat", json=question)
        assert whole.headers["content-type"] == "application/json"
        assert whole.json()["response"] == TEXT
        assert whole.json()["sample_rate"] == 8_000
        assert read_wav(base64.b64decode(whole.json()["audio"])).pcm == b"".join(sounds)

    @pytest.mark.parametrize("formats", [[(8_000, 2), (8_000, 1)], [(8_000, 1), (16_000, 2)], [(8_000, 2), (8_000, 3)]])
    def test_one_json_has_one_sound_whatever_formats_the_sentences_have(self, formats: list[tuple[int, int]]) -> None:
        class Changing:
            async def synthesize(self, text: str) -> Sound:
                rate, channels = formats[text == "Two."]
                return Sound(bytes(2 * rate * channels), rate, channels)  # a second

        with served(answerer=Model("One. Two."), voice=Changing()) as client:
            whole = client.post("/api/chat", json={"message": "Why?"}).json()
        sound = read_wav(base64.b64decode(whole["audio"]))
        assert (sound.seconds, sound.sample_rate, sound.channels) == (2, 8_000, 1)

    def test_the_header_of_a_frame(self) -> None:
        with (
            served(answerer=Model("0123456789" * 5 + ". Yes.", 100)) as client,
            open_stream(client, "POST", "/api/chat/stream", coder=RawCoder(), json={"message": "Why?"}) as stream,
        ):
            [text, *audio] = list(stream)
            trailers = stream.trailers
        assert text[0] == {"kind": "text"}
        form = {"kind": "audio", "format": "s16le", "rate": 8_000, "channels": 1}
        first = {"sentence": 1, "text": "0123456789" * 5 + ". ", "samples": 51 * 80}
        assert [header for header, _ in audio] == [
            form | first | {"at": 0},
            form | {"sentence": 1, "at": 200_000},
            form | {"sentence": 1, "at": 400_000},
            form | {"sentence": 2, "text": "Yes.", "samples": 4 * 80, "at": 510_000},
        ]
        assert [len(pcm) for _, pcm in audio] == [3_200, 3_200, 2 * 110 * 8, 640]
        assert trailers is not None
        assert {"sentences": 2, "audio": 2, "failed": 0, "seconds": 0.55, "cached": 0}.items() <= trailers.items()
        assert set(trailers) == {"sentences", "audio", "failed", "first_text", "first_audio", "seconds", "cached"}

    def test_the_last_line_of_json_lines_says_how_it_ended(self, client: httpx.Client) -> None:
        last = lines(client)[-1]
        assert (last["kind"], last["sentences"], last["audio"]) == ("end", 5, 4)

    def test_of_two_coders_the_client_gets_the_one_that_it_likes_better(self, client: httpx.Client) -> None:
        accept = f"{V1};coder=raw;q=0.5, {V1};coder=tal"
        response = client.post("/api/chat/stream", json={"message": "Why?"}, headers={"Accept": accept})
        assert response.headers["content-type"] == f"{V1};coder=tal"

    def test_frames_without_a_coder_named_are_raw(self, client: httpx.Client) -> None:
        response = client.post("/api/chat/stream", json={"message": "Why?"}, headers={"Accept": V1})
        assert response.headers["content-type"] == f"{V1};coder=raw"

    def test_the_other_answers_are_there_at_both_addresses(self, client: httpx.Client) -> None:
        assert events(client, "/api/chat") == events(client, "/api/chat/stream")

    def test_what_nobody_has_is_refused(self, client: httpx.Client) -> None:
        response = client.post("/api/chat/stream", json={"message": "Why?"}, headers={"Accept": "text/html"})
        assert response.status_code == 406

    async def test_the_answers_of_documents_are_joined_with_spaces(self) -> None:
        assert [token async for token in tokens_of(Fox(), "Why?")] == ["You asked: Why?", " The fox is red."]

    @settings(max_examples=30)
    @given(
        st.lists(st.sampled_from(["It ", "did. ", "fails! ", "Why", "?", "\n\n", "3.", "**", "。"])), st.integers(1, 5)
    )
    def test_for_every_cut_and_every_failure_the_texts_are_whole_and_the_positions_exact(
        self, words: list[str], step: int
    ) -> None:
        text = "It. " + "".join(words)

        class Odd:
            async def synthesize(self, text: str) -> Sound:
                if "fails" in text:
                    raise OSError
                return Sound(bytes(2 * 777 * len(text)), 22_050)

        async def make() -> list[tuple[Any, bytes]]:
            tokens = tokens_of(Model(text, step), "Why?")
            return [message async for message in chat_messages(tokens, Odd(), Summary())]

        messages = asyncio.run(make())
        assert b"".join(payload for header, payload in messages if header["kind"] == "text").decode() == text
        first = [header for header, _ in messages if "text" in header]
        assert "".join(header["text"] for header in first) == text
        assert [header["sentence"] for header in first] == list(range(1, len(first) + 1))
        samples = 0
        for header in first:
            assert ("error" in header) == ("fails" in header["text"])
            if "samples" in header:
                assert header["at"] == round(1_000_000 * samples / 22_050)
                samples += header["samples"]
        assert sum(len(payload) for header, payload in messages if header["kind"] == "audio") == 2 * samples

    async def test_the_time_of_the_first_text_is_that_of_the_first_text_however_soon_it_comes(self) -> None:
        async def model() -> AsyncGenerator[str]:
            nonlocal now
            yield ""
            yield "One. "
            now = 5.0
            yield "Two."

        now, summary = 0.0, Summary()
        _ = [message async for message in chat_messages(model(), None, summary, clock=lambda: now)]
        assert summary.first_text == 0.001

    async def test_positions_do_not_drift(self) -> None:
        class Odd:
            async def synthesize(self, text: str) -> Sound:
                return Sound(bytes(2 * 7_777), 22_050)

        messages = chat_messages(tokens_of(Model("Yes. " * 100, 7), "Why?"), Odd(), Summary())
        ats = [header["at"] async for header, _ in messages if header.get("samples")]
        assert ats == [round(1_000_000 * n * 7_777 / 22_050) for n in range(100)]


# --------------------------------------------------------------------------------------------------- the request


class TestRequest:
    def test_a_voice_and_a_speed(self, client: httpx.Client) -> None:
        assert sounds_of(events(client, voice="duo"))[0].channels == 2
        assert sounds_of(events(client, speed=2))[0].seconds == pytest.approx(0.075)

    def test_without_sound(self, client: httpx.Client) -> None:
        found = events(client, audio=False)
        assert (text_of(found), found[-1]) == (TEXT, ("done", "0"))
        assert client.post("/api/chat", json={"message": "Why?", "audio": False}).json() == {
            "response": TEXT,
            "audio": None,
            "sample_rate": None,
        }

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            ({}, 'must be {"message"'),
            ({"message": 3}, 'must be {"message"'),
            ([], 'must be {"message"'),
            ({"message": "  "}, "is empty"),
            ({"message": "Why?", "voice": "nobody"}, "there are solo, duo"),
            ({"message": "Why?", "voice": 3}, "name of a voice"),
            ({"message": "Why?", "voice": "x" * 101}, "name of a voice"),
            ({"message": "Why?", "speed": "fast"}, "from 0.5 to 2"),
            ({"message": "Why?", "speed": True}, "from 0.5 to 2"),
            ({"message": "Why?", "speed": 10**4000}, "from 0.5 to 2"),
            ({"message": "Why?", "audio": ["mp3"]}, "pcm, flac, opus"),
            ({"message": "Why?", "audio": []}, "pcm, flac, opus"),
            ({"message": "Why?", "audio": "pcm"}, "list of formats"),
        ],
    )
    @pytest.mark.parametrize("path", ["/api/chat/stream", "/api/chat"])
    def test_a_wrong_one_is_refused_with_the_reason(self, client: httpx.Client, path: str, body: Any, why: str) -> None:
        response = client.post(path, json=body)
        assert (response.status_code, response.json()["code"]) == (400, "invalid_argument")
        assert why in response.json()["message"]

    def test_null_is_what_was_not_said(self, client: httpx.Client) -> None:
        assert events(client, voice=None, speed=None, audio=None) == events(client)

    def test_the_speed_of_a_voice_without_a_name_cannot_be_changed(self) -> None:
        class Nameless(Choir):
            def voices(self) -> list[Any]:
                return []

        with served(voice=Nameless()) as client:
            response = client.post("/api/chat", json={"message": "Why?", "speed": 2})
            assert (response.status_code, response.json()["code"]) == (400, "invalid_argument")
            assert sounds_of(events(client, voice="duo", speed=2))[0].channels == 2

    def test_formats_that_it_does_not_have_may_be_named_too(self, client: httpx.Client) -> None:
        assert events(client, audio=["opus", "pcm"])[-1] == ("done", "4")

    def test_one_voice_cannot_be_changed(self) -> None:
        with served(voice=Tone()) as client:
            response = client.post("/api/chat/stream", json={"message": "Why?", "voice": "af_sarah"})
            assert (response.status_code, response.json()["code"]) == (400, "invalid_argument")
            assert client.get("/api/chat/voices").json() == {"voices": [], "default": None, "speed": [1, 1]}

    def test_the_voices_are_listed(self, client: httpx.Client) -> None:
        assert client.get("/api/chat/voices").json() == {
            "voices": [
                {"name": "solo", "language": "en-us", "gender": "female"},
                {"name": "duo", "language": "en-gb", "gender": "male"},
            ],
            "default": "solo",
            "speed": [0.5, 2],
        }

    def test_the_settings_choose_voice_and_rate(self) -> None:
        with served(voice=FliteSynthesizer(), sample_rate=24_000) as client:
            needs("flite")
            assert {sound.sample_rate for sound in sounds_of(events(client))} == {24_000}

    def test_a_sentence_that_was_spoken_is_not_spoken_again(self) -> None:
        class Counting(Tone):
            spoken = 0

            async def synthesize(self, text: str) -> Sound:
                self.spoken += 1
                return await super().synthesize(text)

        for sounds, spoken in ((1_000_000, 4), (0, 8)):
            voice = Counting()
            with served(voice=voice, sounds=sounds) as client:
                assert events(client) == events(client)
                assert voice.spoken == spoken
                assert lines(client)[-1]["cached"] == 8 - spoken

    def test_without_an_engine_there_is_text_and_no_speech(self) -> None:
        from objectstreaming.app import Settings, create_app

        app = create_app(Settings(engines=False), answerer=Model())
        with LoopbackServer(app) as server, httpx.Client(base_url=server.url, timeout=DEADLINE) as client:
            assert events(client)[-1] == ("done", "0")
            refused = client.post("/api/chat", json={"message": "Why?"}, headers={"Accept": f"{V1};coder=tal"})
            assert (refused.status_code, refused.json()["code"]) == (501, "unimplemented")


# ---------------------------------------------------------------------------------------------------- in time


class TestInTime:
    def test_text_and_sound_come_while_the_model_still_answers(self) -> None:
        model = Waiting()
        with (
            served(answerer=model) as client,
            client.stream("POST", "/api/chat/stream", json={"message": "Why?"}) as response,
        ):
            names = []
            for event in EventSource(response).iter_sse():
                names.append(event.event)
                if event.event == "audio":
                    model.go_on.set()
        assert names == ["text", "audio", "text", "audio", "audio", "done"]

    def test_text_does_not_wait_for_a_voice_that_hangs_and_leaving_stops_both(self) -> None:
        model, voice = Waiting(), Hanging()
        with served(answerer=model, voice=voice) as client:
            with client.stream("POST", "/api/chat/stream", json={"message": "Why?"}) as response:
                found = EventSource(response).iter_sse()
                assert next(found).data == "One. Two"
                wait_until(lambda: voice.at_work)
                model.go_on.set()
                assert next(found).data == ". Three."
            wait_until(lambda: not voice.at_work)
            assert model.closed.wait(DEADLINE)

    @pytest.mark.parametrize("path", ["/api/chat/stream", "/api/chat"])
    async def test_leaving_before_the_answer_stops_everything(self, path: str) -> None:
        model, voice = Waiting(), Hanging()
        app: FastAPI = make_app(answerer=model, voice=voice)
        async with httpx.AsyncClient(transport=StreamingASGITransport(app), base_url="http://localhost") as client:
            asking = asyncio.ensure_future(client.post(path, json={"message": "Why?"}))
            await until(lambda: voice.at_work)
            asking.cancel()
            await asyncio.wait([asking])
            await until(lambda: not voice.at_work and model.closed.is_set())

    async def test_a_client_with_frames_can_leave_at_every_message(self) -> None:
        app: FastAPI = make_app(answerer=Model(), voice=Tone(), limits=AppLimits(burst=1_000))
        async with httpx.AsyncClient(transport=StreamingASGITransport(app), base_url="http://localhost") as client:
            for most in range(1, 20):
                before = asyncio.all_tasks()
                async with aopen_stream(
                    client, "POST", "/api/chat/stream", coder=RawCoder(), json={"message": "Why?"}
                ) as stream:
                    for _ in range(most):
                        await anext(stream, None)
                await until(lambda before=before: asyncio.all_tasks() == before)


class TestStored:
    def test_an_answer_is_resumed_at_every_message(self) -> None:
        with served(store=MemoryStore(), answerer=Model(step=12)) as client:
            with open_stream(client, "POST", "/api/chat/stream", coder=RawCoder(), json={"message": "why?"}) as stream:
                place = stream.response.headers["Content-Location"]
                answer = list(stream)
            assert len(answer) > 6  # how sentences are joined depends on the time
            for position in range(len(answer) + 1):
                at = {"position": position}
                with open_stream(client, "GET", place, coder=RawCoder(), params=at, require_end=True) as rest:
                    assert list(rest) == answer[position:]
                    assert rest.trailers == stream.trailers

    def test_events_are_the_same_with_and_without_a_store(self, client: httpx.Client) -> None:
        with served(store=MemoryStore()) as stored:
            assert events(stored, message="why?") == events(client, message="why?")


def test_an_answer_of_another_answerer_is_sent_as_text_too() -> None:
    class Two:
        async def answer(self, question: str) -> AsyncIterator[Sentence]:
            yield Sentence("One.", "a.md")
            yield Sentence("Two.", "")

    with served(answerer=Two()) as client:
        assert text_of(events(client)) == "One. Two."
