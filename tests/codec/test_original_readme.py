"""The sample code in the README of the public objectstreaming project of 2024, served by FastAPI and read by a client.

As printed, but for its slips: `answer += text` had no `answer`, `query` was free, and `r_obj` was meant to be `r_dict`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from types import ModuleType
from typing import Any

import fastapi
import httpx
import numpy as np
import pytest
from fastapi.responses import StreamingResponse

import object_streaming
import objectstreaming
import wav_streaming
from objectstreaming import FrameDecoder, JsonCoder, iter_messages
from wav_streaming import TALAudio, TALCoder, tal_decoder, tal_encoder

query = "What is a frame?"

# ---------------------------------------------------------------- wav streaming, as printed


def audio_response_to_stream(audio_iter: Iterable[Any]) -> Iterator[bytes]:
    r = TALAudio()
    order = 0
    answer = ""
    for audio in audio_iter:
        # the example of autio_iter is an iterator of [str, int, int, nd.array]
        text, bit_depth, sample_rate, channels, audio_array = audio  # str, int, int, nd.array
        if len(audio_array) == 0:
            continue
        # keep answer
        answer += text
        order += 1
        r.order = order
        r.sign = 1 if order == 1 else 2  # start if order is 1, else 2 meaning the middle message
        r.bitDepth = bit_depth
        r.audioType = f"int{bit_depth}"  # type: ignore[assignment]
        r.sampleRate = sample_rate
        r.channels = channels
        r.answer = text
        r.question = query
        wav = audio_array.tobytes()  # nd.array to bytes
        yield tal_encoder(r, wav=wav)


def audios() -> Iterator[tuple[str, int, int, int, Any]]:
    tone = np.sin(np.linspace(0, 440 * 2 * np.pi, 16000))
    yield "A frame is ", 16, 16000, 1, (tone * 20000).astype(np.int16)
    yield "(nothing to hear) ", 16, 16000, 1, np.array([], np.int16)
    yield "two lengths, ", 16, 16000, 2, np.column_stack([tone, -tone]).astype(np.int16)
    yield "a header and a payload. 漢字", 32, 48000, 1, (tone * 2**30).astype(np.int32)


# ---------------------------------------------------------------- object streaming, as printed


def coder_sample(AnbJsonStreamCoder: Any) -> Any:  # noqa: N803
    # helper function
    async def convert_results_to_stream() -> AsyncIterator[bytes]:
        for i in range(3):
            # a header
            r_header = {
                "status": "success",
                "reason": "none",
            }
            # an answer back to client
            r_dict = {
                "answer": f"LLM answers here, {i}...",
                "source": "documentX_page_12",
            }
            # convert to bytes
            r_bytes = AnbJsonStreamCoder.encode(r_header, r_dict)
            yield r_bytes

    return convert_results_to_stream


# ---------------------------------------------------------------- the server, and clients new and old


def app_with(AnbJsonStreamCoder: Any) -> fastapi.FastAPI:  # noqa: N803
    app = fastapi.FastAPI()

    @app.get("/wav")
    def wav() -> StreamingResponse:
        audio_iter = audios()
        # get the bytes
        rs = audio_response_to_stream(audio_iter)
        # fastapi streaming back to client use application/octet-stream mimetype
        return StreamingResponse(rs, media_type="application/octet-stream")

    @app.get("/objects")
    def objects() -> StreamingResponse:
        # get the bytes
        rs = coder_sample(AnbJsonStreamCoder)()
        # fastapi streaming back to client use application/octet-stream mimetype
        return StreamingResponse(rs, media_type="application/octet-stream")

    return app


async def fetch(app: fastapi.FastAPI, path: str) -> bytes:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        response = await client.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/octet-stream"
    return response.content


@pytest.mark.parametrize("module", [object_streaming, objectstreaming])
async def test_the_object_sample(module: ModuleType) -> None:
    coder = module.AnbJsonStreamCoder
    wire = await fetch(app_with(coder), "/objects")
    expected = [
        (
            {"status": "success", "reason": "none"},
            {"answer": f"LLM answers here, {i}...", "source": "documentX_page_12"},
        )
        for i in range(3)
    ]

    answers = []
    rest: bytes | None = wire
    while rest:  # the original's client, `rest` being None at the end
        header, answer, rest = coder.decode(rest)
        answers.append((header, answer))
    assert answers == expected
    assert list(iter_messages([wire], JsonCoder())) == expected


async def test_the_wav_sample() -> None:
    wire = await fetch(app_with(object_streaming.AnbJsonStreamCoder), "/wav")
    heard = [audio for audio in audios() if len(audio[4])]

    found = []
    rest = wire
    while output := tal_decoder(rest):  # the original's client, None at the end
        message, rest = output
        found.append(message)
    assert rest == b""
    assert [header["answer"] for header, _ in found] == [text for text, *_ in heard]
    assert [pcm for _, pcm in found] == [array.tobytes() for *_, array in heard]

    messages = list(iter_messages([wire], TALCoder(samples=True)))
    assert [(tal.sign, tal.order) for tal, _ in messages] == [(1, 1), (2, 2), (2, 3)]
    assert {tal.question for tal, _ in messages} == {query}
    for (tal, samples), (_, bit_depth, sample_rate, channels, array) in zip(messages, heard, strict=True):
        assert (tal.bitDepth, tal.sampleRate, tal.channels) == (bit_depth, sample_rate, channels)
        assert np.array_equal(samples, array.reshape(-1, channels))


async def test_the_wav_sample_in_chunks_of_any_size() -> None:
    wire = b"".join(audio_response_to_stream(audios()))
    whole = [bytes(frame) for frame in FrameDecoder().feed(wire)]
    for size in (1000, 1460, 4096):
        decoder = FrameDecoder()
        chunks = (wire[at : at + size] for at in range(0, len(wire), size))
        assert [bytes(frame) for chunk in chunks for frame in decoder.feed(chunk)] == whole
        decoder.finish()


def test_the_names_it_imports() -> None:
    assert object_streaming.AnbJsonStreamCoder is objectstreaming.AnbJsonStreamCoder
    assert wav_streaming.TALAudio is TALAudio
    assert wav_streaming.tal_encoder is tal_encoder
