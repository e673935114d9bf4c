"""The URLs that a user types."""

from __future__ import annotations

import httpx

from .errors import CommandError

__all__ = ["http_url"]


def http_url(text: str) -> httpx.URL:
    """The URL that is meant; one without a scheme is of http. Raises `CommandError` with status 2 for any other text.

    >>> http_url("127.0.0.1:8000/ask"), http_url("https://example.com")
    (URL('http://127.0.0.1:8000/ask'), URL('https://example.com'))
    """
    try:
        url = httpx.URL(text if "://" in text else f"http://{text}")
    except httpx.InvalidURL as error:
        raise CommandError(f"{text} is not a URL: {error}", status=2) from None
    if url.scheme not in ("http", "https") or not url.host:
        raise CommandError(f"{text!r} is not an http URL", status=2)
    return url
