"""`TTSAsyncProcessor`: speaks on a thread of its own, for programs without an event loop.

A text goes in by a call that returns at once, a callback gets the sound, and another call says whether all is done. The
loop that a web backend runs with these three,

    while not processor.is_processing_complete():
        if not sounds.empty():
            send(sounds.get())

would lose what is still in its queue when the voice has finished: it takes one sound a turn, and the voice is faster
than the network. Here it loses nothing, because each sound that was called back makes `is_processing_complete` answer
`False` once more.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import inspect
import logging
import shutil
import tempfile
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from objectstreaming.errors import StreamError

from .outcomes import Failed, outcome
from .programs import running
from .resampling import to_mono
from .sound import Sound
from .speaker import LIMIT, Speaker, Spoken
from .synthesizers import Synthesizer, default_synthesizer
from .voices import VoicedSynthesizer, voice_of
from .wav import pcm_to_wav

__all__ = ["AudioReadyCallback", "TTSAsyncProcessor", "encode_to_base64"]

log = logging.getLogger(__name__)

AudioReadyCallback: TypeAlias = Callable[[bytes, int], object]
"""Called with PCM, signed 16 bits, one channel, and its sample rate in Hz."""

_WAITING: Final = 1_000_000
"""The most characters that wait to be spoken: the processor cannot make its caller wait, and loses nothing."""
_STOPPING: Final = 5.0
"""How many seconds a callback that is running may hold up `stop_async_processing`."""
_PLAYERS: Final = (("aplay", "-q"), ("paplay",), ("afplay",))


def encode_to_base64(audio_data: bytes, sample_rate: int) -> str:
    """PCM as a WAV file in base64.

    >>> encode_to_base64(bytes(2), 24000)[:16]
    'UklGRiYAAABXQVZF'

    Args:
        audio_data: signed 16 bits, little-endian, one channel.
        sample_rate: in Hz.
    """
    return base64.b64encode(pcm_to_wav(audio_data, sample_rate)).decode()


class TTSAsyncProcessor:
    """Speaks texts in order, on a thread of its own, and calls a function with each sound.

    The callback runs on the processor's thread, one call at a time, in the order of the texts. One that raises is
    logged, and costs that sound. While there is no callback, sounds wait for one. A text that cannot be spoken is
    logged, and gives no sound.

    Any method may be called from any thread.

    >>> class Silence:
    ...     async def synthesize(self, text):
    ...         return Sound(bytes(2 * len(text)), 24000)
    >>> sounds = []
    >>> with TTSAsyncProcessor(synthesizer=Silence(), audio_ready_callback=lambda *sound: sounds.append(sound)) as tts:
    ...     tts.play_async("Hello world")
    ...     tts.wait()
    True
    >>> sounds == [(bytes(22), 24000)]
    True

    Args:
        voice_model: a voice of the engine, or one of Kokoro's names. By default `af_sarah`, or the own voice of the
            `synthesizer` that is given.
        sample_rate: of the sounds, in Hz. They have one channel and 16 bits.
        play_voice: play the sounds here too, by `aplay`, `paplay` or `afplay`.
        audio_ready_callback: is called with the PCM and the sample rate of each sound.
        synthesizer: the engine; by default espeak-ng or flite.
        limit: how many seconds the voice may take for one text; after that it is given up until all is complete, and
            tried again for what is said then.
        ahead: how many sounds may wait for a callback, at most.

    Raises:
        ValueError: `sample_rate`, `limit` or `ahead` cannot be.
        TypeError: The callback is no function, or an asynchronous one.
    """

    def __init__(
        self,
        voice_model: str | None = None,
        sample_rate: int = 24000,
        play_voice: bool = False,
        audio_ready_callback: AudioReadyCallback | None = None,
        *,
        synthesizer: Synthesizer | None = None,
        limit: float = LIMIT,
        ahead: int = 8,
    ) -> None:
        if sample_rate not in range(1_000, 384_001) or not limit > 0 or ahead < 1:
            raise ValueError("sample_rate is 1,000 to 384,000 Hz, limit more than 0 seconds, ahead at least 1 sound")
        if synthesizer is None:
            synthesizer, voice_model = default_synthesizer(), voice_model or "af_sarah"
        if voice_model is not None and isinstance(synthesizer, VoicedSynthesizer):
            synthesizer = synthesizer.with_voice(voice_model)
        self._synthesizer = synthesizer
        self._sample_rate = int(sample_rate)
        self._player = _find_player() if play_voice else None
        self._limit = limit
        self._ahead = ahead
        self._lock = threading.Condition()  # of everything below
        self._callback = _checked(audio_ready_callback)
        self._unspoken: deque[str] = deque()  # before the thread takes them
        self._characters = 0  # said, and not spoken yet
        self._unfinished = 0  # texts of which the sound was not called back yet
        self._called_back = 0  # sounds
        self._earlier = 0  # of them, those before this answer: a thread that is new has nothing to do with them
        self._seen: dict[int, int] = {}  # of them, those that is_processing_complete has answered a thread False for
        self._was_complete = False  # since the last text
        self._was_said_complete = False  # by is_processing_complete
        self._worker: _Worker | None = None

    @property
    def voice(self) -> str:
        """The name of the voice that speaks; "" if its engine has one voice, or does not say."""
        return voice_of(self._synthesizer)

    def start_async_processing(self) -> None:
        """Start the thread. Does nothing if it runs. What was said before is spoken now."""
        with self._lock:
            if self._worker is None:
                worker = _Worker(self)
                worker.start()  # raises where the system has no thread left
                self._worker = worker

    def stop_async_processing(self) -> None:
        """Stop at once, and wait until the thread has ended; what was not spoken yet is dropped. May be called again,
        and from the callback, which then is the last one."""
        with self._lock:
            worker = self._worker
            self._drop_all()
        if worker is not None:
            worker.stop()

    stop = stop_async_processing

    def _drop_all(self) -> None:
        self._worker = None
        self._unspoken.clear()
        self._seen.clear()
        self._characters = self._unfinished = self._called_back = self._earlier = 0
        self._lock.notify_all()

    def play_async(self, text: str) -> None:
        """Speak this too, and return at once.

        Raises:
            StreamError: `resource_exhausted`: a million characters wait.
            TypeError: `text` is no string.
        """
        if not isinstance(text, str):
            raise TypeError(f"a text is a string, not {type(text).__name__}")
        if not text.strip():
            return
        with self._lock:
            if self._characters + len(text) > _WAITING:
                raise StreamError("resource_exhausted", f"more than {_WAITING:,} characters wait to be spoken")
            if self._was_complete:  # the next answer: what the one before has left open is closed
                self._unspoken.append("")
                self._was_complete = False
            if self._was_said_complete:
                self._was_said_complete = False
                self._earlier = self._called_back
                self._seen = {thread: seen for thread, seen in self._seen.items() if seen < self._called_back}
            self._seen.setdefault(threading.get_ident(), self._earlier)
            self._characters += len(text)
            self._unfinished += 1
            self._unspoken.append(text)
            if self._worker is not None:
                self._worker.wake()

    def set_audio_ready_callback(self, callback: AudioReadyCallback | None) -> None:
        """Call this with the sounds from now on, those that wait first. `None`: let them wait.

        Raises:
            TypeError: It is no function, or an asynchronous one.
        """
        with self._lock:
            self._callback = _checked(callback)
            if self._worker is not None:
                self._worker.wake()

    def is_processing_complete(self) -> bool:
        """Whether every text was spoken, and its sound called back and played.

        It answers each thread `False` once more for each sound that was called back. So a loop that takes at most one
        sound from its queue each time that it asks misses none, whoever else asks.
        """
        with self._lock:
            thread = threading.get_ident()
            seen = self._seen.get(thread, self._earlier)
            if seen < self._called_back:
                self._seen[thread] = seen + 1
                return False
            if self._unfinished:
                return False
            self._was_complete = self._was_said_complete = True
            return True

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until every text was spoken and its sound called back; at most `timeout` seconds. Whether it was so.

        Raises:
            RuntimeError: The callback calls it, for which it would wait.
        """
        with self._lock:
            if threading.current_thread() is self._worker:
                raise RuntimeError("the callback cannot wait() for its own end")
            done = self._lock.wait_for(lambda: not self._unfinished, timeout)
            self._was_complete = self._was_complete or done
            return done

    def __enter__(self) -> TTSAsyncProcessor:
        self.start_async_processing()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_async_processing()

    # ------------------------------------------------------------------------------------------ for the worker

    def _take_unspoken(self, worker: _Worker) -> list[str]:
        with self._lock:
            if self._worker is not worker:
                return []
            texts = list(self._unspoken)
            self._unspoken.clear()
            return texts

    def _callback_for(self, worker: _Worker) -> AudioReadyCallback | None:
        with self._lock:
            return self._callback if self._worker is worker else None

    def _was_called_back(self, worker: _Worker) -> None:
        """After the callback, never before: the sound is in the caller's queue when this asks for one more turn."""
        with self._lock:
            if self._worker is worker:
                self._called_back += 1

    def _finished(self, worker: _Worker, characters: int) -> None:
        with self._lock:
            if self._worker is worker:
                self._characters -= characters
                self._unfinished -= 1
                self._lock.notify_all()

    def _ended(self, worker: _Worker) -> None:
        """Nobody may wait for a thread that has ended, for whatever reason."""
        with self._lock:
            if self._worker is worker:
                self._drop_all()


class _Worker(threading.Thread):
    """The thread of a processor, from start to stop."""

    def __init__(self, processor: TTSAsyncProcessor) -> None:
        super().__init__(name="TTSAsyncProcessor", daemon=True)
        self._processor = processor
        self._loop = asyncio.new_event_loop()
        self._said = asyncio.Event()
        self._callback_changed = asyncio.Event()
        self._main: asyncio.Task[None] | None = None
        self._is_stopped = False

    def wake(self) -> None:
        """There is something to speak, or another callback. From any thread."""
        self._call(self._said.set)
        self._call(self._callback_changed.set)

    def stop(self) -> None:
        """End, and wait for the end. From any thread; from this one without waiting."""
        self._call(self._cancel)
        if threading.current_thread() is not self:
            self.join(_STOPPING)
            if self.is_alive():
                log.warning("a callback or a voice has not returned for %g s; its thread is left behind", _STOPPING)

    def _call(self, function: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the thread has ended
            self._loop.call_soon_threadsafe(function)

    def _cancel(self) -> None:
        self._is_stopped = True
        if self._main is not None:
            self._main.cancel()

    def run(self) -> None:
        loop = self._loop
        try:
            with contextlib.suppress(asyncio.CancelledError):
                loop.run_until_complete(self._work())
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            # Not by an asyncio.Runner: it would wait for the thread of a voice that cannot be stopped.
            loop.close()
            self._processor._ended(self)

    async def _work(self) -> None:
        self._main = asyncio.current_task()
        if self._is_stopped:
            return
        processor = self._processor
        speaker = Speaker(processor._synthesizer, limit=processor._limit, waiting=16 * _WAITING)
        ready: asyncio.Queue[Spoken] = asyncio.Queue(processor._ahead)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._feed(speaker))
            tasks.create_task(self._speak(speaker, ready))
            tasks.create_task(self._deliver(ready))

    async def _feed(self, speaker: Speaker) -> None:
        while True:
            for text in self._processor._take_unspoken(self):
                if text:
                    speaker.say(text + "\n")  # a text is a line: often the end of its line was stripped
                else:
                    speaker.begin_text()
            await self._said.wait()
            self._said.clear()

    async def _speak(self, speaker: Speaker, ready: asyncio.Queue[Spoken]) -> None:
        async for spoken in speaker:
            await ready.put(spoken)

    async def _deliver(self, ready: asyncio.Queue[Spoken]) -> None:
        while True:
            spoken = await ready.get()
            if spoken.sound is not None:
                handed = await outcome(self._hand_over(spoken.sound))
                if isinstance(handed, Failed):
                    log.error("a sound of %.1f s is lost", spoken.sound.seconds, exc_info=handed.error)
            if spoken.text:  # without: what a text had left open
                self._processor._finished(self, len(spoken.text) - 1)

    async def _hand_over(self, spoken: Sound) -> None:
        processor = self._processor
        sound = to_mono(spoken, processor._sample_rate)
        callback = await self._next_callback()
        if callback is not None:
            try:
                callback(sound.pcm, sound.sample_rate)
            finally:
                processor._was_called_back(self)
            await asyncio.sleep(0)  # the callback may have stopped this
        if processor._player is not None:
            await _play(processor._player, sound)

    async def _next_callback(self) -> AudioReadyCallback | None:
        """The callback, when there is one; `None` if sounds are only played."""
        while True:
            self._callback_changed.clear()
            callback = self._processor._callback_for(self)
            if callback is not None or self._processor._player is not None:
                return callback
            await self._callback_changed.wait()


def _checked(callback: AudioReadyCallback | None) -> AudioReadyCallback | None:
    if callback is not None and (not callable(callback) or inspect.iscoroutinefunction(callback)):
        raise TypeError(
            "the callback is a function that is called on the processor's thread, and no coroutine function"
        )
    return callback


def _find_player() -> tuple[str, ...]:
    for command in _PLAYERS:
        if shutil.which(command[0]):
            return command
    raise RuntimeError(
        "play_voice=True needs a program that plays sound: aplay (package alsa-utils), paplay (package "
        "pulseaudio-utils) or, on macOS, afplay"
    )


async def _play(command: tuple[str, ...], sound: Sound) -> None:
    with tempfile.TemporaryDirectory(prefix="speech-") as folder:
        path = Path(folder, "sound.wav")
        await asyncio.to_thread(path.write_bytes, pcm_to_wav(sound.pcm, sound.sample_rate))
        nowhere = asyncio.subprocess.DEVNULL
        async with running(*command, str(path), stdin=nowhere, stdout=nowhere) as process:
            if await process.wait():
                log.warning("%s failed with status %s", command[0], process.returncode)
