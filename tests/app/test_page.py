"""The page of the reference app, in a real browser: it asks, shows text and plays its sound, by keyboard alone."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from browser import Browser
from needed_programs import needs
from reference_app import Breaking, Slow, make_app

from objectstreaming.app.answers import Sentence
from objectstreaming.app.application import page_and_headers
from objectstreaming.app.limits import AppLimits
from objectstreaming.cli.loopback import LoopbackServer

PAGE = Path(__file__).parents[2] / "objectstreaming" / "app" / "page.html"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with LoopbackServer(make_app()) as server:
        yield f"{server.url}/"


@pytest.fixture
def page(browser: Browser, url: str) -> Browser:
    opened(browser, url)
    return browser


@pytest.fixture
def emulated(browser: Browser) -> Iterator[Browser]:
    """A browser whose window and colours a test may change."""
    yield browser
    browser.call("Emulation.clearDeviceMetricsOverride")
    browser.call("Emulation.setEmulatedMedia", features=[])


def opened(browser: Browser, url: str) -> None:
    browser.open(url)
    browser.run("at = id => document.getElementById(id); 0")


def until(page: Browser, condition: str) -> None:
    """Wait until a condition holds in the page. It is looked at when the page has changed, and every 20 ms."""
    page.run(f"""new Promise(done => {{
        const timer = setInterval(() => {{ if ({condition}) {{ clearInterval(timer); done(); }} }}, 20);
    }})""")


def text(page: Browser, id: str) -> str:
    return str(page.run(f"document.getElementById({json.dumps(id)}).textContent"))


def ask(page: Browser, question: str) -> str:
    """Ask as a person does, and wait for the end of the answer. Returns the state of the page."""
    page.run("at('question').value = ''; at('question').focus()")
    page.type(question)
    page.press("Enter")
    until(page, "!['asking', undefined].includes(document.body.dataset.state)")
    return str(page.run("document.body.dataset.state"))


def test_it_asks_shows_and_plays(page: Browser) -> None:
    assert ask(page, "what <b>is</b> that?") == "done"
    assert text(page, "answer") == "You asked: what <b>is</b> that? The fox is red."
    assert text(page, "asked") == "what <b>is</b> that?"
    assert page.run("document.querySelectorAll('#answer b').length") == 0
    assert "s of speech" in text(page, "status")
    until(page, "at('stop').disabled")  # all was heard
    assert page.run("document.activeElement.id") == "question"
    assert not page.complaints


def test_the_sentence_that_is_heard_is_marked(page: Browser) -> None:
    page.run("""marked = []; new MutationObserver(() => {
        const now = document.querySelector('#answer [aria-current]');
        if (now && marked.at(-1) !== now.textContent) marked.push(now.textContent);
    }).observe(at('answer'), {attributes: true, subtree: true})""")
    ask(page, "why?")
    until(page, "at('stop').disabled")
    assert [sentence.strip() for sentence in page.run("marked")] == ["You asked: why?", "The fox is red."]
    assert page.run("document.querySelector('#answer [aria-current]')") is None


def test_without_sound_a_screen_reader_is_told_sentences(page: Browser) -> None:
    assert page.run("at('answer').ariaLive") == "off"  # the voice is heard
    page.run("at('sound').focus()")
    page.press(" ")
    assert page.run("at('sound').ariaPressed") == "false"
    page.run("""told = []; new MutationObserver(changes => told.push(...changes.flatMap(change =>
        [...change.addedNodes].filter(node => !node.ariaHidden && !change.target.closest('[aria-hidden]'))
            .map(node => node.textContent))))
        .observe(at('answer'), {childList: true, subtree: true})""")
    assert ask(page, "why?") == "done"
    assert page.run("at('answer').ariaLive") == "polite"
    assert [sentence.strip() for sentence in page.run("told")] == ["You asked: why?", "The fox is red."]
    assert "0.0 s of speech" in text(page, "status")


def test_figures_are_numbers_where_a_coarse_clock_has_not_ticked(page: Browser) -> None:
    page.run("performance.now = () => 0")
    assert ask(page, "why?") == "done"
    until(page, "!at('figures').hidden")
    assert re.search(r"bytes read, \d+ kbit/s", text(page, "read"))
    assert not re.search("NaN|Infinity|∞", str(page.run("document.body.innerText")))


@pytest.mark.parametrize("transport", ["sse", "jsonlines"])
def test_other_transports_give_the_same_text(page: Browser, transport: str) -> None:
    page.run(f"at('transport').value = '{transport}'")
    assert ask(page, "why?") == "done"
    assert text(page, "answer") == "You asked: why? The fox is red."
    assert "s of speech" in text(page, "status")


def test_the_speed_changes_what_is_heard(page: Browser) -> None:
    page.run("at('speed').value = '2'; at('speed').dispatchEvent(new Event('change'))")
    assert ask(page, "why?") == "done"
    until(page, "at('stop').disabled")
    spoken = float(re.findall(r"([\d.]+) s of speech", text(page, "status"))[0])
    left = float(page.run("parseFloat(at('mark').style.left)"))
    assert left == pytest.approx(100 * spoken / max(1, spoken), abs=20)  # the mark goes through the whole sound


def test_a_failure_is_shown(page: Browser) -> None:
    page.run("at('question').removeAttribute('maxlength')")
    assert ask(page, "x" * 5_000) == "failed"
    assert "at most 4000 characters" in text(page, "status")


def test_an_answer_that_breaks_off_is_an_error(browser: Browser) -> None:
    with LoopbackServer(make_app(answerer=Breaking())) as server:
        opened(browser, f"{server.url}/")
        assert ask(browser, "why?") == "failed"
        assert "The fox is red." in text(browser, "answer")
        assert text(browser, "status") == "internal error"


def test_escape_stops_the_answer_and_the_server(browser: Browser) -> None:
    answerer = Slow()
    with LoopbackServer(make_app(answerer=answerer)) as server:
        opened(browser, f"{server.url}/")
        browser.run("at('question').focus()")
        browser.type("why?")
        browser.press("Enter")
        until(browser, "at('answer').textContent.includes('Wait.')")
        browser.press("Escape")
        assert browser.run("document.body.dataset.state") == "stopped"
        assert browser.run("at('stop').disabled")
        assert answerer.closed.wait(10)


def test_no_sound_is_lost_where_a_browser_keeps_it_back(page: Browser) -> None:
    page.run("at('question').value = 'why?'; at('form').requestSubmit()")  # by a script: no click, no key
    until(page, "document.body.dataset.state === 'done' && !at('unlock').hidden")
    assert page.run("document.querySelector('#answer [aria-current]')") is None
    page.run("at('unlock').focus()")
    page.press("Enter")
    until(page, "at('unlock').hidden && at('stop').disabled")


def test_it_tells_what_frames_and_events_cost(page: Browser) -> None:
    assert ask(page, "why?") == "done"
    until(page, "!at('figures').hidden")
    page.run("at('compare').click()")
    until(page, "!at('compare').disabled")
    rows = page.run("[...at('figures-body').rows].map(row => [...row.cells].map(cell => cell.textContent))")
    assert [row[0] for row in rows][:4] == ["Bytes", "First text", "First sound", "Last sound"]
    assert all(row[1] and row[2] and row[3] for row in rows[:5])
    frames, events, lines = (int(size.split()[0].replace(",", "")) for size in rows[0][1:])
    assert 1.2 < events / frames < 1.4
    assert 1.2 < lines / frames < 1.5
    listed = page.run("[...at('frames').rows].map(row => row.cells[2].textContent)")
    assert listed[0] == "text"
    assert {"sound, 1", "sound, 2"} < set(listed)
    assert text(page, "frame-count") == str(len(listed))


class Reading:
    """Answers with four sentences, which are long enough to be cut."""

    async def answer(self, question: str) -> AsyncIterator[Sentence]:
        for word in ("first", "second", "third", "last"):
            yield Sentence(f"This is the {word} sentence of the answer, and it is not the shortest of all.", "")


@pytest.fixture(scope="module")
def demo() -> Iterator[str]:
    with LoopbackServer(make_app(answerer=Reading(), faults=True, limits=AppLimits(burst=1_000))) as server:
        yield f"{server.url}/"


def test_an_answer_that_is_cut_is_resumed(browser: Browser, demo: str) -> None:
    opened(browser, demo)
    browser.run("at('cut').focus()")
    browser.press(" ")
    assert ask(browser, "why?") == "done"
    assert "cut and resumed" in text(browser, "status")
    resumed = text(browser, "answer"), browser.run("[...at('frames').rows].length")
    browser.run("at('cut').click()")
    assert ask(browser, "why?") == "done"
    assert "cut" not in text(browser, "status")
    assert (text(browser, "answer"), browser.run("[...at('frames').rows].length")) == resumed


# Gives 1,000 bytes at a time, and notes how many of them the page had at most, and had not told of yet.
COUNTING = """
    given = most = 0;
    const real = fetch;
    window.fetch = async (...request) => {
        const response = await real(...request);
        const reader = response.body.getReader();
        let rest = new Uint8Array();
        const pull = async controller => {
            if (!rest.length) ({value: rest} = await reader.read());
            if (!rest) return controller.close();
            most = Math.max(most, given - (parseInt(at('read').textContent.replaceAll(',', '')) || 0));
            controller.enqueue(rest.slice(0, 1000));
            given += Math.min(1000, rest.length);
            rest = rest.subarray(1000);
        };
        return new Response(new ReadableStream({pull}, {highWaterMark: 0}), {headers: response.headers});
    };
    0"""


def test_a_slow_reader_gets_all_in_order_and_what_it_does_not_read_waits(browser: Browser) -> None:
    with LoopbackServer(make_app(answerer=Reading(), heartbeat=0.2)) as server:
        opened(browser, f"{server.url}/")
        told = "[at('answer').textContent, [...at('frames').rows].map(row => row.cells[2].textContent)]"
        arrived = "[...at('frames').rows].map(row => parseInt(row.cells[1].textContent))"
        assert ask(browser, "why?") == "done"
        quickly = browser.run(told)
        browser.run(COUNTING + "; at('reading').focus()")
        browser.press("2")  # chooses from a list by its first letter
        assert browser.run("at('reading').value") == "256"
        assert ask(browser, "why?") == "done"  # with a ping every 0.2 s, and silence of 0.6 s would be an error
        assert browser.run(told) == quickly
        read, rate = map(int, re.findall(r"\d+", text(browser, "read").replace(",", "")))
        assert read > 50_000
        assert 150 < rate < 270
        times = browser.run(arrived)
        assert times == sorted(times)
        assert times[-1] > 8 * read / 270
        assert browser.run("most") < 10_000  # a frame and a bit


def test_it_shows_what_readers_say_of_a_broken_answer(browser: Browser, demo: str) -> None:
    opened(browser, demo)
    until(browser, "!at('breaking').hidden")
    browser.run("at('break').click()")
    until(browser, "!at('break').disabled")
    said = browser.run("[...at('broken').querySelectorAll('dd')].map(said => said.textContent)")
    killed, ended = said[:3], said[3:]
    assert killed[0].startswith(
        "Error after"
    )  # inside a frame, or between two: who knows what was sent before the kill
    assert "inside a frame" in ended[0]
    assert killed[1].startswith("All is lost")
    assert ended[1] == "No error: 20,000 characters, taken for a whole answer"
    assert ["would ask the whole question again" in killed[2], "would ask" in ended[2]] == [True, True]


def test_only_the_demo_breaks_answers(page: Browser, url: str) -> None:
    assert page.run("fetch('health').then(response => response.json())")["faults"] is False
    assert page.run("at('breaking').hidden")
    assert page.run("fetch('demo/killed', {method: 'POST'}).then(response => response.status)") == 404


AXE = Path(__file__).parents[2] / "clients" / "typescript" / "node_modules" / "axe-core" / "axe.min.js"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(emulated: Browser, demo: str, scheme: str) -> None:
    if not AXE.exists():
        needs("axe-core, from `make -C clients/typescript`")
    emulated.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    opened(emulated, demo)
    emulated.run(AXE.read_text() + "; 0")
    violations = "axe.run().then(found => found.violations.map(({id, nodes}) => [id, nodes.map(node => node.html)]))"
    assert emulated.run(violations) == []
    assert ask(emulated, "why?") == "done"
    until(emulated, "!at('figures').hidden && document.querySelector('#answer [aria-current]')")
    emulated.run("document.querySelector('details').open = true; at('break').click(); 0")
    until(emulated, "!at('break').disabled")
    assert emulated.run(violations) == []


@pytest.mark.parametrize("width", [320, 1280])
def test_nothing_is_wider_than_the_window_and_what_is_tapped_is_large(emulated: Browser, demo: str, width: int) -> None:
    emulated.resize(width, 800)
    opened(emulated, demo)
    assert ask(emulated, "whyandwhy" * 20) == "done"
    until(emulated, "!at('figures').hidden")
    emulated.run("document.querySelector('details').open = true; 0")
    assert emulated.run("document.documentElement.scrollWidth <= innerWidth")
    small = "[...document.querySelectorAll('button, select, input, summary')].filter(one => one.offsetHeight"
    assert emulated.run(f"{small} && (one.offsetHeight < 44 || one.offsetWidth < 44)).map(one => one.id)") == []
    assert len(emulated.screenshot()) > 10_000


def test_only_its_own_script_may_run(page: Browser) -> None:
    policy = page_and_headers()[2]["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    page.run(
        "const s = document.createElement('script'); s.textContent = 'window.owned = 1'; document.body.append(s); 0"
    )
    assert page.run("typeof window.owned") == "undefined"


def test_it_needs_no_other_host_and_has_no_inline_handler() -> None:
    html = PAGE.read_text()
    assert "://" not in html
    assert not re.search(r"<[^>]* (on\w+|style)=", html.partition("<body>")[2].partition("<script>")[0])
