"""The page of the reference app, in a real browser: it asks, shows sentences, plays their sound, and trusts nobody."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Browser
from reference_app import Breaking, make_app

from objectstreaming import JsonCoder, StreamEncoder, StreamError, encode_frame
from objectstreaming.app.application import page_and_headers
from objectstreaming.cli.loopback import LoopbackServer


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Browser]:
    with LoopbackServer(make_app()) as server:
        browser.open(f"{server.url}/")
        yield browser


SETTLED = """new Promise(settle => {
    const timer = setInterval(() => {
        const state = document.body.dataset.state;
        if (state === "done" || state === "failed") { clearInterval(timer); settle(state); }
    }, 5);
})"""


def ask(page: Browser, question: str) -> str:
    page.run("document.body.dataset.state = ''")
    page.run(f"at('question').value = {json.dumps(question)}; at('form').requestSubmit()")
    return str(page.run(SETTLED))


def test_it_asks_shows_and_plays(page: Browser) -> None:
    page.run("starts = []; const s = AudioBufferSourceNode.prototype.start; AudioBufferSourceNode.prototype.start ="
             " function (t) { starts.push([t, this.buffer.duration]); return s.call(this, t); }; 0")  # fmt: skip
    assert ask(page, "what <b>is</b> that?") == "done"
    assert page.run("[...document.querySelectorAll('#answer p')].map(p => p.firstChild.textContent)") == [
        "You asked: what <b>is</b> that?",
        "The fox is red.",
    ]
    assert page.run("document.querySelector('#answer small').textContent") == "fox.md > Questions"
    assert page.run("document.querySelectorAll('#answer b').length") == 0
    assert page.run("at('status').textContent").startswith("3 frames, 0.4 s of speech")
    # Each piece begins where the one before it ends: no gap, no overlap.
    (first, length), (second, _) = page.run("starts")
    assert second == pytest.approx(first + length, abs=1e-6)
    assert not page.complaints


def test_a_failure_is_shown(page: Browser) -> None:
    assert ask(page, "x" * 5_000) == "failed"
    assert "at most 4000 characters" in page.run("at('status').textContent")


def read(page: Browser, reader: str, wire: bytes, size: int) -> Any:
    """What a reader of the page makes of `wire`, fed in pieces of `size` bytes: payloads' sizes, and an error."""
    return page.run(
        f"""(() => {{
            const wire = Uint8Array.from(atob({json.dumps(base64.b64encode(wire).decode())}), c => c.charCodeAt(0));
            const reader = new {reader}(), sizes = [];
            try {{
                for (let at = 0; at < wire.length; at += {size})
                    for (const frame of reader.feed(wire.subarray(at, at + {size}))) sizes.push(frame.payload.length);
                reader.finish();
            }} catch (error) {{ return [sizes, error.message]; }}
            return [sizes, null];
        }})()"""
    )


FRAMES = encode_frame({"a": "\u00e9\U0001f98a"}, bytes(1_000)) + encode_frame({}) + encode_frame({}, b"xyz")


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11, 100, 4_096])
def test_the_pieces_of_a_stream_make_no_difference(page: Browser, size: int) -> None:
    assert read(page, "FrameReader", FRAMES, size) == [[1_000, 0, 3], None]


@pytest.mark.parametrize("size", [1, 4_096])
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (bytes(8), "its length is 0"),
        (b"\xff" * 4, "more than are accepted"),
        (b"<htm", "more than are accepted"),
        (b"\x10\0\0\0\x09\0\0\0", "longer than the frame"),
        (b"\0\0\x20\0\0\0\x18\0", "longer than is accepted"),
        (encode_frame({})[:-1], "cut inside a frame"),
        (b"\x0a\0\0\0\x02\0\0\0[]", "no object"),
        (b"\x09\0\0\0\x01\0\0\0\xff", "not valid"),
    ],
)
def test_what_is_wrong_is_found_after_the_good_frames(page: Browser, wrong: bytes, message: str, size: int) -> None:
    sizes, error = read(page, "FrameReader", FRAMES + wrong, size)
    assert sizes == [1_000, 0, 3]
    assert message in error


def stream(*, error: StreamError | None = None) -> bytes:
    encoder = StreamEncoder(JsonCoder())
    return encoder.open() + encoder.data({}, 1) + encoder.ping() + encoder.data({}, 2) + encoder.end(error=error)


def test_a_stream_is_whole_only_with_its_end(page: Browser) -> None:
    assert read(page, "StreamReader", stream(), 3) == [[1, 1], None]
    assert read(page, "StreamReader", stream(error=StreamError("unavailable", "gone")), 3) == [[1, 1], "gone"]
    assert read(page, "StreamReader", stream() + encode_frame({}), 3) == [[1, 1], "a frame after the end"]
    miscounted = stream().replace(b'"frames":2', b'"frames":3')
    assert read(page, "StreamReader", miscounted, 3) == [[1, 1], "3 frames were sent, 2 came"]
    whole = stream()
    for cut in range(0, len(whole), 7):
        assert read(page, "StreamReader", whole[:cut], 64)[1] in (
            "the answer was cut",
            "the answer was cut inside a frame",
        )


def test_an_answer_that_breaks_off_is_an_error(browser: Browser) -> None:
    with LoopbackServer(make_app(answerer=Breaking())) as server:
        browser.open(f"{server.url}/")
        assert ask(browser, "why?") == "failed"
        assert browser.run("document.querySelectorAll('#answer p').length") == 2
        assert browser.run("at('status').textContent") == "internal error"


def test_only_its_own_script_may_run(page: Browser) -> None:
    policy = page_and_headers()[2]["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    page.run(
        "const s = document.createElement('script'); s.textContent = 'window.owned = 1'; document.body.append(s); 0"
    )
    assert page.run("typeof window.owned") == "undefined"


def test_it_needs_no_other_host() -> None:
    html = (Path(__file__).parents[2] / "objectstreaming" / "app" / "page.html").read_text()
    assert "http" not in html.replace("http-equiv", "")
