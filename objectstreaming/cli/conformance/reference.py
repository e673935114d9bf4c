"""The reference app as level 2 meets it: its real endpoints, an answerer and a voice that always say the same."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Final

from ... import encode_frame
from .fetching import FetchCase, Way

if TYPE_CHECKING:
    from wav_streaming.sound import Sound

    from ...app.answers import Sentence

__all__ = ["reference_cases", "serve_reference"]

_SENTENCES: Final = (("Frames, end to end.", "SPEC.md"), ("Das ist's \u2013 \U0001f600.", ""))
_FAILS: Final = "Fail halfway."
_ASKED: Final = (
    "A server answers with `application/vnd.objectstreaming;v=1` only to those who ask for it, and else with "
    "`application/octet-stream`: a plain stream, which has no control frames, and whose failure after the first "
    "frame is an aborted connection."
)


class _Answerer:
    async def answer(self, question: str) -> AsyncIterator[Sentence]:
        from ... import StreamError
        from ...app.answers import Sentence

        for number, sentence in enumerate(_SENTENCES):
            if number and question == _FAILS:
                raise StreamError("unavailable", "the model went away")
            yield Sentence(*sentence)


class _Hum:
    """A voice: as many samples as the text has characters."""

    async def synthesize(self, text: str) -> Sound:
        from wav_streaming.sound import Sound

        return Sound(b"".join((100 * number % 30000).to_bytes(2, "little") for number in range(len(text))), 16000)


@contextlib.contextmanager
def serve_reference() -> Iterator[str]:
    """Serve it while the block runs; gives its address. Raises `ImportError` without the extra `server`."""
    from ...app import Settings, create_app
    from ..loopback import LoopbackServer

    app = create_app(Settings(engines=False, page=False), answerer=_Answerer(), synthesizer=_Hum())
    with LoopbackServer(app) as server:
        yield server.url


def reference_cases() -> list[FetchCase]:
    """Needs nothing but the package: where the extra `server` is missing, they are skipped."""
    question = "What is a stream?"
    body = b'{"question":"%b"}' % question.encode()
    objects = [
        {
            "header": {"status": "success", "reason": "none"}
            if source
            else {"status": "warning", "reason": "no source"},
            "json": {"answer": text, "source": source},
        }
        for text, source in _SENTENCES
    ]
    whole = {"frames": objects, "end": "ok", "trailers": {}, "message": ""}
    failed = {**whole, "frames": objects[:1], "end": "error:unavailable", "message": "the model went away"}
    refused = {"frames": [], "end": "missing"}
    spoken = [{"header": header, "payload": payload.hex()} for header, payload in asyncio.run(_spoken(question))]
    asked = encode_frame({"question": question, "sign": 1, "order": 1})

    def way(name: str, verdict: dict[str, Any], app: str, **more: Any) -> Way:
        return Way(name, (verdict,), app=app, **more)

    return [
        FetchCase(
            "http-app/objects",
            "6.1",
            _ASKED,
            "must",
            (
                way("asked", whole, "/objects", body=body),
                way("fails late", failed, "/objects", body=b'{"question":"%b"}' % _FAILS.encode()),
                way("asked wrongly", _early(refused, 400, "invalid_argument"), "/objects", body=b"{}"),
                way("elsewhere", _early(refused, 404, "not_found"), "/nowhere", body=body),
            ),
        ),
        FetchCase(
            "http-app/wav",
            "6.1",
            _ASKED,
            "must",
            (
                way(
                    "asked",
                    {"frames": spoken, "end": "ok"},
                    "/wav",
                    body=asked,
                    content_type="application/octet-stream",
                    coder="tal",
                ),
            ),
            flags=("tal",),
        ),
    ]


def _early(verdict: dict[str, Any], status: int, code: str) -> dict[str, Any]:
    return {**verdict, "error": {"code": f"http_status:{status}:{code}"}}


async def _spoken(question: str) -> list[tuple[dict[str, Any], bytes]]:
    """What /wav answers: a frame a sentence, and one for the end."""
    from wav_streaming.sentences import speakable

    order = 0
    messages = []
    for text, source in _SENTENCES:
        order += 1
        sound = await _Hum().synthesize(speakable(text))
        messages.append((_tal(question, text, source, 1 if order == 1 else 2, order), sound.pcm))
    return [*messages, (_tal(question, "", "", 3, order + 1), b"")]


def _tal(question: str, answer: str, url: str, sign: int, order: int) -> dict[str, Any]:
    return {
        "audioType": "int16",
        "bitDepth": 16,
        "sampleRate": 16000,
        "channels": 1,
        "audioFormat": "wav",
        "question": question,
        "answer": answer,
        "url": url,
        "sign": sign,
        "order": order,
    }
