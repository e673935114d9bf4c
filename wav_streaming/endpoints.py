"""OpenAI-compatible servers: their addresses, keys and answers. No message shows a key or a password."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping
from typing import Any, Final

from objectstreaming.extras import extra

__all__ = ["UNCOMPRESSED", "Endpoint", "EndpointError", "bearer", "endpoint_url", "is_bounded", "shown"]

UNCOMPRESSED: Final = {"Accept-Encoding": "identity"}
"""Asks a server not to compress: what a few bytes unpack to has no bound, and a stream would come in lumps."""

_SERVER: Final = re.compile(r"https?://[^/?#\s:]\S*\Z|https?://\[\S*\Z", re.IGNORECASE)


def endpoint_url(base: str, path: str) -> str:
    """`base` with `/v1/` and `path` after it, as far as it does not have them.

    >>> {endpoint_url(f"http://h{base}", "audio/speech") for base in ("", "/v1/", "/v1/audio/speech")}
    {'http://h/v1/audio/speech'}

    Raises:
        ValueError: `base` is no URL of a server.
    """
    if not _SERVER.match(base):
        raise ValueError(f"the URL of a server is like http://localhost:11434/v1, not {shown(base)!r}")
    base = base.rstrip("/")
    if base.endswith(f"/{path}"):
        return base
    return f"{base}/{path}" if base.endswith("/v1") else f"{base}/v1/{path}"


def shown(url: str) -> str:
    """`url` for messages and logs: without a password and without a query, which may be a key.

    >>> shown("https://me:secret@example.org/v1?key=secret")
    'https://example.org/v1'
    """
    return re.sub(r"//[^/?#]*@", "//", url).partition("?")[0]


def bearer(api_key: str | None) -> dict[str, str]:
    """The headers that send a key. Raises `ValueError`, without the key in it, for one that HTTP cannot send.

    >>> bearer("sk-1\\n"), bearer("")
    ({'Authorization': 'Bearer sk-1'}, {})
    """
    key = (api_key or "").strip()
    if not key.isascii() or not key.isprintable():
        raise ValueError("the API key has a character that HTTP cannot send, such as a line break within it")
    return {"Authorization": f"Bearer {key}"} if key else {}


def is_bounded(headers: Mapping[str, str]) -> bool:
    """Whether an answer is not compressed, or in a way that makes it at most a thousand times as large."""
    return headers.get("content-encoding", "").lower() in ("", "identity", "gzip", "deflate")


class EndpointError(Exception):
    """Why a server gave no answer. The caller of `Endpoint.post` turns it into an error of its own."""


class Endpoint:
    """`path` of the server at `base`. `client` is an `httpx.AsyncClient` to share; without one, each request opens a
    connection. `timeout` is in seconds, for a request in all. `name` is its address, for messages."""

    def __init__(self, base: str, path: str, *, api_key: str | None, client: Any, timeout: float) -> None:
        self.url = endpoint_url(base, path)
        self.name = shown(self.url)
        self._headers = {**UNCOMPRESSED, **bearer(api_key)}
        self._client = client
        self._timeout = timeout

    async def post(self, most: int, **request: Any) -> bytes:
        """The body of a 2xx answer, of at most `most` bytes. Otherwise raises `EndpointError`."""
        with extra("voice"):
            import httpx

        client = self._client
        try:
            async with contextlib.AsyncExitStack() as stack:
                await stack.enter_async_context(asyncio.timeout(self._timeout))
                if client is None:
                    client = await stack.enter_async_context(httpx.AsyncClient())
                response = await stack.enter_async_context(
                    client.stream("POST", self.url, headers=self._headers, timeout=self._timeout, **request)
                )
                if not is_bounded(response.headers):
                    raise EndpointError(f"{self.name} compressed its answer, which it was asked not to do")
                body = bytearray()
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > most:
                        raise EndpointError(f"{self.name} answered with more than {most} bytes")
        except (httpx.TimeoutException, TimeoutError):
            raise EndpointError(f"{self.name} took longer than {self._timeout} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise EndpointError(f"{self.name} cannot be reached: {error or type(error).__name__}") from None
        if not response.is_success:
            beginning = bytes(body[:200]).decode(errors="replace")
            raise EndpointError(f"{self.name} answered with HTTP {response.status_code}: {beginning}")
        return bytes(body)
