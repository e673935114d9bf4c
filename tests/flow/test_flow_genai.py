"""The samples of genai-processors' page "Async & Streaming", with their names changed and nothing else; and the page
docs/flow.md names every public step of VoiceStream and of genai-processors' `streams`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from objectstreaming import flow

PAGE = Path(__file__).parents[2] / "docs" / "flow.md"


async def model(input_stream: AsyncIterable[str]) -> AsyncIterator[str]:
    async for part in input_stream:
        yield f"[{part}]"


async def test_token_by_token_streaming(capsys: pytest.CaptureFixture[str]) -> None:
    input_stream = flow.from_iterable(["Hello", "World"])
    async for part in model(input_stream):
        print(part, end="", flush=True)  # noqa: T201
    assert capsys.readouterr().out == "[Hello][World]"


async def test_buffering() -> None:
    input_stream = flow.from_iterable(['{"whole":', "true}"])
    parts = await flow.collect(input_stream)
    full_text = "".join(parts)
    assert json.loads(full_text) == {"whole": True}


async def test_creating_streams() -> None:
    stream: Any
    stream = flow.from_iterable(items=["Hello", "World"])
    assert await flow.collect(stream) == ["Hello", "World"]
    stream = flow.from_iterable(items=["Hi", "there"], delay=0.005)
    assert await flow.collect(stream) == ["Hi", "there"]
    stream = flow.endless()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.005):
            await flow.collect(stream)


async def test_queues() -> None:
    # Queue of parts. None is added to indicate when the queue is done.
    q = asyncio.Queue[str | None]()
    for part in ("Hello", "World", None):
        q.put_nowait(part)
    # An iterable over the parts of q until None is met.
    stream = flow.dequeue(q)
    # Adds the content of stream into the queue p, adds None when done. The page leaves out the await.
    p = asyncio.Queue[str | None]()
    await flow.enqueue(stream, p)
    assert [p.get_nowait() for _ in range(p.qsize())] == ["Hello", "World", None]


async def test_splitting_streams() -> None:
    content = flow.from_iterable([["a"], ["b"]])
    stream1, stream2 = flow.split(content, n=2)
    assert await asyncio.gather(flow.collect(stream1), flow.collect(stream2)) == [[["a"], ["b"]]] * 2

    content = flow.from_iterable([["a"], ["b"]])
    s1, s2 = flow.split(content, n=2, with_copy=True)
    first, second = await asyncio.gather(flow.collect(s1), flow.collect(s2))
    first[0].append("changed")
    assert second == [["a"], ["b"]]


async def test_concat(capsys: pytest.CaptureFixture[str]) -> None:
    stream1, stream2 = flow.from_iterable("ab", delay=0), flow.from_iterable("cd")
    async for part in flow.concat(stream1, stream2):
        print(part)  # noqa: T201
    assert capsys.readouterr().out.split() == ["a", "b", "c", "d"]


async def test_merge(capsys: pytest.CaptureFixture[str]) -> None:
    stream1, stream2 = flow.from_iterable("ab", delay=0), flow.from_iterable("cd", delay=0)
    async for part in flow.merge([stream1, stream2]):
        print(part)  # noqa: T201
    assert sorted(capsys.readouterr().out.split()) == ["a", "b", "c", "d"]
    stream1, stream2 = flow.from_iterable("ab"), flow.endless()
    assert await flow.collect(flow.merge([stream1, stream2], stop_on_first=True)) == ["a", "b"]


VOICESTREAM = """
    array_sink array_source async_init_step AudioWithText binary_file_sink binary_file_source
    buffer_tts_text_step byte_buffer_step cancelable_substream_step chunk_bytes_step collect_dict_step
    concat_step count_step delay_step empty_source empty_sink EndOfStreamMarker extract_value_step filter_step
    filter_spurious_speech_start_events_step flatten_step fork_step interruptable_substream_step log_step
    map_step map_str_to_json_step merge_as_dict_step merge_step min_size_bytes_step min_tokens_step none_source
    partition_step queue_sink queue_source QueueAsyncIterator QueueWithException recover_exception_step
    single_source speech_with_start_detection_step str_buffer_step substream_on_dict_key_step substream_step
    text_file_sink text_file_source timed_text_rate_limit_step timeout_step abort_step tts_rate_limit_step
    tts_with_buffer_and_rate_limit_step wait_for_punctuation_step exception_handling_substream
    first_partial_speech_result_step audio_rate_limit_step raw_audio_rate_limit_step wav_mulaw_file_source
    wav_mulaw_file_sink mp3_chunk_step ogg_page_separator_step ogg_concatenator_step
    fastapi_websocket_text_source fastapi_websocket_bytes_source fastapi_websocket_json_source
    fastapi_websocket_text_sink fastapi_websocket_bytes_sink quart_websocket_source quart_websocket_sink
    google_speech_step google_speech_v1_step google_text_to_speech_step langchain_step
    langchain_load_memory_step langchain_save_memory_step twilio_split_media_step twilio_check_sequence_step
    twilio_close_on_stop_step twilio_media_to_audio_bytes_step audio_bytes_to_twilio_media_step
    twilio_format_events_step ignore_none cancel_messages
"""

GENAI = """
    split concat merge enqueue dequeue stream_content gather_stream aenumerate endless_stream with_copy
    queue_maxsize stop_on_first with_delay_sec delay_first delay_end ContentStream
"""


@pytest.mark.parametrize("name", [*VOICESTREAM.split(), *GENAI.split()])
def test_the_page_names_every_public_step(name: str) -> None:
    section = PAGE.read_text().partition("## Coming from")[2]
    assert name in section


@pytest.mark.parametrize("name", flow.__all__)
def test_the_page_names_every_verb(name: str) -> None:
    if name not in ("Branch", "WhenFull"):  # types, not verbs
        assert f"`{name}" in PAGE.read_text()
