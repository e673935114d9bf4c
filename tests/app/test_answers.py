"""Answers with their source: reading a folder, looking a question up in it, asking a chat endpoint."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from email.message import Message
from pathlib import Path

import httpx
import pytest
from deadlines import DEADLINE
from fake_clock import FakeClock
from hypothesis import given
from hypothesis import strategies as st

from objectstreaming import StreamError
from objectstreaming.app import documents
from objectstreaming.app.answers import Answerer, DocumentAnswerer, Sentence, split_sentences
from objectstreaming.app.chat import ChatAnswerer, EventReader
from objectstreaming.app.documents import (
    Passage,
    ReadingLimits,
    own_documents,
    read_documents,
    split_markdown,
    split_text,
)

GUIDE = """---
title: not read
---
# The guide

Bees make **honey** from [nectar](https://example.org/nectar). They store it in `wax` combs.

## Wasps

Wasps build nests of paper. They chew wood for it. A nest lasts one summer.

```python
print("code is not read aloud")
```

| animal | home |
|--------|------|
| ant | hill |
| fox | den |

Three things matter:

- Water is wet.
- Fire is hot, and
  burns.

Moles
-----
Moles dig *tunnels*.
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "guide.md").write_text(GUIDE, encoding="utf-8")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "tea.txt").write_text("Green tea is steeped at 80 degrees.\n\nBlack tea is boiled.\n")
    return tmp_path


async def collect(answerer: Answerer, question: str) -> list[Sentence]:
    return [sentence async for sentence in answerer.answer(question)]


_HOSTILE = {
    "backticks": "`" * 300_000,
    "runs of backticks": "".join("`" * (n % 53 + 1) + "x" for n in range(10_000)),
    "brackets": "[" * 300_000,
    "pictures": "![](" * 75_000,
    "comments": "<!--" * 75_000,
    "tags": "<a" * 150_000,
    "emphasis": "*a" * 150_000,
    "underscores": "_ " * 150_000,
    "spaces in a heading": "# a" + " " * 300_000 + "b",
    "hashes in a heading": "# a" + " #" * 150_000 + "b",
    "spaces under a table": "| a |\n|-" + " " * 300_000 + "x",
    "cells under a table": "|a|\n|" + "-|" * 150_000 + "x",
    "lines of one paragraph": "a\n" * 150_000,
    "a long heading over many paragraphs": "# " + "h" * 100_000 + "\n" + "a\n\n" * 60_000,
    "a paragraph that is a heading": "a\n" * 150_000 + "---\n" + "a\n\n" * 60_000,
    "colons": "a: " * 100_000 + ":",
    "rules": "---\n" * 75_000,
    "blank lines": "\n " * 150_000,
}


class TestMarkdown:
    def test_becomes_passages_under_their_headings(self) -> None:
        passages = list(split_markdown(GUIDE, "guide.md"))
        assert [(passage.source, passage.text) for passage in passages] == [
            ("guide.md > The guide", "Bees make honey from nectar. They store it in wax combs."),
            ("guide.md > Wasps", "Wasps build nests of paper. They chew wood for it. A nest lasts one summer."),
            ("guide.md > Wasps", "ant: hill.\nfox: den."),
            ("guide.md > Wasps", "Three things matter:\nWater is wet.\nFire is hot, and burns."),
            ("guide.md > Moles", "Moles dig tunnels."),
        ]

    def test_code_is_passed_over_also_when_its_fence_never_closes(self) -> None:
        assert not list(split_markdown("```\nrm everything", "a.md"))
        assert not list(split_markdown("~~~ sh\n# not a heading\n~~~", "a.md"))

    def test_comments_and_tags_are_taken_off(self) -> None:
        [passage] = split_markdown("<!-- hidden\ntext -->Seen <b>text</b> ![logo](x.svg) here.", "a.md")
        assert passage.text == "Seen text here."

    def test_a_name_with_underscores_keeps_them(self) -> None:
        [passage] = split_markdown("Set max_frame_size and __init__ here.", "a.md")
        assert "max_frame_size" in passage.text

    def test_a_wall_of_text_is_cut_into_passages(self) -> None:
        passages = list(split_markdown("word " * 10_000, "a.md"))
        assert len(passages) > 10
        assert max(len(passage.text) for passage in passages) <= 3_000

    @given(st.text(alphabet="#`*_[]()|-<>! \nab:", max_size=300))
    def test_any_text_can_be_read(self, text: str) -> None:
        for passage in split_markdown(text, "a.md"):
            assert any(map(str.isalnum, passage.text))

    @pytest.mark.parametrize("hostile", _HOSTILE.values(), ids=_HOSTILE)
    def test_any_text_takes_linear_time(self, hostile: str) -> None:
        """A quadratic pattern would take minutes for these."""
        began = time.process_time()
        passages = [*split_markdown(hostile, "a.md"), *split_text(hostile, "a.txt")]
        assert time.process_time() - began < 10
        assert max((len(passage.source) for passage in passages), default=0) < 300

    def test_a_heading_may_have_closing_hashes(self) -> None:
        text = "# One #\n\na\n\n## Two##\n\nb\n\n### ##\n\nc\n\n#four\n\n#\tFive \t # \n\ne"
        assert [passage.heading for passage in split_markdown(text, "a.md")] == ["One", "Two##", "", "", "Five"]

    def test_what_stands_between_two_rules_is_read(self) -> None:
        assert [passage.text for passage in split_markdown("One.\n\n---\n\nTwo.\n\n---\n\nThree.", "a.md")] == [
            "One.",
            "Two.",
            "Three.",
        ]

    def test_what_only_introduces_something_is_not_quoted(self) -> None:
        assert [passage.text for passage in split_markdown("It is short. Like this:\n\n```\nx\n```\n", "a.md")] == [
            "It is short."
        ]
        assert not list(split_markdown("Like this:  \n\n    x", "a.md"))


class TestText:
    def test_becomes_its_paragraphs_without_any_markup_taken_off(self) -> None:
        passages = list(split_text("one *two*\nthree\r\n\r\nfour", "a.txt"))
        assert [passage.text for passage in passages] == ["one *two* three", "four"]
        assert {passage.source for passage in passages} == {"a.txt"}


class TestReadingAFolder:
    def test_names_files_by_their_path_in_it(self, folder: Path) -> None:
        sources = [passage.source for passage in read_documents(folder)]
        assert sources[0] == "guide.md > The guide"
        assert sources[-1] == "notes/tea.txt"

    def test_does_not_follow_links_out_of_it(self, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
        outside = tmp_path_factory.mktemp("outside")
        (outside / "secret.md").write_text("The password is swordfish.")
        (folder / "link.md").symlink_to(outside / "secret.md")
        (folder / "linked").symlink_to(outside)
        assert not any("swordfish" in passage.text for passage in read_documents(folder))

    def test_passes_over_hidden_files_pipes_binaries_and_what_is_too_large(self, folder: Path) -> None:
        before = read_documents(folder)
        (folder / ".hidden.md").write_text("hidden")
        (folder / ".git").mkdir()
        (folder / ".git" / "a.md").write_text("hidden")
        os.mkfifo(folder / "pipe.md")
        (folder / "image.txt").write_bytes(b"PNG\0\0")
        (folder / "large.md").write_text("large " * 1_000)
        (folder / "page.html").write_text("not read")
        assert read_documents(folder, limits=ReadingLimits(file=2_000)) == before

    def test_stops_at_the_limits_of_files_and_bytes(self, folder: Path) -> None:
        assert {p.source.split(" ")[0] for p in read_documents(folder, limits=ReadingLimits(files=1))} == {"guide.md"}
        assert not read_documents(folder, limits=ReadingLimits(total=20))

    def test_a_byte_that_is_not_utf8_only_costs_its_character(self, folder: Path) -> None:
        (folder / "latin.md").write_bytes("Caf\u00e9 opens at nine.".encode("latin-1"))
        assert any("opens at nine" in passage.text for passage in read_documents(folder))

    def test_a_name_writes_nothing_into_the_log(self, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
        (folder / "x\nCRITICAL root: a line\x1b[31m\u202e.md").symlink_to(folder / "guide.md")
        read_documents(folder)
        [record] = caplog.records
        assert r"'x\nCRITICAL root: a line\x1b[31m\u202e.md' was left out" in record.getMessage()

    def test_a_name_that_is_not_utf8_can_be_a_source(self, tmp_path: Path) -> None:
        Path(os.fsdecode(bytes(tmp_path) + b"/caf\xe9.md")).write_text("Tea is hot.")
        assert DocumentAnswerer.from_paths(tmp_path).search("tea") == [Sentence("Tea is hot.", "caf?.md")]

    def test_a_long_name_is_shortened(self, tmp_path: Path) -> None:
        folder = tmp_path / ("a" * 200) / ("b" * 200)
        folder.mkdir(parents=True)
        (folder / "tea.txt").write_text("Tea is hot.")
        [passage] = read_documents(tmp_path)
        assert len(passage.source) == 200
        assert passage.source.startswith("...bb")
        assert passage.source.endswith("b/tea.txt")

    def test_the_number_of_passages_is_limited(self, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
        assert len(read_documents(folder, limits=ReadingLimits(passages=2))) == 2
        assert "left out, the limit of" in caplog.text

    def test_what_cannot_be_read_is_logged_within_the_limit(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        for n in range(100):
            (tmp_path / f"{n}.md").symlink_to("/etc/passwd")
        read_documents(tmp_path, limits=ReadingLimits(files=10))
        assert len(caplog.records) == 11

    def test_refuses_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            read_documents(tmp_path / "nowhere")

    def test_the_own_documents_of_a_checkout_include_the_specification_or_the_readme(self) -> None:
        names = {passage.source.partition(" > ")[0] for passage in own_documents()}
        assert names & {"README.md", "spec/SPEC.md"}
        assert not any(name.startswith((".", "/")) for name in names)


class TestInstalledFromAWheel:
    def test_the_own_document_is_the_readme_in_the_metadata(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        described = Message()
        described.set_payload("# Frames\n\nA frame has a header.\n")
        monkeypatch.setattr(documents, "__file__", str(tmp_path / "objectstreaming" / "app" / "documents.py"))
        monkeypatch.setattr(documents.metadata, "metadata", lambda name: described)
        assert own_documents() == [Passage("README.md > Frames", "Frames", "A frame has a header.")]

    def test_without_any_it_says_so(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def nothing(name: str) -> None:
            raise documents.metadata.PackageNotFoundError(name)

        monkeypatch.setattr(documents, "__file__", str(tmp_path / "objectstreaming" / "app" / "documents.py"))
        monkeypatch.setattr(documents.metadata, "metadata", nothing)
        with pytest.raises(ValueError, match="this installation"):
            DocumentAnswerer.from_paths()


class TestDocumentAnswerer:
    async def test_quotes_the_passage_with_its_file_and_heading(self, folder: Path) -> None:
        answer = await collect(DocumentAnswerer.from_paths(folder), "What do wasps build their nests of?")
        assert answer[0] == Sentence("Wasps build nests of paper.", "guide.md > Wasps")
        assert all(sentence.source for sentence in answer)

    def test_finds_other_forms_of_a_word(self, folder: Path) -> None:
        assert "Moles dig" in DocumentAnswerer.from_paths(folder).search("Who is digging a tunnel?")[0].text

    def test_ranks_the_passage_that_holds_more_of_the_question_first(self, folder: Path) -> None:
        assert (
            "80 degrees"
            in DocumentAnswerer.from_paths(folder).search("at how many degrees is green tea steeped")[0].text
        )

    @pytest.mark.parametrize("question", ["Who won the cup in 1954?", "zebra", "green politics of the moon landing"])
    def test_says_when_it_found_nothing(self, folder: Path, question: str) -> None:
        [sentence] = DocumentAnswerer.from_paths(folder).search(question)
        assert sentence.source == ""
        assert "2 documents" in sentence.text

    @pytest.mark.parametrize("question", ["", "   ", "?!", "what is it", "\0", "\ud800"])
    def test_asks_for_a_question_where_there_is_none(self, folder: Path, question: str) -> None:
        assert DocumentAnswerer.from_paths(folder).search(question)[0].source == ""

    @pytest.mark.parametrize(
        "question",
        [
            'wasps" OR "bees',
            "wasps AND NOT nests",
            "heading:wasps",
            "NEAR(wasps nests, 1)",
            "wasps* ^nests {heading} + -",
            "'; DROP TABLE passage; -- wasps",
            "wasps" * 100_000,
            "wasps nests " * 100_000,
            " ".join(f"word{n}" for n in range(100_000)),
        ],
    )
    def test_no_question_is_a_query_of_its_own(self, folder: Path, question: str) -> None:
        answerer = DocumentAnswerer.from_paths(folder)
        began = time.process_time()
        assert answerer.search(question)
        assert time.process_time() - began < 1
        assert answerer.search("wasps nests")[0].source == "guide.md > Wasps"

    @given(st.text(max_size=200))
    def test_every_text_has_an_answer(self, question: str) -> None:
        assert ANSWERER.search(question)

    def test_finds_chinese_and_japanese(self) -> None:
        answerer = DocumentAnswerer([Passage("a.md", "", "\u5e27\u6709\u5934\u90e8\u3002")])
        assert answerer.search("\u5934\u90e8")[0].source == "a.md"

    def test_a_passage_that_says_the_word_comes_before_one_with_the_word_in_its_heading_only(self) -> None:
        heading = "Nests"
        answerer = DocumentAnswerer(
            [
                Passage(f"a.md > {heading}", heading, "It has failed."),
                Passage("b.md > Wasps", "Wasps", "Wasps build a nest of paper."),
                *(Passage(f"c.md > {n}", "", f"Sentence number {n}.") for n in range(20)),
            ]
        )
        assert answerer.search("what is a nest?")[0].source == "b.md > Wasps"

    def test_a_quote_begins_where_the_question_is_spoken_of(self) -> None:
        text = "The garden is large. Nobody mows it. Bees visit its flowers. They make honey."
        answer = DocumentAnswerer([Passage("a.md", "", text)]).search("do bees visit flowers")
        assert [sentence.text for sentence in answer] == ["Bees visit its flowers.", "They make honey."]

    def test_an_answer_is_bounded(self) -> None:
        text = " ".join(f"The bee number {n} flies." for n in range(60))
        answerer = DocumentAnswerer([Passage("a.md", "", text)], most=4)
        assert len(answerer.search("bee number 30")) == 4
        assert "30" in " ".join(sentence.text for sentence in answerer.search("bee number 30"))

    def test_refuses_a_folder_with_nothing_to_read(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="no Markdown or text"):
            DocumentAnswerer.from_paths(tmp_path)

    async def test_many_questions_at_once_are_each_answered(self, folder: Path) -> None:
        answerer = DocumentAnswerer.from_paths(folder)
        answers = await asyncio.gather(*(collect(answerer, question) for question in ("wasps", "green tea") * 50))
        assert {answer[0].source for answer in answers[::2]} == {"guide.md > Wasps"}
        assert {answer[0].source for answer in answers[1::2]} == {"notes/tea.txt"}

    def test_its_own_documents_say_what_a_frame_is(self) -> None:
        text = " ".join(sentence.text for sentence in DocumentAnswerer.from_paths().search("What is a frame?"))
        assert "frame" in text.lower()


ANSWERER = DocumentAnswerer([Passage("a.md > Wasps", "Wasps", "Wasps build nests of paper.")])


class TestEventReader:
    STREAM = (
        b"\xef\xbb\xbfdata: one\r\ndata:two\r\n\r\n: ping\n\nevent: x\nid: 4\ndata\ndata:  three\n\n"
        b"data: \xc3\xa9\r\rdata: cut"
    )

    @pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
    def test_reads_the_same_events_however_they_are_cut(self, size: int) -> None:
        reader = EventReader()
        pieces = [self.STREAM[at : at + size] for at in range(0, len(self.STREAM), size)]
        assert [data for piece in pieces for data in reader.feed(piece)] == ["one\ntwo", "\n three", "\u00e9"]

    def test_next_line_and_form_feed_do_not_end_a_line(self) -> None:
        assert list(EventReader().feed("data: a\u0085b\x0cc\u2028d\n\n".encode())) == ["a\u0085b\x0cc\u2028d"]

    @pytest.mark.parametrize("piece", [b"data: " + b"x" * 200, b"data: x\n" * 30])
    def test_an_event_is_bounded(self, piece: bytes) -> None:
        with pytest.raises(ValueError, match="more than 100 bytes"):
            list(EventReader(limit=100).feed(piece))

    def test_comments_may_go_on_for_ever(self) -> None:
        reader = EventReader(limit=100)
        assert not [data for _ in range(1_000) for data in reader.feed(b": still here\n")]


def event(content: str | None = None, **choice: object) -> str:
    delta = {} if content is None else {"content": content}
    return json.dumps({"id": "1", "choices": [{"index": 0, "delta": delta, **choice}]})


@asynccontextmanager
async def chat_endpoint(
    *pieces: bytes, status: int = 200, kind: str = "text/event-stream"
) -> AsyncIterator[list[bytes]]:
    """A small HTTP server on loopback that sends `pieces`, each by itself, then closes; the first item is its URL."""
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        seen.append(head)
        seen.append(await reader.readexactly(length))
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n".encode())
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    seen.append(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1".encode())
    async with server:
        yield seen


DONE = b"data: [DONE]\n\n"


async def ask_endpoint(*pieces: bytes, status: int = 200, kind: str = "text/event-stream") -> list[Sentence]:
    async with chat_endpoint(*pieces, status=status, kind=kind) as seen:
        answerer = ChatAnswerer(seen[0].decode(), "small", timeout=DEADLINE)
        try:
            return await collect(answerer, "Why?")
        finally:
            await answerer.close()


class TestChatAnswerer:
    async def test_gathers_the_pieces_into_sentences(self) -> None:
        wire = "".join(
            f"data: {data}\r\n\r\n"
            for data in [
                event("The fox"),
                event(" is red. It "),
                event("is qu"),
                event("ick"),
                event(finish_reason="stop"),
            ]
        ).encode()
        answer = await ask_endpoint(wire[:50], wire[50:101], wire[101:], b"data: [DONE]\r\n\r\n")
        assert answer == [Sentence("The fox is red.", "small"), Sentence("It is quick", "small")]

    async def test_sends_model_question_and_key(self) -> None:
        async with chat_endpoint(b"data: [DONE]\n\n") as seen:
            answerer = ChatAnswerer(seen[0].decode(), "small", headers={"Authorization": "Bearer k"})
            assert await collect(answerer, "Why?") == []
            await answerer.close()
        assert seen[1].startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
        assert b"authorization: bearer k" in seen[1].lower()
        body = json.loads(seen[2])
        assert body["stream"] is True
        assert body["model"] == "small"
        assert body["messages"][-1] == {"role": "user", "content": "Why?"}

    async def test_data_of_several_lines_is_one_event(self) -> None:
        text = json.dumps(json.loads(event("Yes.")), indent=1)
        wire = "".join(f"data: {line}\n" for line in text.split("\n"))
        assert await ask_endpoint(wire.encode(), b"\n", b"data: [DONE]\n\n") == [Sentence("Yes.", "small")]

    async def test_a_finish_reason_is_an_end_too(self) -> None:
        wire = f"data: {event('Yes.')}\n\ndata: {event(finish_reason='stop')}\n\n"
        assert await ask_endpoint(wire.encode()) == [Sentence("Yes.", "small")]

    @pytest.mark.parametrize(
        ("pieces", "status", "kind", "code"),
        [
            ([f"data: {event('Cut.')}\n\n".encode()], 200, "text/event-stream", "data_loss"),
            ([b""], 200, "text/event-stream", "data_loss"),
            ([b"no key"], 401, "text/plain", "unavailable"),
            ([b"slow down"], 429, "text/plain", "resource_exhausted"),
            ([b"{}"], 200, "application/json", "unavailable"),
            ([b"data: nonsense\n\n"], 200, "text/event-stream", "unavailable"),
            ([b'data: {"error": {"message": "key sk-1 is wrong"}}\n\n'], 200, "text/event-stream", "unavailable"),
            ([b'event: error\ndata: {"message": "key"}\n\n', DONE], 200, "text/event-stream", "unavailable"),
            ([b'data: {"object": "error", "message": "key"}\n\n', DONE], 200, "text/event-stream", "unavailable"),
            ([f"data: {event(finish_reason='error')}\n\n".encode(), DONE], 200, "text/event-stream", "unavailable"),
            ([b"data: " + b"[" * 50_000 + b"\n\n"], 200, "text/event-stream", "unavailable"),
            ([b"x"], 200, "text/event-stream\r\nContent-Encoding: zstd", "unavailable"),
        ],
    )
    async def test_failures_do_not_repeat_what_the_endpoint_said(
        self, pieces: list[bytes], status: int, kind: str, code: str
    ) -> None:
        with pytest.raises(StreamError) as caught:
            await ask_endpoint(*pieces, status=status, kind=kind)
        assert caught.value.code == code
        assert "key" not in str(caught.value)

    async def test_a_character_may_be_cut_into_two_pieces(self) -> None:
        halves = "".join(f"data: {event(piece)}\n\n" for piece in ("Yes \ud83d", "\ude00 \udc00."))
        assert await ask_endpoint(halves.encode(), DONE) == [Sentence("Yes \U0001f600 \ufffd.", "small")]

    async def test_text_may_be_a_list_of_parts_and_an_error_null(self) -> None:
        parts = [{"type": "thinking", "thinking": []}, {"type": "text", "text": "Yes."}]
        wire = json.dumps({"error": None, "choices": [{"delta": {"content": parts}}]})
        assert await ask_endpoint(f"data: {wire}\n\n".encode(), DONE) == [Sentence("Yes.", "small")]

    async def test_a_key_that_cannot_be_sent_is_not_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        answerer = ChatAnswerer("http://127.0.0.1:1", headers={"Authorization": "Bearer sk-1\n"})
        with pytest.raises(StreamError):
            await collect(answerer, "Why?")
        await answerer.close()
        assert "sk-1" not in caplog.text

    def test_what_is_no_url_is_refused_without_its_password(self) -> None:
        with pytest.raises(ValueError, match=r"not the URL of a chat endpoint: http://h:x$"):
            ChatAnswerer("http://me:secret@h:x")

    async def test_silence_is_bounded(self) -> None:
        async def quiet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        async with await asyncio.start_server(quiet, "127.0.0.1", 0) as server:
            answerer = ChatAnswerer(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", timeout=0.05)
            with pytest.raises(StreamError) as caught:
                await collect(answerer, "Why?")
            await answerer.close()
        assert caught.value.code == "deadline_exceeded"

    async def test_an_endpoint_that_is_not_there_is_unavailable(self) -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(_unreachable)) as client:
            with pytest.raises(StreamError) as caught:
                await collect(ChatAnswerer("http://127.0.0.1:1/v1", client=client), "Why?")
        assert caught.value.code == "unavailable"

    async def test_an_answer_without_end_is_cut(self) -> None:
        raving = f"data: {event('Again and again. ')}\n\n".encode() * 2_000
        async with chat_endpoint(raving) as seen:
            answerer = ChatAnswerer(seen[0].decode(), longest=1_000)
            answer = await collect(answerer, "Why?")
            await answerer.close()
        assert sum(len(sentence.text) for sentence in answer) <= 1_000


class Quiet(httpx.AsyncBaseTransport):
    """A model that says each piece so many seconds after the one before, and knows whether it was cancelled."""

    def __init__(self, *pieces: tuple[float, str]) -> None:
        self.pieces = pieces
        self.ends: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        ends, pieces = self.ends, self.pieces

        class Stream(httpx.AsyncByteStream):
            async def __aiter__(self) -> AsyncIterator[bytes]:
                try:
                    for seconds, piece in pieces:
                        await asyncio.sleep(seconds)
                        yield f"data: {event(piece)}\n\n".encode()
                    yield b"data: [DONE]\n\n"
                except asyncio.CancelledError:
                    ends.append("cancelled")
                    raise

        return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Stream())


def answer_by_clock(model: Quiet, take: int = 99, **options: float | None) -> list[tuple[float, str]]:
    """The sentences of an answer, each with the second at which it came; left after `take` of them."""

    async def ask() -> list[tuple[float, str]]:
        loop, found = asyncio.get_running_loop(), []
        async with httpx.AsyncClient(transport=model) as client:
            answer = ChatAnswerer("http://model", client=client, **options).answer("Why?")  # type: ignore[arg-type]
            async with aclosing(answer) as sentences:  # type: ignore[type-var]
                async for text, _ in sentences:
                    found.append((round(loop.time(), 3), text))
                    if len(found) == take:
                        break
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return found

    with asyncio.Runner(loop_factory=FakeClock) as runner:
        return runner.run(ask())


class TestAModelThatFallsSilent:
    def test_a_whole_sentence_does_not_wait_for_the_next_piece(self) -> None:
        model = Quiet((0, "Let me check"), (0.1, " that."), (20, " It is"), (0, " on."), (5, " Bye"))
        assert answer_by_clock(model) == [(0.4, "Let me check that."), (20.4, "It is on."), (25.1, "Bye")]
        assert "cancelled" not in model.ends

    def test_what_leads_on_waits(self) -> None:
        model = Quiet((0, "Ask Dr."), (2, " No. Then"), (2, " go"))
        assert answer_by_clock(model) == [(2.3, "Ask Dr. No."), (4, "Then go")]

    def test_pieces_that_keep_coming_are_no_pause(self) -> None:
        model = Quiet((0, "Pi is 3."), (0.2, "14"), (0.2, "159. "), (0.2, "Good"))
        assert answer_by_clock(model) == [(0.6, "Pi is 3.14159."), (0.6, "Good")]

    def test_the_pause_is_an_option(self) -> None:
        model = Quiet((0, "One."), (2, " Two."))
        assert answer_by_clock(model, pause=1) == [(1, "One."), (2, "Two.")]
        assert answer_by_clock(model, pause=None) == [(2, "One."), (2, "Two.")]
        with pytest.raises(ValueError, match="pause"):
            ChatAnswerer("http://model", pause=0)

    def test_who_leaves_in_the_silence_stops_the_model(self) -> None:
        model = Quiet((0, "One."), (1_000, " Two."))
        assert answer_by_clock(model, take=1) == [(0.3, "One.")]
        assert model.ends == ["cancelled"]

    def test_a_failure_after_a_pause_is_told(self) -> None:
        class Broken(Quiet):
            async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                response = await super().handle_async_request(request)
                body = response.stream

                class Cut(httpx.AsyncByteStream):
                    async def __aiter__(self) -> AsyncIterator[bytes]:
                        async for chunk in body:  # type: ignore[union-attr]
                            if b"DONE" in chunk:
                                await asyncio.sleep(1)
                                raise httpx.ReadError("gone")
                            yield chunk

                return httpx.Response(200, headers=response.headers, stream=Cut())

        with pytest.raises(StreamError) as caught:
            answer_by_clock(Broken((0, "One.")))
        assert caught.value.code == "unavailable"


def _unreachable(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no route", request=request)


def test_a_whole_text_is_split_into_its_sentences() -> None:
    assert split_sentences("One. Two! Three?") == ["One.", "Two!", "Three?"]


def _typed(answerer: DocumentAnswerer) -> Iterator[Answerer]:
    yield answerer  # mypy checks that it is one
