"""The three scripts of a `RedisStore`, and how they are run: what a whole process waits for goes out in one pipeline.

**Keys of a stream.** `{prefix}:{id}:m` is a hash. The braces around the id are in the name, so that a cluster keeps
both keys in one slot.

    w  the writer's token        a  what `About` says, JSON           n  the position
    i  the position before the   b  bytes of data                     g  bytes of the largest entry
       first entry
    u  when the lease is over    r  when somebody read it             s  the end, JSON, once there is one

`{prefix}:{id}:f` is a stream. An entry of frames has the id `1-<position of its last frame>`, and the fields `a`, the
position before its first frame, and `d`, the frames. The end has the id `2-<position>`: from then on Redis itself
refuses every other entry. Times are of Redis's clock, in milliseconds. Both keys expire after each write.

**Group commit.** A command that is awaited by itself costs seven times one in a pipeline. So one task takes the calls
that all streams of the process wait for, and sends them in one pipeline; while it waits, the next ones gather.

Every script may be run twice with the same arguments, and the second time changes nothing: what the connection broke on
is repeated.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from typing import Any, Final

from redis import exceptions as redis_errors

from ..frames import KiB, MiB
from .verbs import Unavailable

__all__ = ["AWAY", "Script", "ScriptRunner", "Scripts", "unavailable"]

PUBLISHED: Final = 16 * KiB
"""Bytes of an entry up to which its data is published; of a larger one only the positions are."""

PIPELINE_BYTES: Final = MiB
"""Bytes up to which calls are sent together."""

ANSWER_SECONDS: Final = 5.0
"""How long an answer may take, before the connection is given up."""

AWAY: Final = (
    redis_errors.ConnectionError,  # BusyLoadingError and MasterNotFoundError too
    redis_errors.TimeoutError,
    redis_errors.InvalidResponse,
    redis_errors.ReadOnlyError,
    redis_errors.OutOfMemoryError,
    redis_errors.ClusterDownError,
    redis_errors.RedisClusterException,
    redis_errors.MovedError,
    redis_errors.TryAgainError,
    OSError,
)
"""What may pass: the server is away, is starting, fails over, or is full."""


class Script:
    """A script, and the name that Redis has for it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class Scripts:
    """The three scripts, for certain settings: a number in the script's text is sent once, and not with every call."""

    def __init__(self, *, lease: int, live_ttl: int, ended_ttl: int, most: int, unread: int) -> None:
        settings = (
            f"local LEASE, LIVE_TTL, ENDED_TTL = {lease}, {live_ttl}, {ended_ttl}  -- milliseconds\n"
            f"local MOST, PUBLISHED = {most}, {PUBLISHED}  -- bytes\n"
            f"local UNREAD = {unread}  -- milliseconds, or 0\n"
        )
        self.create = Script(settings + _NOW + _CREATE)
        self.append = Script(settings + _NOW + _APPEND)
        self.seal = Script(settings + _NOW + _SEAL)


_NOW: Final = """
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
"""

_CREATE: Final = """
-- ARGV: token, about, first. Returns 1, or 0 if the id is another's.
local w = redis.call('HGET', KEYS[1], 'w')
if w then
  return w == ARGV[1] and 1 or 0
end
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[1], 'w', ARGV[1], 'a', ARGV[2], 'i', ARGV[3], 'n', ARGV[3],
           'b', 0, 'g', 0, 'r', now(), 'u', now() + LEASE)
redis.call('PEXPIRE', KEYS[1], LIVE_TTL)
return 1
"""

_APPEND: Final = """
-- ARGV: token, after, upto, data, read here (1 or 0)
local token, after, upto, data = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local m = redis.call('HMGET', KEYS[1], 'w', 's', 'n', 'i', 'b', 'g', 'r')
local w, s, n, first, bytes, largest, read = m[1], m[2], m[3], m[4], m[5], m[6], m[7]
if not w then
  return {'gone'}
end
if s then
  return {'sealed', s}
end
if w ~= token then
  return {'fenced'}
end
if ARGV[5] == '1' then
  redis.call('HSET', KEYS[1], 'r', now())
elseif UNREAD > 0 and now() - read > UNREAD then
  return {'unread'}
end
if n == upto then
  redis.call('HSET', KEYS[1], 'u', now() + LEASE)
else
  if n ~= after then
    return {'conflict', tonumber(n)}
  end
  if n ~= first and redis.call('EXISTS', KEYS[2]) == 0 then  -- one key was evicted
    redis.call('DEL', KEYS[1])
    return {'gone'}
  end
  if bytes + #data > MOST then
    return {'full', MOST - bytes}
  end
  redis.call('XADD', KEYS[2], '1-' .. upto, 'a', after, 'd', data)
  redis.call('HSET', KEYS[1], 'n', upto, 'b', bytes + #data, 'g', math.max(largest, #data), 'u', now() + LEASE)
  if #data <= PUBLISHED then
    redis.call('PUBLISH', KEYS[2], token .. ' ' .. after .. ' ' .. upto .. ' ' .. data)
  else
    redis.call('PUBLISH', KEYS[2], token .. ' ' .. after .. ' ' .. upto)
  end
end
redis.call('PEXPIRE', KEYS[1], LIVE_TTL)
redis.call('PEXPIRE', KEYS[2], LIVE_TTL)
return {'ok'}
"""

_SEAL: Final = """
-- ARGV: end, token or '', position or '', only if dead (1; 2: not even then; or 0), read here (1 or 0)
local m = redis.call('HMGET', KEYS[1], 'w', 's', 'n', 'i', 'u')
local w, s, n, first, lease_over = m[1], m[2], m[3], m[4], m[5]
local token, position = ARGV[2], ARGV[3]
if not w then
  return {'gone'}
end
if s then
  return {'sealed', s}
end
if ARGV[4] == '2' or (ARGV[4] == '1' and now() < tonumber(lease_over)) then
  if ARGV[5] == '1' then
    redis.call('HSET', KEYS[1], 'r', now())
  end
  return {ARGV[4] == '2' and 'unjudged' or 'alive', tonumber(n)}
end
if token ~= '' and token ~= w then
  return {'fenced'}
end
if position ~= '' then
  if position ~= n then
    return {'conflict', tonumber(n)}
  end
  if n ~= first and redis.call('EXISTS', KEYS[2]) == 0 then  -- one key was evicted
    redis.call('DEL', KEYS[1])
    return {'gone'}
  end
end
redis.call('XADD', KEYS[2], '2-' .. n, 'e', ARGV[1])
redis.call('HSET', KEYS[1], 's', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ENDED_TTL)
redis.call('PEXPIRE', KEYS[2], ENDED_TTL)
redis.call('PUBLISH', KEYS[1], 'end')
redis.call('PUBLISH', KEYS[2], 'end')
return {'sealed', ARGV[1]}
"""


class _Call:
    """A script to be run, and who waits for its answer."""

    def __init__(
        self,
        script: Script,
        keys: tuple[str, str],
        arguments: tuple[Any, ...],
        size: int,
        again: tuple[Any, ...] | None,
    ) -> None:
        self.script = script
        self.arguments = (2, *keys, *arguments)
        self.again = self.arguments if again is None else (2, *keys, *again)
        self.size = size
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()


class ScriptRunner:
    """Runs scripts for a whole process, in pipelines of one connection."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._waiting: deque[_Call] = deque()
        self._task: asyncio.Task[None] | None = None
        self._known: set[str] = set()  # what the server has run for this process

    async def run(
        self,
        script: Script,
        keys: tuple[str, str],
        *arguments: Any,
        size: int = 0,
        again: tuple[Any, ...] | None = None,
    ) -> Any:
        """The script's answer. `size` is about how many bytes its arguments are. A server that does not know the script
        any more was restarted: it gets the arguments `again`, or else the same. Raises `Unavailable`."""
        call = _Call(script, keys, arguments, size, again)
        self._waiting.append(call)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="objectstreaming redis scripts")
        return await call.answer

    async def aclose(self) -> None:
        """Stop. Who waits gets `Unavailable`."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        calls: list[_Call] = []
        try:
            while self._waiting:
                await asyncio.sleep(0)  # what else is ready in this turn of the loop goes along
                calls = self._next_calls()
                await self._send(calls)
        finally:
            self._task = None
            for call in (*calls, *self._waiting):
                if not call.answer.done():
                    call.answer.set_exception(Unavailable("the store is closed"))
            self._waiting.clear()

    def _next_calls(self) -> list[_Call]:
        calls: list[_Call] = []
        size = 0
        while self._waiting and (not calls or size + self._waiting[0].size <= PIPELINE_BYTES):
            calls.append(self._waiting.popleft())
            size += calls[-1].size
        return calls

    async def _send(self, calls: list[_Call]) -> None:
        try:
            answers = await self._execute([(call.script.sha, call.arguments) for call in calls])
            forgotten = [n for n, answer in enumerate(answers) if isinstance(answer, redis_errors.NoScriptError)]
            if forgotten:  # the server was restarted, or is new: give it the scripts
                texts = [
                    (call.script.text, call.again if call.script.sha in self._known else call.arguments)
                    for call in (calls[n] for n in forgotten)
                ]
                again = await self._execute(texts, "EVAL")
                for n, answer in zip(forgotten, again, strict=True):
                    answers[n] = answer
            self._known.update(call.script.sha for call in calls)
        except Exception as error:  # noqa: BLE001  each caller gets it
            answers = [error] * len(calls)
        for call, answer in zip(calls, answers, strict=True):
            if call.answer.done():  # nobody waits any more
                continue
            if isinstance(answer, AWAY):
                call.answer.set_exception(unavailable(answer))
            elif isinstance(answer, BaseException):
                call.answer.set_exception(answer)
            else:
                call.answer.set_result(answer)

    async def _execute(self, scripts: list[tuple[str, tuple[Any, ...]]], command: str = "EVALSHA") -> list[Any]:
        async with asyncio.timeout(ANSWER_SECONDS), self._client.pipeline(transaction=False) as pipeline:
            for script, arguments in scripts:
                # A cluster's pipeline has no `evalsha`: the keys of a script may be on several nodes. Ours are not.
                pipeline.execute_command(command, script, *arguments)
            answers: list[Any] = await pipeline.execute(raise_on_error=False)
        return answers


def unavailable(error: BaseException) -> Unavailable:
    """`Unavailable`, because of an error of the client."""
    raised = Unavailable(str(error))
    raised.__cause__ = error
    return raised
