"""Speaks a text while it is made: the text passes at once, and the sound of each sentence follows.

`speak_along` is for the answers of a model: tokens in; tokens, and sentences with their sound, out. `Speaker` is the
part that speaks: sentences in, sounds out, in order. It has no task of its own: it speaks when it is asked for the next
sentence. Neither knows anything of the web.

**The time limit** is the voice's own. It runs while a sentence is spoken, with all attempts, and not while the model or
the reader is waited for. When it has passed once, the voice is given up for the rest of the text, so that a voice that
hangs costs one limit, and not one for each sentence. Then, and when the reader leaves, the voice is cancelled. One that
swallows this is waited for one second more, and left behind. While the process has eight such calls, no other voice is
asked: sentences come without sound, with the error `unavailable`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterator
from typing import Any, Final

import msgspec

from objectstreaming.errors import ObjectStreamError

from .chunking import JOINED, Pacing, clauses
from .outcomes import Failed, outcome, outcome_within
from .sentences import SentenceSplitter
from .sound import Sound
from .sound_cache import CachedSynthesizer
from .speakable import SpeechFilter
from .synthesizers import Synthesizer
from .unicode_data import SENTENCE_TERMINALS
from .voices import voice_of

__all__ = ["Speaker", "Spoken", "speak_along"]

log = logging.getLogger(__name__)

LIMIT: Final = 30.0
"""The seconds that a voice may take for a sentence."""
WAITING: Final = 20_000
"""The most characters that wait to be spoken: about twenty minutes of speech."""
_LARGEST_SOUND: Final = 16 * 1024 * 1024
"""The most bytes in the sound of a sentence: six minutes at 22,050 Hz."""
_LONGEST_SOUND: Final = 1_200.0
"""The most seconds in it: a few bytes at 1 Hz would be gigabytes at another rate."""
_HELD_SOUND: Final = 4 * 1024 * 1024
"""No sentence is spoken while the reader has so many bytes of sound to take."""
_HELD_TOKENS: Final = 256
_HELD_CHARACTERS: Final = 64 * 1024
_READ_AT_ONCE: Final = 4 * 1024
"""Characters that are split into sentences before other tasks get their turn."""
_CLOSERS: Final = "\"')]\u201d\u2019\u00bb\u300d\u300f"


class Spoken(msgspec.Struct, frozen=True):
    """A sentence that was spoken. With a `Pacing` it may be a part of one, or several.

    `index` counts from 1. `sound` is `None` if there is nothing to say in the text, or if it could not be said: then
    `error` is the code of the reason. `took` is how many seconds the voice worked on it, and `voice` its name, if the
    engine has several. `cached` says that a `SoundCache` had the sound.
    """

    index: int
    text: str
    sound: Sound | None = None
    error: str | None = None
    took: float = 0.0
    voice: str = ""
    cached: bool = False


class _Waiting(msgspec.Struct):
    text: str
    speech: str
    refused: int = 0  # how many sentences were refused after the one before: then there is no text
    begins_text: bool = False
    ends: bool = True  # whether the sentence ends here
    is_alone: bool = False  # it is not joined: together with others it failed


class Speaker:
    """Speaks sentences, one at a time, in order. Iterate over it for the sounds.

    `say` never waits.

    One `SpeechFilter` reads all sentences, so a code block or a link that one of them opens is known in the next.

    >>> import asyncio
    >>> class Silence:
    ...     async def synthesize(self, text):
    ...         return Sound(bytes(2 * len(text)), 8000)
    >>> async def speak():
    ...     speaker = Speaker(Silence())
    ...     speaker.say("One *word*. ")
    ...     speaker.finish()
    ...     return [(spoken.index, spoken.text, len(spoken.sound.pcm)) async for spoken in speaker]
    >>> asyncio.run(speak())
    [(1, 'One *word*. ', 18)]

    Args:
        synthesizer: the engine. The attribute of this name may be changed: the new one speaks every sentence that is
            not begun yet.
        limit: how many seconds the voice may take for a sentence, with all attempts. The first time they have passed,
            and for all sentences after, the error is `deadline_exceeded`.
        retries: how often a synthesizer that fails is asked again.
        waiting: how many characters may wait to be spoken. A sentence beyond that is refused: it comes as a `Spoken`
            without its text, with the error `resource_exhausted`.
        pacing: of this speaker alone: sentences are cut and joined as the speed of the voice needs it. Without one,
            each is spoken by itself.
    """

    def __init__(
        self,
        synthesizer: Synthesizer,
        *,
        limit: float = LIMIT,
        retries: int = 1,
        waiting: int = WAITING,
        pacing: Pacing | None = None,
    ) -> None:
        if not limit > 0 or retries < 0 or waiting < 1:
            raise ValueError("limit is more than 0 seconds, retries at least 0, waiting at least 1 character")
        self.synthesizer = synthesizer
        self._limit = limit
        self._attempts = retries + 1
        self._most = waiting
        self._characters = 0
        self._sentences: deque[_Waiting] = deque()
        self._speech = SpeechFilter()
        self._index = 0
        self._begins_text = False
        self._is_finished = False
        self._given_up: Synthesizer | None = None
        self._pacing = pacing
        self._paced = synthesizer  # whose speed the pacing knows
        self._is_at_work = False
        self._changed = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many characters wait to be spoken."""
        return self._characters

    def say(self, sentence: str, *, is_whole: bool = True) -> None:
        """Speak this too. Returns at once.

        Args:
            sentence: with its white space; an empty one is nothing.
            is_whole: whether the sentence ends there; if not, the rest comes later.
        """
        if self._is_finished:
            raise RuntimeError("say() after finish()")
        if not sentence:
            return
        pieces = clauses(sentence) if self._pacing else [sentence]
        for number, piece in enumerate(pieces, 1):
            # Refused or not, the filter reads it: otherwise a code block that ends here would stay open.
            speech = self._speech.feed(piece)
            self._add(piece, speech, ends=is_whole and number == len(pieces))

    def is_waited_for(self, characters: int) -> bool:
        """Whether a sentence that has so many characters already should not be waited for: the voice has nothing to do,
        and the listener would wait. Only with a pacing."""
        is_idle = not (self._is_at_work or self._sentences)
        return is_idle and self._pacing is not None and self._pacing.is_late(characters)

    def begin_text(self) -> None:
        """What is said from now on is another text: a code block that is open is closed, and a voice that was given up
        is tried again."""
        if rest := self._speech.finish():
            self._add("", rest)
        self._begins_text = True

    def finish(self) -> None:
        """There are no more sentences. May be called again."""
        if self._is_finished:
            return
        self.begin_text()
        self._is_finished = True
        self._changed.set()

    def _add(self, sentence: str, speech: str, *, ends: bool = True) -> None:
        size = max(len(sentence), len(speech))
        if self._characters + size > self._most and self._sentences:
            if not self._sentences[-1].refused:
                self._sentences.append(_Waiting("", ""))
            self._sentences[-1].refused += 1  # a number: what was refused takes no memory
        else:
            self._characters += size
            self._sentences.append(_Waiting(sentence, speech, begins_text=self._begins_text, ends=ends))
            self._begins_text = False
        self._changed.set()

    def __aiter__(self) -> Speaker:
        return self

    async def __anext__(self) -> Spoken:
        while not self._sentences:
            if self._is_finished:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        next_ = self._sentences[0]
        if next_.refused:
            next_.refused -= 1
            if not next_.refused:
                self._sentences.popleft()
            self._index += 1
            return Spoken(self._index, "", error="resource_exhausted")
        if next_.begins_text:
            self._given_up = None
        self._is_at_work = True
        pieces = [self._take() for _ in range(self._count())]
        try:
            spoken = await self._speak(pieces)
        except BaseException:
            self._put_back(pieces)  # who was cancelled here may ask again
            raise
        finally:
            self._is_at_work = False
        self._index += 1
        return spoken

    def _count(self) -> int:
        """How many of those that wait to speak together."""
        engine = self.synthesizer
        if self._pacing is None or self._given_up is engine or not self._sentences[0].speech:
            return 1
        if self._paced is not engine:
            self._paced = engine
            self._pacing.forget()
        if isinstance(engine, CachedSynthesizer) and (kept := self._count_kept(engine)):
            return kept
        return self._pacing.count((len(piece.speech), piece.ends) for piece in self._joinable())

    def _count_kept(self, engine: CachedSynthesizer) -> int:
        """How many of those that wait have a sound together already: the voice needs no time for it."""
        pieces: list[str] = []
        kept = characters = 0
        for piece in self._joinable():
            pieces.append(piece.speech)
            characters += len(piece.speech)
            if len(pieces) > 1 and characters > JOINED:
                break
            if engine.has(" ".join(pieces)):
                kept = len(pieces)
        return kept

    def _joinable(self) -> Iterator[_Waiting]:
        """The pieces that may be spoken together."""
        before: _Waiting | None = None
        for piece in self._sentences:
            if piece.refused or not piece.speech:
                return
            if before is not None:
                if piece.begins_text or piece.is_alone or before.is_alone:
                    return
                if before.ends and before.speech.rstrip(_CLOSERS)[-1:] not in SENTENCE_TERMINALS:
                    return  # a heading or an item: only the end of the text says that it ends
            yield piece
            before = piece

    def _take(self) -> _Waiting:
        taken = self._sentences.popleft()
        self._characters -= max(len(taken.text), len(taken.speech))
        return taken

    def _put_back(self, pieces: list[_Waiting]) -> None:
        for piece in reversed(pieces):
            self._characters += max(len(piece.text), len(piece.speech))
            self._sentences.appendleft(piece)

    async def _speak(self, pieces: list[_Waiting]) -> Spoken:
        """The next `Spoken`. Of several pieces those that it leaves to the next one are put back, and taken out of the
        list."""
        index = self._index + 1
        text = "".join(piece.text for piece in pieces)
        speech = " ".join(piece.speech for piece in pieces)
        if not speech:
            return Spoken(index, text)
        if self._given_up is self.synthesizer:
            return Spoken(index, text, error="deadline_exceeded")
        clock = asyncio.get_running_loop().time
        began = clock()
        engine = self.synthesizer
        sound, cached = None, False
        try:
            sound, cached, error = await self._attempt(engine, speech, began + self._limit)
            if error is not None and len(pieces) > 1:
                # A sentence that cannot be spoken costs its own sound, and not that of those beside it.
                for piece in pieces:
                    piece.is_alone = True
                self._put_back(pieces[1:])
                del pieces[1:]
                text, speech = pieces[0].text, pieces[0].speech
                sound, cached, error = await self._attempt(engine, speech, began + self._limit)
        except TimeoutError:
            error, self._given_up = "deadline_exceeded", engine
            log.warning("the voice took longer than %g s for a sentence, and is given up", self._limit)
        took = clock() - began
        if self._pacing is not None and sound is not None:
            self._pacing.said(len(speech), sound.seconds, None if cached else took)
        return Spoken(index, text, sound, error, took, voice_of(engine), cached)

    async def _attempt(
        self, engine: Synthesizer, speech: str, deadline: float
    ) -> tuple[Sound | None, bool, str | None]:
        """The sound, whether a cache had it, and the error. Raises a `TimeoutError` at the deadline."""
        failure: BaseException
        for _ in range(self._attempts):
            seconds = max(0.0, deadline - asyncio.get_running_loop().time())
            made = await outcome_within(_synthesize(engine, speech), seconds)
            if not isinstance(made, Failed):
                sound, cached = made
                return (sound if sound.pcm else None), cached, None
            failure = made.error
            if isinstance(failure, KeyboardInterrupt):
                raise failure
            if isinstance(failure, _TooMuchSound):
                break
        log.warning("a sentence of %d characters could not be spoken", len(speech), exc_info=failure)
        # The code of an engine of ours is meant to be known. Of another's exception nothing is.
        return None, False, failure.code if isinstance(failure, ObjectStreamError) else "unavailable"


class _TooMuchSound(ObjectStreamError):
    code = "resource_exhausted"


async def _synthesize(engine: Synthesizer, speech: str) -> tuple[Sound, bool]:
    """The sound, and whether a cache had it."""
    if isinstance(engine, CachedSynthesizer):
        sound, cached = await engine.find_or_synthesize(speech)
    else:
        sound, cached = await engine.synthesize(speech), False
    if not isinstance(sound, Sound):
        raise TypeError(f"{type(engine).__name__}.synthesize gives a Sound, not {type(sound).__name__}")
    if len(sound.pcm) > _LARGEST_SOUND or sound.seconds > _LONGEST_SOUND:
        raise _TooMuchSound(f"the sound of a sentence has {len(sound.pcm)} bytes, {sound.seconds:.0f} s")
    return sound, cached


async def speak_along(
    tokens: AsyncIterable[str],
    synthesizer: Synthesizer | Speaker,
    *,
    ahead: int = 2,
    limit: float = LIMIT,
    retries: int = 1,
    pause: float | None = 0.3,
    prepare: Callable[[Spoken], Awaitable[None]] | None = None,
) -> AsyncGenerator[str | Spoken, None]:
    """The tokens, each at once, and among them the sentences with their sound: each after its last token, in order.

    The tokens do not wait for the voice.

    A sentence that cannot be spoken comes without sound. If `tokens` raises, the same exception is raised here, after
    the sounds that were ready. Close the generator to leave (`contextlib.aclosing`): the voice is stopped, and `tokens`
    closed, before that returns.

    >>> import asyncio
    >>> class Silence:
    ...     async def synthesize(self, text):
    ...         return Sound(bytes(2 * len(text)), 8000)
    >>> async def tokens():
    ...     for token in ("It is", " so. ", "Yes."):
    ...         yield token
    >>> async def speak():
    ...     return [item async for item in speak_along(tokens(), Silence())]
    >>> items = asyncio.run(speak())
    >>> [item for item in items if isinstance(item, str)]
    ['It is', ' so. ', 'Yes.']
    >>> [(item.index, item.text, item.sound.seconds) for item in items if isinstance(item, Spoken)]
    [(1, 'It is so. ', 0.001125), (2, 'Yes.', 0.0005)]

    Args:
        tokens: at most 256 of them wait for the reader: a slower one slows down the model.
        synthesizer: the engine, or a `Speaker`.
        ahead: how many sounds may wait for the reader, the one in the making included.
        limit: as for `Speaker`.
        retries: as for `Speaker`.
        pause: seconds without a token after which a sentence that looks complete is spoken; `None` waits for what comes
            next.
        prepare: called with each sentence before it comes here, and awaited; meanwhile the tokens go on.

    Yields:
        Each token, and a `Spoken` for each sentence.
    """
    if ahead < 1:
        raise ValueError(f"ahead is at least 1 sound, not {ahead}")
    speaker = synthesizer if isinstance(synthesizer, Speaker) else Speaker(synthesizer, limit=limit, retries=retries)
    out = _Outlet(ahead)
    works = _read(tokens, speaker, out, pause), _voice(speaker, out, prepare)
    tasks = [asyncio.ensure_future(outcome(work)) for work in works]
    for task in tasks:
        task.add_done_callback(lambda _: out.changed.set())
    try:
        while True:
            while (item := out.take()) is not None:
                yield item
            ended = [task.result() for task in tasks if task.done()]
            for end in ended:
                if end is not None:
                    raise end.error
            if len(ended) == len(tasks):
                return
            await out.wait()
    finally:
        out.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read(tokens: AsyncIterable[str], speaker: Speaker, out: _Outlet, pause: float | None) -> None:
    """Put each token out, and then have the sentences spoken that it completes."""
    splitter = SentenceSplitter()
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle | None = None

    def say(sentences: list[str]) -> None:
        for sentence in sentences:
            speaker.say(sentence)

    iterator: Any = aiter(tokens)
    try:
        async for token in iterator:
            if not token:
                continue
            if timer is not None:
                timer.cancel()
            await out.put_token(token)
            for start in range(0, len(token), _READ_AT_ONCE):
                if start:
                    await asyncio.sleep(0)  # a token of megabytes takes seconds
                say(splitter.feed(token[start : start + _READ_AT_ONCE]))
            if speaker.is_waited_for(splitter.buffered) and (clause := splitter.clause()):
                speaker.say(clause, is_whole=False)
            if pause is not None:
                timer = loop.call_later(pause, lambda: say(splitter.pause()))
        if timer is not None:
            timer.cancel()
        say(splitter.flush())
        speaker.finish()
    finally:
        if timer is not None:
            timer.cancel()
        if close := getattr(iterator, "aclose", None):
            with contextlib.suppress(RuntimeError):  # it is being closed already
                await close()


async def _voice(speaker: Speaker, out: _Outlet, prepare: Callable[[Spoken], Awaitable[None]] | None) -> None:
    while True:
        await out.room_for_sound()
        try:
            spoken = await anext(speaker)
        except StopAsyncIteration:
            return
        if prepare is not None:
            await prepare(spoken)
        out.put_sound(spoken)


class _Outlet:
    """What the reader has to take, in the order of its arrival. Tokens and sounds are bounded apart, so that neither
    waits for the other."""

    def __init__(self, ahead: int) -> None:
        self.changed = asyncio.Event()
        self._taken = asyncio.Event()
        self._items: deque[str | Spoken] = deque()
        self._ahead = ahead
        self._tokens = self._characters = self._sounds = self._bytes = 0
        self._is_closed = False

    def close(self) -> None:
        """The reader has left: who puts something in is cancelled, even if the model has swallowed that once."""
        self._is_closed = True

    def take(self) -> str | Spoken | None:
        """The next item, if there is one."""
        if not self._items:
            return None
        item = self._items.popleft()
        if isinstance(item, str):
            self._tokens -= 1
            self._characters -= len(item)
        else:
            self._sounds -= 1
            self._bytes -= _size(item)
        self._taken.set()
        return item

    async def wait(self) -> None:
        """Wait until there may be an item, or a task has ended."""
        await self.changed.wait()
        self.changed.clear()

    async def put_token(self, token: str) -> None:
        while self._tokens and (self._tokens >= _HELD_TOKENS or self._characters + len(token) > _HELD_CHARACTERS):
            await self._wait_until_taken()
        self._tokens += 1
        self._characters += len(token)
        self._put(token)

    async def room_for_sound(self) -> None:
        """Wait until another sound may be made."""
        while self._sounds >= self._ahead or self._bytes >= _HELD_SOUND:
            await self._wait_until_taken()

    def put_sound(self, spoken: Spoken) -> None:
        self._sounds += 1
        self._bytes += _size(spoken)
        self._put(spoken)

    def _put(self, item: str | Spoken) -> None:
        if self._is_closed:
            raise asyncio.CancelledError
        self._items.append(item)
        self.changed.set()

    async def _wait_until_taken(self) -> None:
        if self._is_closed:
            raise asyncio.CancelledError
        self._taken.clear()
        await self._taken.wait()


def _size(spoken: Spoken) -> int:
    return len(spoken.sound.pcm) if spoken.sound is not None else 0
