"""SPEC.md against the package: its hex examples are decoded or refused, its tables are the code's, quotes are in it."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_sse import EventSource

from objectstreaming import (
    Coder,
    FrameDecoder,
    JsonCoder,
    Layout,
    Limits,
    MsgpackCoder,
    NdarrayCoder,
    ObjectStreamError,
    PayloadError,
    RawCoder,
    StreamDecoder,
    StreamError,
)
from objectstreaming.errors import HTTP_STATUS
from objectstreaming.protocol import CONTROL, TRANSITIONS, Event, State
from objectstreaming.server import JsonLines, ServerSentEvents, View
from objectstreaming.strict_json import MAX_DEPTH
from wav_streaming import TALCoder

SPEC = Path(__file__).parents[2] / "spec" / "SPEC.md"
TEXT = SPEC.read_text(encoding="utf-8")
VECTORS = Path(__file__).parents[2] / "objectstreaming" / "conformance" / "vectors"
CODERS: dict[str, Coder[Any, Any]] = {
    coder.name: coder for coder in (JsonCoder(), RawCoder(), TALCoder(), MsgpackCoder(), NdarrayCoder())
}


@dataclass
class Example:
    """A fenced block `example OP name=value...`: hex lines with # comments, then lines of results after =>."""

    line: int
    op: str
    options: dict[str, str]
    wire: bytes
    results: list[str]


def examples() -> list[Example]:
    found = []
    for match in re.finditer(r"^```example (.*)\n((?:.*\n)*?)```$", TEXT, re.MULTILINE):
        op, *options = match[1].split()
        lines = match[2].splitlines()
        found.append(
            Example(
                TEXT.count("\n", 0, match.start()) + 1,
                op,
                dict(option.split("=") for option in options),
                bytes.fromhex("".join(line.partition("#")[0] for line in lines if not line.startswith("=>"))),
                [line.removeprefix("=>").strip() for line in lines if line.startswith("=>")],
            )
        )
    return found


def spelled(error: Any, fed: int, size: int | None) -> str:
    """An error as the document writes it."""
    words = error.code
    if hasattr(error, "index"):
        words += f", frame {error.index}"
    if hasattr(error, "offset"):
        words += f", byte {error.offset}"
    if hasattr(error, "index") and not isinstance(error, PayloadError):
        words += ", known at end" if size is None else f", known at {fed}"
    return str(words)


def decoded(example: Example) -> list[str]:
    """What a byte-by-byte decoder makes of it, in the document's words."""
    options = example.options
    layout = Layout(int(options.get("byte_length", 4)), options.get("byte_order", "little"))  # type: ignore[arg-type]
    decoder = FrameDecoder(
        Limits(int(options.get("max_frame", 16 << 20)), int(options.get("max_header", 65536))), layout
    )
    out = []
    fed = 0
    ended = False
    try:
        for fed in range(1, len(example.wire) + 1):
            for frame in decoder.feed(example.wire[fed - 1 : fed]):
                out.append(f"{canonical(frame.header)} + {frame.payload.hex()}".strip())  # noqa: PERF401
        ended = True
        decoder.finish()
    except ObjectStreamError as error:
        out.append(spelled(error, fed, None if ended else fed))
    return out


def streamed(example: Example) -> list[str]:
    name = example.options["coder"]
    decoder = StreamDecoder(CODERS[name])
    out: list[str] = []
    end = "missing"
    broken = ""
    fed = 0
    ended = False
    try:
        for fed in range(1, len(example.wire) + 1):
            decoder.feed(example.wire[fed - 1 : fed])
            take_messages(decoder, name, out)
        ended = True
        decoder.finish()
    except StreamError as error:
        end = f"error:{error.code}"
    except ObjectStreamError as error:
        broken = spelled(error, fed, None if ended else fed)
    if decoder.ended and end == "missing":
        end = "ok"
    return [*out, f"end {end}", *([broken] if broken else [])]


def take_messages(decoder: StreamDecoder[Any, Any], name: str, out: list[str]) -> None:
    while True:
        try:
            message = decoder.next_message()
        except PayloadError as error:
            out.append(spelled(error, 0, 0))
            continue
        if message is None:
            return
        header, payload = message
        if name == "json":
            out.append(f"{canonical(header)} + {canonical(payload)}")
            continue
        if name == "tal":
            header = header.to_dict()
        if name == "ndarray":
            header = {"dtype": payload.dtype.str, "shape": list(payload.shape), **header}
            payload = payload.tobytes()
        if name == "msgpack":
            payload = MsgpackCoder().encode({}, payload)[10:]
        out.append(f"{canonical(header)} + {payload.hex()}".strip())


def canonical(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


@pytest.mark.parametrize("example", examples(), ids=lambda example: f"line {example.line}")
def test_every_hex_example_is_read_as_the_document_says(example: Example) -> None:
    assert example.results, "an example says what comes of it"
    read = {"decode": decoded, "stream": streamed}[example.op]
    assert read(example) == example.results


VIEWS: list[tuple[int, str, dict[str, str], str, list[str]]] = [
    (
        TEXT.count("\n", 0, match.start()) + 1,
        match[1],
        dict(option.split("=") for option in match[2].split()),
        "".join(f"{line}\n" for line in match[3].splitlines() if not line.startswith("=> ")),
        [line.removeprefix("=> ") for line in match[3].splitlines() if line.startswith("=> ")],
    )
    for match in re.finditer(r"^```view (\S+)(.*)\n((?:.*\n)*?)```$", TEXT, re.MULTILINE)
]


def viewed(media_type: str, options: dict[str, str], text: str) -> tuple[list[str], bytes]:
    """What comes of a view's text, in the document's words; and what the reference server writes for the same."""
    if media_type == "text/event-stream":
        view: View = ServerSentEvents()
        events = EventSource(httpx.Response(200, headers={"Content-Type": media_type}, text=text)).iter_sse()
        texts = [(event.event, event.data) for event in events]
        pings = text.count(": ping")
    else:
        view = JsonLines()
        texts = [named(line) for line in text.splitlines() if line and line.endswith("}")]
        pings = text.splitlines().count("")
    position = int(options["position"]) if "position" in options else None
    coder = CODERS[options.get("coder", "json")]
    encoder = view.encoder(coder, Limits(), position)
    out: list[str] = []
    end: str | None = None
    written = encoder.open(metadata=json.loads(texts.pop(0)[1]) if texts[0][0] == "metadata" else None)
    for event, data in texts:
        assert end is None, "something after the end"
        value = json.loads(data)
        if event == "message":
            payload = value["payload"] if coder.name == "json" else base64.b64decode(value["base64"], validate=True)
            shown = canonical(payload) if coder.name == "json" else payload.hex()
            out.append(f"{canonical(value['header'])} + {shown}")
            written += encoder.data(value["header"], payload) + pings * encoder.ping()
        elif event == "error":
            end = f"end error:{value['code']}"
            written += encoder.end(error=StreamError(value["code"], value["message"], value.get("details")))
        else:
            end = "end ok" if value["frames"] == len(out) else "count_mismatch"
            written += encoder.end(trailers=value.get("trailers"))
    return [*out, *([end] if end else ["end missing", "stream_incomplete"])], written


def named(line: str) -> tuple[str, str]:
    """A line of JSON as an event: its name and its data."""
    value = json.loads(line)
    [name] = value.keys() & {"metadata", "end", "error"} or {"message"}
    return name, line if name == "message" else canonical(value[name])


@pytest.mark.parametrize(
    ("media_type", "options", "text", "results"),
    [example[1:] for example in VIEWS],
    ids=[f"line {example[0]}" for example in VIEWS],
)
def test_every_view_is_read_as_the_document_says_and_written_so(
    media_type: str, options: dict[str, str], text: str, results: list[str]
) -> None:
    read, written = viewed(media_type, options, text)
    assert read == results
    if read[-1] not in ("stream_incomplete", "count_mismatch"):
        assert written.decode() == text


def test_there_are_examples_in_every_section_of_the_wire() -> None:
    sections = re.split(r"^#{2,3} ([0-9.]+) ", TEXT, flags=re.MULTILINE)
    with_examples = {
        number.rstrip(".") for number, text in zip(sections[1::2], sections[2::2], strict=True) if "```example" in text
    }
    assert {"2", "2.1", "2.2", "2.3", "2.4", "3.1", "3.2", "3.3", "3.4", "3.7", "7"} <= with_examples
    assert {"4.1", "4.2", "4.3", "4.4", "4.5"} <= with_examples
    assert len(VIEWS) >= 8


def test_the_comments_beside_length_words_tell_the_truth() -> None:
    for line in re.findall(r"^([0-9a-f]{8}) ([0-9a-f]{8}) +# T = (\d+), H = (\d+)$", TEXT, re.MULTILINE):
        words = [int.from_bytes(bytes.fromhex(word), "little") for word in line[:2]]
        assert words == [int(number) for number in line[2:]]


def test_every_requirement_of_the_vectors_is_a_sentence_of_the_document() -> None:
    flat = " ".join(TEXT.split())
    quotes = {case["requirement"] for path in VECTORS.glob("*.json") for case in json.loads(path.read_bytes())["cases"]}
    assert len(quotes) > 40
    assert [quote for quote in sorted(quotes) if " ".join(quote.split()) not in flat] == []


def test_every_section_that_a_case_names_exists() -> None:
    headings = set(re.findall(r"^#{2,3} ([0-9](?:\.[0-9])?)\.? ", TEXT, re.MULTILINE))
    assert {
        case["spec"] for path in VECTORS.glob("*.json") for case in json.loads(path.read_bytes())["cases"]
    } <= headings


def test_the_sixteen_codes_and_their_status_are_those_of_the_package() -> None:
    table = TEXT.partition("### 5.4")[2].partition("\n## ")[0]
    assert {
        code: int(status) for code, status in re.findall(r"^\| `(\w+)` \| (\d+) \|", table, re.MULTILINE)
    } == HTTP_STATUS


def test_the_error_tables_list_every_code_that_the_package_raises() -> None:
    table = TEXT.partition("## 5. Errors")[2].partition("### 5.4")[0]
    listed = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    raised = {error.code for error in subclasses(ObjectStreamError) if "code" in vars(error)}
    raised |= {"invalid_control", "frame_after_end", "count_mismatch", "order_gap"}
    assert listed == raised


def subclasses(kind: type[Any]) -> set[type[Any]]:
    found = {sub for sub in kind.__subclasses__() if sub.__module__.startswith("objectstreaming.errors")}
    return found.union(*(subclasses(sub) for sub in found))


def test_the_state_table_is_the_one_of_the_code() -> None:
    table = TEXT.partition("### 3.5")[2].partition("\n### ")[0]
    rows = [
        [cell.strip(" `") for cell in row.strip("|").split("|")] for row in re.findall(r"^\|.*\|$", table, re.MULTILINE)
    ]
    events = [Event(name) for name in rows[0][1:]]
    for state_name, *cells in rows[2:]:
        state = State(state_name.lower())
        for event, cell in zip(events, cells, strict=True):
            after = TRANSITIONS[state].get(event)
            wrong = "frame_after_end" if state is State.ENDED else "invalid_control"
            assert cell == (after.name if after else wrong), (state, event)


def test_the_numbers_of_the_document_are_those_of_the_code() -> None:
    assert f"{Limits().frame:,}" in TEXT
    assert f"{Limits().header:,}" in TEXT
    assert f"nested {MAX_DEPTH} levels deep" in " ".join(TEXT.split())
    assert f"the {len(CONTROL)} bytes `{CONTROL.decode()}`" in TEXT
    for coder in CODERS.values():
        neutral = re.search(rf"^\| `{coder.name}` \|.*\| (\S+)[^|]*\|$", TEXT, re.MULTILINE)
        assert neutral is not None
        assert neutral[1].strip("`") == (coder.neutral.hex() or "none")


def test_links_inside_the_document_lead_somewhere() -> None:
    headings = re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]*)\)", TEXT)) <= anchors
    for path in re.findall(r"\]\(([^#)]+)\)", TEXT):
        assert (SPEC.parent / path).exists()
