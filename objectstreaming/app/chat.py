"""Answers from any OpenAI-compatible chat endpoint: `POST .../chat/completions` with `"stream": true`.

The endpoint streams server-sent events (WHATWG HTML, section 9.2, "Server-sent events"). Each is a JSON object with the
next piece of text; the last one is `[DONE]`. Pieces are joined to sentences, because sentences are sent and spoken. A
model that is silent for a while, because it calls a tool for example, does not hold back a complete sentence.

The endpoint is not trusted. The size of its events, the length of its answer and its silence are limited. A stream that
stops without `[DONE]` or a `finish_reason` is an error and not a short answer. What it says about its failures is
logged here and not sent to the client, because it may contain keys and host names.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final

import httpx

from objectstreaming.errors import StreamError
from objectstreaming.flow import split
from wav_streaming.endpoints import UNCOMPRESSED, endpoint_url, is_bounded, shown
from wav_streaming.sentences import SentenceSplitter

from .answers import Sentence, whole_characters

__all__ = ["ChatAnswerer", "EventReader"]

log = logging.getLogger(__name__)

_LINE_END: Final = re.compile(rb"[\r\n]")


class EventReader:
    r"""Reads the data of server-sent events from bytes in any pieces.

    Lines end with LF, CRLF or CR. The `data` lines of one event are joined with LF. Comments and other fields are
    ignored, and so is an event that is not finished when the bytes end. Raises `ValueError` for an event larger than
    `limit` bytes, one that is not UTF-8, and one whose name is `error`.

    >>> reader = EventReader()
    >>> pieces = b"data: one\r", b"\ndata:two\r\n\r", b"\n: hm\n\ndata: [DONE]\n\n"
    >>> [data for piece in pieces for data in reader.feed(piece)]
    ['one\ntwo', '[DONE]']
    """

    def __init__(self, limit: int = 1024 * 1024) -> None:
        self._limit = limit
        self._line = bytearray()
        self._data: list[bytes] = []
        self._size = 0
        self._after_cr = False
        self._first = True

    def feed(self, chunk: bytes) -> Iterator[str]:
        """The data of every event that `chunk` completes. Iterate to the end before the next call."""
        start = 0
        if chunk and self._after_cr:
            start = chunk[:1] == b"\n"  # the second half of a CRLF that was cut
            self._after_cr = False
        while start < len(chunk):
            found = _LINE_END.search(chunk, start)
            if found is None:
                self._grow(len(chunk) - start)
                self._line += chunk[start:]
                return
            end = found.start()
            self._grow(end - start)
            line = bytes(self._line) + chunk[start:end]
            self._line.clear()
            start = end + 1
            if chunk[end] == 13:
                if start == len(chunk):
                    self._after_cr = True
                elif chunk[start] == 10:
                    start += 1
            event = self._take(line)
            if event is not None:
                yield event

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > self._limit:
            raise ValueError(f"an event of more than {self._limit} bytes")

    def _take(self, line: bytes) -> str | None:
        if self._first:
            self._first = False
            line = line.removeprefix(b"\xef\xbb\xbf")
        if line:
            name, _, value = line.partition(b":")
            if name == b"data":
                self._data.append(value.removeprefix(b" "))
            elif name == b"event" and value.strip() == b"error":
                raise ValueError("an event that is an error")
            elif not self._data:
                self._size = 0  # any number of comments may keep a connection alive
            return None
        self._size = 0
        data, self._data = self._data, []
        return b"\n".join(data).decode() if data else None


class ChatAnswerer:
    """Answers by asking `model` at `url`: the server, with or without `/v1`, or the endpoint's full address.

    `headers` are sent with every request (an `Authorization`, for example), `system` is the prompt before every
    question. `timeout` is the longest silence in seconds. `longest` is the largest number of characters in an answer:
    it is cut there. After `pause` seconds of silence a sentence that looks complete is given, although the next
    character might have belonged to it; `None` waits for that character. A `client` that is passed in is not closed
    here. Without one, `close` closes the own client.

    Failures are `StreamError`s: `unavailable`, `deadline_exceeded`, `resource_exhausted` for status 429, and
    `data_loss` for an answer that was cut.
    """

    def __init__(
        self,
        url: str,
        model: str = "default",
        *,
        headers: Mapping[str, str] | None = None,
        system: str = "Answer briefly, in plain sentences that can be read aloud.",
        client: httpx.AsyncClient | None = None,
        timeout: float = 60,
        longest: int = 20_000,
        pause: float | None = 0.3,
    ) -> None:
        if pause is not None and not pause > 0:
            raise ValueError(f"pause must be more than 0 seconds, or None, not {pause}")
        self._url = endpoint_url(url, "chat/completions")
        try:
            httpx.URL(self._url)
        except httpx.InvalidURL:
            raise ValueError(f"this is not the URL of a chat endpoint: {shown(url)}") from None
        self._model = model
        self._headers = dict(headers or {})
        self._system = system
        self._client = client if client is not None else httpx.AsyncClient()
        self._own_client = client is None
        self._timeout = timeout
        self._longest = longest
        self._pause = pause

    @property
    def model(self) -> str:
        """The name of the model."""
        return self._model

    async def answer(self, question: str) -> AsyncIterator[Sentence]:
        splitter = SentenceSplitter()
        # The model is read in a task of its own, so that the end of a wait cancels nothing there.
        (pieces,) = split(self.tokens(question), 1)
        async with aclosing(pieces):
            pause = self._pause
            while True:
                clock = asyncio.timeout(pause)
                try:
                    async with clock:
                        found = splitter.feed(await anext(pieces))
                        pause = self._pause
                except StopAsyncIteration:
                    break
                except TimeoutError:
                    if not clock.expired():
                        raise
                    found = splitter.pause()
                    pause = None  # nothing more can be whole before the next piece
                for text in found:
                    if text.strip():
                        yield Sentence(text.strip(), self._model)
        for text in splitter.flush():
            if text.strip():
                yield Sentence(text.strip(), self._model)

    async def close(self) -> None:
        """Close the connections, if the client is this object's own."""
        if self._own_client:
            await self._client.aclose()

    def tokens(self, question: str) -> AsyncGenerator[str, None]:
        """The answer as the model gives it: pieces of text of any size."""
        return self.converse([{"role": "user", "content": question}])

    async def converse(self, messages: Sequence[Mapping[str, str]]) -> AsyncGenerator[str, None]:
        """The answer to the last of several messages, each with a `role` and a `content`, as `tokens` gives it."""
        pieces = self._pieces(messages)
        async with aclosing(pieces), aclosing(whole_characters(pieces)) as whole:
            async for piece in whole:
                yield piece

    async def _pieces(self, messages: Sequence[Mapping[str, str]]) -> AsyncGenerator[str, None]:
        body = {
            "model": self._model,
            "stream": True,
            "messages": [{"role": "system", "content": self._system}, *messages],
        }
        headers = {"Accept": "text/event-stream", **UNCOMPRESSED, **self._headers}
        left, finished = self._longest, False
        try:
            async with self._client.stream(
                "POST", self._url, json=body, headers=headers, timeout=self._timeout
            ) as response:
                if response.status_code != 200:
                    log.warning("the chat endpoint answered with status %d", response.status_code)
                    busy = response.status_code == 429
                    raise StreamError(
                        "resource_exhausted" if busy else "unavailable",
                        "the model is busy" if busy else "the model refused the question",
                    )
                async with aclosing(_events(response)) as events:
                    async for event in events:
                        if event.strip() == "[DONE]":
                            return
                        piece, done = _delta(event)
                        finished = finished or done
                        if piece:
                            yield piece[:left]
                            left -= len(piece)
                            if left <= 0:
                                log.warning("the chat endpoint's answer was cut after %d characters", self._longest)
                                return
        except httpx.TimeoutException as error:
            log.warning("the chat endpoint was silent: %s", type(error).__name__)
            raise StreamError("deadline_exceeded", "the model did not answer in time") from error
        except (httpx.HTTPError, ValueError, RecursionError) as error:
            # A header that cannot be sent is in the error, and may be a key.
            told = "a header cannot be sent" if isinstance(error, httpx.LocalProtocolError) else error
            log.warning("the chat endpoint failed: %s", told)
            raise StreamError("unavailable", "the model cannot be reached, or does not stream") from error
        if not finished:
            raise StreamError("data_loss", "the model's answer was cut")


async def _events(response: httpx.Response) -> AsyncGenerator[str, None]:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "text/event-stream" or not is_bounded(response.headers):
        encoding = response.headers.get("content-encoding", "none")
        raise ValueError(f"the content type is {kind!r}, not text/event-stream, or its coding {encoding!r} unknown")
    reader = EventReader()
    async for chunk in response.aiter_bytes():
        for event in reader.feed(chunk):
            yield event


_EMPTY: Final[Mapping[str, Any]] = {}


def _delta(event: str) -> tuple[str, bool]:
    """The text in one event, and whether the model says that it has finished."""
    value = json.loads(event)  # not strictly: a piece may be half of a surrogate pair
    if not isinstance(value, dict) or value.get("error") is not None or value.get("object") == "error":
        raise ValueError("an event that is not an object, or that is an error")
    choices = value.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else _EMPTY
    delta = choice.get("delta")
    content = delta.get("content") if isinstance(delta, dict) else None
    if isinstance(content, list):  # so do Mistral's: a list of parts, and one that is not text is not for the reader
        parts = [part for part in content if isinstance(part, dict) and part.get("type") == "text"]
        content = "".join(part["text"] for part in parts if isinstance(part.get("text"), str))
    reason = choice.get("finish_reason")
    if reason == "error":
        raise ValueError("the model has failed within its answer")
    return content if isinstance(content, str) else "", isinstance(reason, str)
