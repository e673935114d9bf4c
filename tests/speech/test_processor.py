"""`TTSAsyncProcessor`: the loops and callbacks of its documentation, as they are written there, and its thread."""

from __future__ import annotations

import asyncio
import base64
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from deadlines import DEADLINE, wait_until
from needed_programs import needs
from voices import Tone

from objectstreaming.errors import StreamError
from wav_streaming import (
    EspeakSynthesizer,
    FliteSynthesizer,
    Sound,
    TTSAsyncProcessor,
    UnknownVoice,
    encode_to_base64,
    read_wav,
)


@pytest.fixture
def make() -> Iterator[Any]:
    made: list[TTSAsyncProcessor] = []

    def make(**options: Any) -> TTSAsyncProcessor:
        made.append(TTSAsyncProcessor(**{"synthesizer": Tone(sample_rate=24_000), **options}))
        return made[-1]

    yield make
    for processor in made:
        processor.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "TTSAsyncProcessor"]


def milliseconds(sound: tuple[bytes, int]) -> float:
    return len(sound[0]) / 2 / sound[1] * 1_000


class TestAsDocumented:
    def test_the_usage_example(self) -> None:
        needs("espeak-ng")
        audio_queue: Queue[tuple[bytes, int]] = Queue()

        def audio_ready_callback(audio_data: bytes, sample_rate: int) -> None:
            # Stream to frontend via SSE
            audio_queue.put((audio_data, sample_rate))

        tts = TTSAsyncProcessor(
            voice_model="af_sarah",
            sample_rate=24000,
            play_voice=False,  # No local playback
            audio_ready_callback=audio_ready_callback,
        )
        tts.start_async_processing()
        tts.play_async("Hello world")  # Audio ready → callback called
        audio, rate = audio_queue.get(timeout=DEADLINE)
        tts.stop_async_processing()
        assert rate == 24_000
        assert 0.3 < len(audio) / 2 / rate < 3
        assert max(audio) > 0

    @pytest.mark.parametrize("voice_seconds", [0, 0.002])
    def test_the_loops_lose_no_sound(self, make: Any, voice_seconds: float) -> None:
        tts_processor = make(synthesizer=Tone(voice_seconds, 24_000))
        tts_processor.start_async_processing()

        class ai_client:  # noqa: N801
            @staticmethod
            def chat_stream(prompt: str) -> Iterator[str]:
                for n in range(120):
                    yield f"Sentence {n}"
                    yield ". "

        def endpoint(prompt: str) -> Iterator[str]:
            audio_queue: Queue[tuple[bytes, int]] = Queue()

            def audio_ready_callback(audio_data: bytes, sample_rate: int) -> None:
                audio_queue.put((audio_data, sample_rate))

            # Set callback
            tts_processor.set_audio_ready_callback(audio_ready_callback)

            text_buffer = ""
            sentence_endings = [".", "!", "?", "\n"]

            for text_chunk in ai_client.chat_stream(prompt):
                yield f"event: text\ndata: {text_chunk}\n\n"

                text_buffer += text_chunk

                for ending in sentence_endings:
                    if ending in text_buffer:
                        parts = text_buffer.split(ending, 1)
                        sentence = parts[0] + ending
                        text_buffer = parts[1] if len(parts) > 1 else ""

                        tts_processor.play_async(sentence.strip())
                        break

            # Stream audio as ready
            while not tts_processor.is_processing_complete():
                if not audio_queue.empty():
                    audio, sr = audio_queue.get()
                    audio_base64 = encode_to_base64(audio, sr)
                    yield f"event: audio\ndata: {audio_base64}\n\n"

        sounds = []
        for event in endpoint("Count."):
            name, data = event.removesuffix("\n\n").split("\ndata: ")
            if name == "event: audio":
                sounds.append(read_wav(base64.b64decode(data)))
                time.sleep(0.001)  # the network is slower than the voice
        assert [round(sound.seconds * 1_000) for sound in sounds] == [len(f"Sentence {n}.") for n in range(120)]
        assert {sound.sample_rate for sound in sounds} == {24_000}


class TestCallback:
    def test_sounds_wait_for_a_callback_that_comes_late(self, make: Any) -> None:
        sounds: list[tuple[bytes, int]] = []
        with make() as processor:
            for n in range(1, 30):
                processor.play_async("x" * n)
            assert not processor.wait(0.05)
            assert not processor.is_processing_complete()
            processor.set_audio_ready_callback(lambda *sound: sounds.append(sound))
            assert processor.wait(DEADLINE)
        assert [milliseconds(sound) for sound in sounds] == list(range(1, 30))

    def test_without_one_the_voice_is_no_more_than_ahead(self, make: Any) -> None:
        voice = Tone(sample_rate=24_000)
        with make(synthesizer=voice, ahead=3) as processor:
            for _ in range(50):
                processor.play_async("more")
            assert not processor.wait(0.2)
            assert len(voice.asked) <= 6

    def test_another_callback_gets_the_next_sounds(self, make: Any) -> None:
        first: Queue[Any] = Queue()
        second: Queue[Any] = Queue()
        with make(audio_ready_callback=lambda *sound: first.put(sound)) as processor:
            processor.play_async("x")
            assert milliseconds(first.get(timeout=DEADLINE)) == 1
            processor.set_audio_ready_callback(lambda *sound: second.put(sound))
            processor.play_async("xx")
            assert milliseconds(second.get(timeout=DEADLINE)) == 2
        assert first.empty()

    @pytest.mark.parametrize("failure", [OSError("full"), SystemExit(1), asyncio.CancelledError()], ids=repr)
    def test_one_that_raises_is_logged_and_costs_one_sound(
        self, make: Any, caplog: pytest.LogCaptureFixture, failure: BaseException
    ) -> None:
        sounds = []

        def callback(pcm: bytes, rate: int) -> None:
            sounds.append(milliseconds((pcm, rate)))
            if len(sounds) == 2:
                raise failure

        with make(audio_ready_callback=callback) as processor:
            for n in (1, 2, 3):
                processor.play_async("x" * n)
            assert processor.wait(DEADLINE)
        assert sounds == [1, 2, 3]
        assert "is lost" in caplog.text

    def test_one_that_waits_for_its_own_end_is_told(self, make: Any, caplog: pytest.LogCaptureFixture) -> None:
        with make(audio_ready_callback=lambda *sound: processor.wait()) as processor:
            processor.play_async("x")
            assert processor.wait(DEADLINE)
        assert "its own end" in caplog.text

    def test_another_thread_that_asks_takes_no_turn_of_the_loop(self, make: Any) -> None:
        sounds: Queue[Any] = Queue()
        taken = []
        with make(audio_ready_callback=lambda *sound: sounds.put(sound)) as processor:
            for _ in range(20):
                processor.play_async("x")
            assert processor.wait(DEADLINE)
            asking = threading.Thread(target=lambda: [processor.is_processing_complete() for _ in range(50)])
            asking.start()
            asking.join()
            while not processor.is_processing_complete():
                if not sounds.empty():
                    taken.append(sounds.get())
        assert len(taken) == 20

    def test_a_thread_of_the_next_answer_has_nothing_to_do_with_the_sounds_of_the_one_before(self, make: Any) -> None:
        with make(audio_ready_callback=lambda *sound: None) as processor:

            def count_turns() -> None:
                processor.play_async("x")
                assert processor.wait(DEADLINE)
                turns.append(0)
                while not processor.is_processing_complete():
                    turns[-1] += 1

            turns: list[int] = []
            for _ in range(3):
                answering = threading.Thread(target=count_turns)
                answering.start()
                answering.join()
        assert turns == [1, 1, 1]

    async def _nothing(self, *sound: Any) -> None: ...

    @pytest.mark.parametrize("wrong", [_nothing, "x"])
    def test_what_cannot_be_called_is_refused(self, make: Any, wrong: Any) -> None:
        with pytest.raises(TypeError, match="the callback is a function"):
            make(audio_ready_callback=wrong)
        with pytest.raises(TypeError, match="the callback is a function"):
            make().set_audio_ready_callback(wrong)

    def test_sound_has_one_channel_and_the_rate_that_was_asked_for(self, make: Any) -> None:
        class Stereo:
            async def synthesize(self, text: str) -> Sound:
                return Sound(bytes(4 * 22_050), 22_050, channels=2)

        sounds: list[tuple[bytes, int]] = []
        with make(synthesizer=Stereo(), sample_rate=16_000, audio_ready_callback=lambda *s: sounds.append(s)) as tts:
            tts.play_async("one second")
            assert tts.wait(DEADLINE)
        assert sounds == [(bytes(32_000), 16_000)]


class TestTexts:
    def test_what_cannot_be_spoken_costs_its_sound_only(self, make: Any, caplog: pytest.LogCaptureFixture) -> None:
        sounds: list[Any] = []
        with make(audio_ready_callback=lambda *sound: sounds.append(sound)) as processor:
            for text in ("x", "this fails", "", " \n", "---", "xx"):
                processor.play_async(text)
            assert processor.wait(DEADLINE)
        assert [milliseconds(sound) for sound in sounds] == [1, 2]
        assert "could not be spoken" in caplog.text

    def test_what_is_no_text_is_refused(self, make: Any) -> None:
        with make() as processor, pytest.raises(TypeError, match="not bytes"):
            processor.play_async(b"x")

    def test_code_between_fences_is_not_read_although_each_line_is_said_apart(self, make: Any) -> None:
        voice = Tone(sample_rate=24_000)
        with make(synthesizer=voice, audio_ready_callback=lambda *sound: None) as processor:
            for text in ("So:", "```python", "print('Hi.", "')", "```", "Done."):
                processor.play_async(text)
            assert processor.wait(DEADLINE)
        assert voice.asked == ["So:", "a code example", "Done."]

    def test_the_next_answer_does_not_begin_in_the_code_of_the_one_before(self, make: Any) -> None:
        voice = Tone(sample_rate=24_000)
        with make(synthesizer=voice, audio_ready_callback=lambda *sound: None) as processor:
            processor.play_async("```python")
            assert processor.wait(DEADLINE)
            processor.play_async("Next.")
            assert processor.wait(DEADLINE)
        assert voice.asked == ["a code example", "Next."]

    def test_a_voice_that_hangs_is_given_up_and_tried_again_in_the_next_answer(self, make: Any) -> None:
        sounds: list[Any] = []
        with make(limit=0.05, audio_ready_callback=lambda *sound: sounds.append(sound)) as processor:
            for text in ("it hangs", "xx"):
                processor.play_async(text)
            assert processor.wait(DEADLINE)
            assert sounds == []
            processor.play_async("xxx")
            assert processor.wait(DEADLINE)
        assert [milliseconds(sound) for sound in sounds] == [3]

    def test_too_much_to_say_is_refused(self, make: Any) -> None:
        processor = make()
        for _ in range(10):
            processor.play_async("x" * 100_000)
        with pytest.raises(StreamError, match="wait to be spoken"):
            processor.play_async("x")


class TestThread:
    def test_what_is_said_before_the_start_is_spoken_after_it(self, make: Any) -> None:
        sounds: list[Any] = []
        processor = make(audio_ready_callback=lambda *sound: sounds.append(sound))
        processor.play_async("x")
        assert not processor.is_processing_complete()
        processor.start_async_processing()
        processor.start_async_processing()
        assert processor.wait(DEADLINE)
        assert len(sounds) == 1

    def test_stops_twice_without_start_and_starts_again(self, make: Any) -> None:
        processor = make(audio_ready_callback=lambda *sound: None)
        processor.stop_async_processing()
        processor.start_async_processing()
        processor.play_async("it hangs")
        processor.stop_async_processing()
        processor.stop()
        assert processor.is_processing_complete()
        processor.start_async_processing()
        processor.play_async("x")
        assert processor.wait(DEADLINE)

    def test_stopping_releases_the_voice_at_once(self, make: Any) -> None:
        voice = Tone(sample_rate=24_000)
        processor = make(synthesizer=voice)
        processor.start_async_processing()
        processor.play_async("it hangs")
        wait_until(lambda: voice.at_work)
        processor.stop()
        assert voice.at_work == 0

    def test_stopping_does_not_wait_for_a_voice_in_a_thread(self, make: Any) -> None:
        hangs, ends = threading.Event(), threading.Event()

        class Blocking:
            async def synthesize(self, text: str) -> Sound:
                hangs.set()
                await asyncio.to_thread(ends.wait, DEADLINE)
                raise AssertionError

        processor = make(synthesizer=Blocking())
        processor.start_async_processing()
        processor.play_async("x")
        assert hangs.wait(DEADLINE)
        processor.stop()
        assert not [thread for thread in threading.enumerate() if thread.name == "TTSAsyncProcessor"]
        ends.set()

    def test_nobody_waits_for_a_thread_that_has_ended(self, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        class Ending(Tone):
            async def synthesize(self, text: str) -> Sound:
                if "end" in text:
                    raise GeneratorExit
                return await super().synthesize(text)

        ended = threading.Event()
        monkeypatch.setattr(threading, "excepthook", lambda args: ended.set())
        sounds: list[Any] = []
        processor = make(synthesizer=Ending(), audio_ready_callback=lambda *sound: sounds.append(sound))
        processor.start_async_processing()
        processor.play_async("the end")
        assert processor.wait(DEADLINE)
        assert ended.wait(DEADLINE)
        processor.start_async_processing()
        processor.play_async("x")
        assert processor.wait(DEADLINE)
        assert len(sounds) == 1

    def test_the_callback_may_stop_it_and_is_then_not_called_again(self, make: Any) -> None:
        sounds: list[Any] = []

        def callback(*sound: Any) -> None:
            sounds.append(sound)
            processor.stop()

        processor = make(audio_ready_callback=callback)
        for _ in range(10):
            processor.play_async("x")
        processor.start_async_processing()
        wait_until(lambda: not [thread for thread in threading.enumerate() if thread.name == "TTSAsyncProcessor"])
        assert len(sounds) == 1

    def test_texts_of_several_threads_are_all_spoken(self, make: Any) -> None:
        sounds: list[Any] = []
        with make(audio_ready_callback=lambda *sound: sounds.append(sound)) as processor:
            threads = [
                threading.Thread(target=lambda: [processor.play_async("x") for _ in range(50)]) for _ in range(4)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert processor.wait(DEADLINE)
        assert len(sounds) == 200


class TestPlaying:
    def test_sounds_are_played_in_order_by_a_program(
        self, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        played = tmp_path / "played"
        player = tmp_path / "aplay"
        player.write_text(f'#!/bin/sh\n/bin/cat "$2" >> {played}\n')
        player.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        with make(play_voice=True) as processor:
            processor.play_async("x")
            processor.play_async("xx")
            assert processor.wait(DEADLINE)
            player.unlink()
            processor.play_async("xxx")
            assert processor.wait(DEADLINE)
        assert played.read_bytes() == b"".join(
            base64.b64decode(encode_to_base64(bytes(48 * milliseconds), 24_000)) for milliseconds in (1, 2)
        )

    def test_without_such_a_program_the_error_names_packages(
        self, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(RuntimeError, match="alsa-utils"):
            make(play_voice=True)


class TestVoices:
    @pytest.mark.parametrize("name", ["af_sarah", "am_adam", "bf_emma", "ff_siwis", "zm_yunxi", "en-gb", "fr+m3"])
    async def test_espeak_speaks_with_each_kind_of_voice(self, name: str) -> None:
        needs("espeak-ng")
        sound = await EspeakSynthesizer().with_voice(name).synthesize("One two three.")
        assert sound.seconds > 0.2

    async def test_speed_changes_the_length(self) -> None:
        for name, engine in (("espeak-ng", EspeakSynthesizer()), ("flite", FliteSynthesizer())):
            needs(name)
            slow, fast = [
                await engine.with_voice("af_sarah", speed).synthesize("This is a sentence.") for speed in (0.5, 2)
            ]
            assert 2 < slow.seconds / fast.seconds < 6

    def test_flite_takes_the_closest(self) -> None:
        assert FliteSynthesizer().with_voice("bm_george").voices()[0].name == "rms"

    def test_a_voice_that_is_not_in_the_list_keeps_its_name_when_its_speed_changes(self) -> None:
        for engine in (EspeakSynthesizer("de"), FliteSynthesizer("cmu_us_clb")):
            own = engine.voices()[0].name
            assert engine.with_voice(own, 2).voices()[0].name == own in engine.with_voice(own, 2).identity

    @pytest.mark.parametrize("name", ["nobody", "", "-w/tmp/x", "xf_sarah", "af_", "en-us+f3;rm"])
    def test_an_unknown_voice_is_refused_with_the_list(self, name: str) -> None:
        with pytest.raises(UnknownVoice, match=r"there are en-us, .*af_sarah"):
            EspeakSynthesizer().with_voice(name)
        with pytest.raises(UnknownVoice, match="there are slt, "):
            FliteSynthesizer().with_voice(name)

    @pytest.mark.parametrize("speed", [0.49, 2.1, 0, -1, float("nan")])
    def test_a_speed_is_a_half_to_two(self, speed: float) -> None:
        for engine in (EspeakSynthesizer(), FliteSynthesizer()):
            with pytest.raises(UnknownVoice, match="a speed is"):
                engine.with_voice("af_sarah", speed)

    def test_an_engine_that_is_given_keeps_its_own_voice(self) -> None:
        processor = TTSAsyncProcessor(synthesizer=EspeakSynthesizer("de"))
        assert processor.voice == "de"
        assert TTSAsyncProcessor("af_sarah", synthesizer=EspeakSynthesizer("de")).voice == "en-us+f3"

    def test_the_processor_knows_the_voices_of_its_engine(self) -> None:
        with pytest.raises(UnknownVoice):
            TTSAsyncProcessor("nobody", synthesizer=EspeakSynthesizer())


@pytest.mark.parametrize("wrong", [{"sample_rate": 0}, {"limit": 0}, {"ahead": 0}])
def test_wrong_arguments_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="sample_rate is"):
        TTSAsyncProcessor(synthesizer=Tone(), **wrong)  # type: ignore[arg-type]
