"""Accept headers, and what a server of version 1 answers them with."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from objectstreaming.server import RequestError, negotiate

VENDOR = "application/vnd.objectstreaming"


@pytest.mark.parametrize(
    "accept",
    [
        f"{VENDOR};v=1",
        f"{VENDOR}",  # any version will do
        f"{VENDOR};v=1, application/octet-stream;q=0.5",
        f"application/octet-stream, {VENDOR};v=1",  # equal: ours to choose
        f"{VENDOR};v=1;coder=json",
        f'{VENDOR} ; v="1" ; coder="json"',
        f"{VENDOR.upper()};V=1;Coder=json;Q=0.1, text/html",
        f"*/*;q=0.1, {VENDOR};v=1;q=0.2",
        f"{VENDOR};v=2, {VENDOR};v=1;q=0.5",
        f"nonsense, {VENDOR};v=1",
        f"{VENDOR};q=0, {VENDOR};v=1",  # the closest range counts
        f',, {VENDOR};v=1;x="a,b;\\"c" ,',
    ],
)
def test_a_client_that_asks_for_version_1_gets_it(accept: str) -> None:
    answer = negotiate(accept, "json")
    assert (answer.version, answer.media_type) == (1, f"{VENDOR};v=1;coder=json")


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "",
        " , ,",
        "*/*",
        "application/*",
        "text/html, */*;q=0.1",
        "application/octet-stream",
        f"{VENDOR};v=2, */*;q=0.1",
        f"{VENDOR};v=1;q=0.4, application/octet-stream",
        f"{VENDOR};v=1;q=0, */*",
        f"{VENDOR};v=1;coder=tal, */*;q=0.1",
        f"{VENDOR};v=01, */*;q=0.1",
        f"{VENDOR}s;v=1, */*;q=0.1",
        "nonsense",  # nothing that means anything is as good as nothing
        "application/octet-stream;q=7, */*",
    ],
)
def test_all_others_get_the_plain_stream(accept: str | None) -> None:
    answer = negotiate(accept, "json")
    assert (answer.version, answer.media_type) == (None, "application/octet-stream")


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        f"{VENDOR};v=2",
        f"{VENDOR};v=1;coder=tal",
        f"{VENDOR};v=1;q=0",
        "*/*;q=0",
        "application/octet-stream;q=0, */*",
    ],
)
def test_a_client_that_accepts_neither_gets_406(accept: str) -> None:
    with pytest.raises(RequestError) as caught:
        negotiate(accept, "json")
    assert (caught.value.http_status, caught.value.code) == (406, "invalid_argument")
    assert f"{VENDOR};v=1;coder=json or application/octet-stream" in caught.value.message


def test_a_request_is_asked_for_all_its_accept_headers() -> None:
    headers = [(b"accept", b"application/octet-stream;q=0.1"), (b"accept", f"{VENDOR};v=1".encode())]
    assert negotiate(Request({"type": "http", "headers": headers})).version == 1
    assert negotiate(Request({"type": "http", "headers": []})).version is None


def test_without_a_coder_any_is_accepted_and_the_type_names_none() -> None:
    assert negotiate(f"{VENDOR};v=1;coder=tal").media_type == f"{VENDOR};v=1"


@given(st.text(st.sampled_from(f'{VENDOR}*/;=,q01. "\\\tv'), max_size=60))
def test_any_accept_header_is_answered_or_refused(accept: str) -> None:
    with contextlib.suppress(RequestError):
        assert negotiate(accept, "json").version in (1, None)
