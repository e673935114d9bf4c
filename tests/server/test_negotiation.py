"""Accept headers, and what a server of version 1 answers them with."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from objectstreaming.server import JsonLines, ServerSentEvents
from objectstreaming.server.negotiation import negotiate
from objectstreaming.server.problems import RequestError
from objectstreaming.server.views import BUILT_IN

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
    ("accept", "media_type"),
    [
        (f"{VENDOR};v=1", f"{VENDOR};v=1;coder=raw"),
        (f"{VENDOR};v=1;coder=tal", f"{VENDOR};v=1;coder=tal"),
        (f"{VENDOR};v=1;coder=tal, {VENDOR};v=1;coder=raw", f"{VENDOR};v=1;coder=raw"),
        (f"{VENDOR};v=1;coder=tal, {VENDOR};v=1;coder=raw;q=0.9", f"{VENDOR};v=1;coder=tal"),
        (f"{VENDOR};v=1;coder=tal;q=0.9, text/event-stream", "text/event-stream"),
        (f"{VENDOR};v=1;coder=json, */*;q=0.1", "application/octet-stream"),
    ],
)
def test_of_several_coders_the_client_chooses_one(accept: str, media_type: str) -> None:
    assert negotiate(accept, ["raw", "tal"], views=BUILT_IN).media_type == media_type


def test_a_refusal_names_every_coder() -> None:
    with pytest.raises(RequestError, match=r"coder=raw, .*coder=tal or application/octet-stream"):
        negotiate("text/html", ["raw", "tal"])


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


EVENTS = "text/event-stream"
LINES = "application/x-ndjson"
PLAIN = "application/octet-stream"


@pytest.mark.parametrize(
    ("accept", "answer"),
    [
        (EVENTS, EVENTS),
        (f"{EVENTS};charset=utf-8", EVENTS),
        ("Text/Event-Stream", EVENTS),
        ("text/*", EVENTS),
        (f"{EVENTS}, application/json", EVENTS),  # what clients of model APIs send
        (f"*/*, {EVENTS}", EVENTS),  # equal: what is named in full
        (f"*/*, {EVENTS};q=0.9", PLAIN),
        (f"{EVENTS}, {LINES}", EVENTS),  # equal: the first of ours
        (f"{LINES}, {EVENTS};q=0.9", LINES),
        (f"{EVENTS};q=0, {LINES};q=0.1", LINES),
        (f"{EVENTS};q=0, text/*", None),
        ("application/jsonl, application/*;q=0.5", "application/jsonl"),
        ("application/*", PLAIN),
        (f"{PLAIN}, {EVENTS}", PLAIN),
        (f"{VENDOR};v=1, {EVENTS}", f"{VENDOR};v=1;coder=json"),
        (f"{VENDOR};v=1;q=0.5, {EVENTS}", EVENTS),
        (f"{PLAIN};q=0, */*", None),  # */* means the default, and that is refused
        ("*/*", PLAIN),
        ("", PLAIN),
        ("text/html", None),
    ],
)
def test_a_view_is_for_who_names_its_type(accept: str, answer: str | None) -> None:
    if answer is not None:
        assert negotiate(accept, "json", views=BUILT_IN).media_type == answer
        return
    with pytest.raises(RequestError) as caught:
        negotiate(accept, "json", views=BUILT_IN)
    assert f"{PLAIN}, {EVENTS}, {LINES} or application/jsonl" in caught.value.message


@pytest.mark.parametrize(
    ("accept", "answer"),
    [
        (None, LINES),
        ("*/*;q=0.1", LINES),
        ("application/*", LINES),
        ("text/*", EVENTS),
        (f"{PLAIN}, */*", PLAIN),
        (f"{PLAIN}, {LINES}", LINES),
        (f"{PLAIN}, {EVENTS}", PLAIN),
        (f"{VENDOR};v=1, */*", f"{VENDOR};v=1;coder=json"),
    ],
)
def test_a_default_type_takes_the_place_of_the_plain_stream(accept: str | None, answer: str) -> None:
    assert negotiate(accept, "json", views=BUILT_IN, default_type=LINES).media_type == answer


def test_without_the_plain_stream_the_first_view_is_the_default() -> None:
    views = [JsonLines(), ServerSentEvents()]
    assert negotiate(None, views=views, plain=False).view is views[0]
    assert negotiate("*/*", views=views, plain=False).view is views[0]
    assert negotiate(f"{PLAIN}, text/*;q=0.1", views=views, plain=False).view is views[1]
    for accept, offered in ((PLAIN, views), (None, [])):
        with pytest.raises(RequestError, match="names none of them"):
            negotiate(accept, views=offered, plain=False)


@given(st.text(st.sampled_from(f'{VENDOR}*/;=,q01. "\\\tv'), max_size=60))
def test_any_accept_header_is_answered_or_refused(accept: str) -> None:
    with contextlib.suppress(RequestError):
        assert negotiate(accept, "json").version in (1, None)
