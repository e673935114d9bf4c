"""spec/objectstreaming.ksy: the parsers that Kaitai Struct makes of it read what our own decoder reads."""

from __future__ import annotations

import json
import subprocess
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from needed_programs import needs, needs_package

from objectstreaming import FrameDecoder, FrameError, JsonCoder, StreamEncoder, encode_frame
from objectstreaming.protocol import CONTROL

HERE = Path(__file__).parent
DESCRIPTION = HERE.parents[1] / "spec" / "objectstreaming.ksy"

Read = Callable[[bytes], Any]
"""Bytes in; the frames as [header, payload, is control], or the name of the parser's error."""


def node(*arguments: object) -> str:
    needs("node")
    needs_package(HERE, "kaitai-struct", "make node-packages")
    ran = subprocess.run(["node", *map(str, arguments)], capture_output=True, text=True, check=True)
    return ran.stdout


@pytest.fixture(scope="module")
def python() -> Read:
    module = types.ModuleType("parser")
    exec(node(HERE / "compile.js", DESCRIPTION, "python"), module.__dict__)

    def read(data: bytes) -> Any:
        try:
            frames = module.Objectstreaming.from_bytes(data).frames
        except Exception as error:  # noqa: BLE001 - whatever the parser raises is what the test looks at
            return type(error).__name__
        return [[frame.header.decode("latin-1"), frame.payload.decode("latin-1"), frame.is_control] for frame in frames]

    return read


@pytest.fixture(scope="module")
def javascript(tmp_path_factory: pytest.TempPathFactory) -> Read:
    folder = tmp_path_factory.mktemp("kaitai")
    (folder / "node_modules").symlink_to(HERE / "node_modules")
    (folder / "parser.js").write_text(node(HERE / "compile.js", DESCRIPTION, "javascript"))

    def read(data: bytes) -> Any:
        (folder / "data").write_bytes(data)
        return json.loads(node(HERE / "read.js", folder / "parser.js", folder / "data"))

    return read


@pytest.fixture(params=["python", "javascript"])
def read(request: pytest.FixtureRequest) -> Read:
    parser: Read = request.getfixturevalue(request.param)
    return parser


def stream() -> bytes:
    encoder = StreamEncoder(JsonCoder())
    return encoder.open() + encoder.data({"n": 1}, "a") + encoder.ping() + encoder.data({}, [1]) + encoder.end()


@pytest.mark.parametrize("wire", [stream(), b"", encode_frame({}, bytes(range(256)))], ids=["stream", "empty", "bytes"])
def test_a_whole_input_is_read_as_our_decoder_reads_it(read: Read, wire: bytes) -> None:
    expected = [
        [
            frame.header_bytes.decode("latin-1"),
            frame.payload.decode("latin-1"),
            frame.header_bytes.startswith(CONTROL),
        ]
        for frame in FrameDecoder().feed(wire)
    ]
    assert read(wire) == expected


@pytest.mark.parametrize(
    "wire",
    [
        stream()[:-1],
        stream()[:3],
        b"\x07\0\0\0\0\0\0\0",
        b"\x0a\0\0\0\x03\0\0\0{}",
        b"\x01\0\0\x01" + bytes(12),
        b"\x11\0\x01\0\x01\0\x01\0" + bytes(65_545),
    ],
    ids=["cut", "cut in a word", "T too small", "H too large for T", "T beyond the limit", "H beyond the limit"],
)
def test_what_our_decoder_refuses_is_an_error(read: Read, wire: bytes) -> None:
    def ours() -> None:
        decoder = FrameDecoder()
        for _ in decoder.feed(wire):
            pass
        decoder.finish()

    with pytest.raises(FrameError):
        ours()
    assert read(wire) in ("EOFError", "EndOfStreamError", "ValidationLessThanError", "ValidationGreaterThanError")
