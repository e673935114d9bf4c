"""`objectstreaming cat` and `to-wav`: the text and the sound of a stream, without its frames."""

from __future__ import annotations

import sys
import types
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import only_line, run
from reference_app import make_app

from objectstreaming import JsonCoder, StreamEncoder, encode_frame
from objectstreaming.cli.loopback import LoopbackServer
from wav_streaming import TALAudio, TALCoder

CUT = 3


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with LoopbackServer(make_app()) as server:
        yield server.url


def spoken() -> bytes:
    encoder = StreamEncoder(TALCoder())
    wire = encoder.open()
    for order in (1, 2):
        tal = TALAudio(answer=f"Sentence {order}.", order=order, sign=order, sampleRate=8_000)
        wire += encoder.data(tal, bytes(1_600))
    return wire + encoder.end()


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    path = tmp_path / "speech"
    path.write_bytes(spoken())
    return path


class TestCat:
    def test_the_answer_of_a_server_is_its_text(self, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("cat", f"{url}/objects", "-d", '{"question": "why?"}') == 0
        assert capsys.readouterr().out.splitlines() == ["You asked: why?", "The fox is red."]

    def test_the_text_of_speech_is_what_is_said(self, speech: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("cat", speech) == 0
        assert capsys.readouterr().out.splitlines() == ["Sentence 1.", "Sentence 2."]

    def test_tokens_are_joined(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        encoder = StreamEncoder(JsonCoder())
        deltas = (encoder.data({}, {"choices": [{"delta": text}]}) for text in ("A ", "frame\n", "is."))
        (tmp_path / "tokens").write_bytes(encoder.open() + b"".join(deltas) + encoder.end())
        assert run("cat", tmp_path / "tokens", "--text", "choices.0.delta", "-n") == 0
        assert capsys.readouterr().out == "A frame\nis."

    def test_the_text_of_a_recording_is_that_of_the_answer(
        self, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "a.rec.frames"
        assert run("record", f"{url}/objects", "-d", '{"question": "why?"}', "-o", out) == 0
        assert run("cat", out) == 0
        assert "The fox is red." in capsys.readouterr().out

    def test_a_cut_is_said_after_the_text(self, speech: Path, capsys: pytest.CaptureFixture[str]) -> None:
        speech.write_bytes(spoken()[:-1])
        assert run("cat", speech) == CUT
        shown = capsys.readouterr()
        assert len(shown.out.splitlines()) == 2
        assert "truncated_frame" in shown.err

    def test_a_server_cannot_control_the_terminal(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "evil").write_bytes(encode_frame({}, b'"\\u001b]0;owned\\u0007 \\u202e"'))
        assert run("cat", tmp_path / "evil") == 0
        assert not set(capsys.readouterr().out) & {"\x1b", "\x07", "\u202e"}


class TestPlay:
    def test_the_sound_goes_to_the_sound_card(
        self, speech: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        did: list[object] = []

        class Card:
            def __init__(self, rate: int, channels: int, dtype: str) -> None:
                did.append((rate, channels, dtype))

            def start(self) -> None:
                did.append("start")

            def write(self, pcm: bytes) -> None:
                did.append(len(pcm))

            def stop(self) -> None:
                did.append("stop")

            def close(self) -> None:
                did.append("close")

        module = types.SimpleNamespace(RawOutputStream=Card, PortAudioError=RuntimeError)
        monkeypatch.setitem(sys.modules, "sounddevice", module)
        assert run("cat", speech, "--play") == 0
        assert did == [(8_000, 1, "int16"), "start", 1_600, 1_600, "stop", "close"]

    def test_a_machine_without_a_sound_card_is_one_line(
        self, speech: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        class Missing(Exception):
            pass

        def no_card(*format: object, **more: object) -> None:
            raise Missing("Error querying device -1")

        module = types.SimpleNamespace(RawOutputStream=no_card, PortAudioError=Missing)
        monkeypatch.setitem(sys.modules, "sounddevice", module)
        assert run("cat", speech, "--play") == 1
        assert "querying device" in only_line(capsys.readouterr().err)


class TestToWav:
    def test_the_sound_is_saved(self, speech: Path, tmp_path: Path) -> None:
        assert run("to-wav", speech, "-o", tmp_path / "a.wav") == 0
        with wave.open(str(tmp_path / "a.wav")) as saved:
            assert (saved.getframerate(), saved.getnframes()) == (8_000, 1_600)

    def test_of_a_stream_that_was_cut_nothing_is_saved_unless_it_is_wanted(
        self, speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        speech.write_bytes(spoken()[:-200])
        assert run("to-wav", speech, "-o", tmp_path / "a.wav") == CUT
        assert "--keep" in only_line(capsys.readouterr().err)
        assert not (tmp_path / "a.wav").exists()
        assert run("to-wav", speech, "-o", tmp_path / "a.wav", "--keep") == CUT
        with wave.open(str(tmp_path / "a.wav")) as saved:
            assert saved.getnframes() == 800

    def test_a_stream_without_sound_is_one_line(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "text").write_bytes(encode_frame({}, b'"no sound"'))
        assert run("to-wav", tmp_path / "text", "-o", tmp_path / "a.wav") == 1
        assert "no sound" in only_line(capsys.readouterr().err)
