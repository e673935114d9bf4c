"""`serve --store`, `ask --resume` and `ask --place`, with a server that is really there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from reference_app import make_app, sound

from objectstreaming import FrameDecoder, JsonCoder
from objectstreaming.app.limits import AppLimits
from objectstreaming.cli import main
from objectstreaming.cli.errors import CommandError
from objectstreaming.cli.loopback import LoopbackServer
from objectstreaming.cli.serving import _store
from objectstreaming.client import open_stream
from objectstreaming.store import FileStore, RedisStore
from wav_streaming import TALCoder, pcm_to_wav


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with LoopbackServer(make_app()) as server:
        yield server.url


def test_a_text_answer_is_resumable_and_a_spoken_one_too(url: str) -> None:
    with httpx.Client(base_url=url) as http:
        asked = http.post("/objects", json={"question": "what is a fox"})
        rest = http.get(asked.headers["content-location"], params={"position": 1})
        assert [*FrameDecoder().feed(asked.content)][1:] == [*FrameDecoder().feed(rest.content)]
        wav, headers = pcm_to_wav(sound(), 16_000), {"Content-Type": "audio/wav"}
        with open_stream(http, "POST", "/wav", coder=TALCoder(), content=wav, headers=headers, resume=True) as stream:
            first, _ = next(stream)
            place = stream.place
            spoken = [tal for tal, _ in stream]
        assert first.sign == 1
        assert place is not None
        with open_stream(http, place=place, coder=TALCoder(), resume=True) as stream:
            assert [tal for tal, _ in stream] == spoken
        events = http.get(asked.headers["content-location"], headers={"accept": "text/event-stream"})
        assert "id: 1\n" in events.text


def test_ask_goes_on_at_the_place_of_a_file_and_removes_it(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "place.json"
    assert run("ask", url, "what is a fox", "--resume", "-q") == 0
    whole = capsys.readouterr().out.splitlines()
    assert len(whole) > 1
    with (
        httpx.Client(base_url=url) as http,
        open_stream(
            http, "POST", "/objects", json={"question": "what is a fox"}, coder=JsonCoder(), resume=True
        ) as stream,
    ):
        next(stream)
        assert stream.place is not None
        place.write_text(stream.place.to_json())
    assert run("ask", url, "what is a fox", "--place", place, "--resume", "-q") == 0
    assert capsys.readouterr().out.splitlines() == whole[1:]
    assert not place.exists()
    assert run("ask", url, "what is a fox", "--place", place, "-q") == 0
    assert capsys.readouterr().out.splitlines() == whole
    assert not place.exists()


def test_a_file_that_is_no_place_is_one_line(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "place.json"
    place.write_text(json.dumps([1]))
    assert run("ask", url, "q", "--place", place) == 1
    assert "is no place" in capsys.readouterr().err
    assert run("ask", url, "q", "--place", place, "--out", tmp_path / "a.wav") == 2
    assert "--place is for an answer in text" in capsys.readouterr().err


def test_a_server_that_keeps_nothing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with LoopbackServer(make_app(store=None)) as server:
        assert run("ask", server.url, "what is a fox", "--resume", "-q") == 0
        assert run("ask", server.url, "what is a fox", "--place", tmp_path / "place.json") == 1
    assert "does not keep its answers" in capsys.readouterr().err


def test_a_store_is_memory_a_folder_or_a_redis(tmp_path: Path) -> None:
    limits = AppLimits()
    assert (_store("memory", limits), _store("none", limits)) == ("memory", None)
    assert isinstance(_store(str(tmp_path / "streams"), limits), FileStore)
    assert isinstance(_store("redis://127.0.0.1:1", limits), RedisStore)
    (tmp_path / "file").touch()
    for wrong in (str(tmp_path / "file"), "postgres://127.0.0.1"):
        with pytest.raises(CommandError, match="--store"):
            _store(wrong, limits)
