"""The Wireshark dissector, run by tshark on captures that are made here, packet by packet."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

import pytest
from needed_programs import needs

from objectstreaming import JsonCoder, StreamEncoder, StreamError, encode_frame

SCRIPT = Path(__file__).parents[2] / "tools" / "wireshark" / "objectstreaming.lua"
CLIENT, SERVER = (b"\x0a\0\0\x01", 40_000), (b"\x0a\0\0\x02", 8_000)
FIN, SYN, RST, ACK = 1, 2, 4, 16
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.objectstreaming;v=1;coder=json\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
REQUEST = b"POST /objects HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
MASK = b"\x12\xf4\x56\x78"


class Capture:
    """One TCP connection in a pcap file. Packets are 0.1 s apart."""

    def __init__(self) -> None:
        self._packets: list[bytes] = []
        self._next = {CLIENT: 1_000, SERVER: 2_000}
        self._from(CLIENT, b"", SYN)
        self._from(SERVER, b"", SYN | ACK)

    def up(self, data: bytes, flags: int = ACK) -> Capture:
        return self._from(CLIENT, data, flags)

    def down(self, data: bytes, flags: int = ACK) -> Capture:
        return self._from(SERVER, data, flags)

    def swap_last_two(self) -> Capture:
        """The last two packets came in the other order."""
        a, b = self._packets[-2:]
        self._packets[-2:] = [a[:8] + b[8:], b[:8] + a[8:]] if len(a) == len(b) else [b, a]
        return self

    def repeat_last(self) -> Capture:
        """The last packet was sent again."""
        self._packets.append(self._packets[-1])
        return self

    def save(self, path: Path) -> Path:
        raw_ip = 101
        head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, raw_ip)
        times = (struct.pack("<II", 1_000 + n // 10, n % 10 * 100_000) for n in range(len(self._packets)))
        lengths = (struct.pack("<II", len(packet), len(packet)) for packet in self._packets)
        path.write_bytes(head + b"".join(b"".join(parts) for parts in zip(times, lengths, self._packets, strict=True)))
        return path

    def _from(self, sender: tuple[bytes, int], data: bytes, flags: int) -> Capture:
        receiver = SERVER if sender is CLIENT else CLIENT
        seq = self._next[sender]
        self._next[sender] += len(data) + bool(flags & (SYN | FIN))
        tcp = struct.pack(
            ">HHIIBBHHH", sender[1], receiver[1], seq, self._next[receiver], 5 << 4, flags | ACK, 65_535, 0, 0
        )
        total = 20 + len(tcp) + len(data)
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, total, len(self._packets), 0, 64, 6, 0, sender[0], receiver[0])
        self._packets.append(ip + tcp + data)
        return self


def frames(error: StreamError | None = None) -> list[bytes]:
    encoder = StreamEncoder(JsonCoder())
    return [
        encoder.open(),
        encoder.data({"n": 1}, "a"),
        encoder.ping(),
        encoder.data({}, "b"),
        encoder.end(error=error),
    ]


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def message(data: bytes, mask: bytes = b"", opcode: int = 2, fin: int = 0x80) -> bytes:
    size = (
        bytes([len(data) | bool(mask) << 7])
        if len(data) < 126
        else struct.pack(">BH", 126 | bool(mask) << 7, len(data))
    )
    body = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data)) if mask else data
    return bytes([fin | opcode]) + size + mask + body


Tshark: TypeAlias = Callable[..., list[tuple[str, ...]]]


@pytest.fixture
def tshark(tmp_path: Path) -> Tshark:
    """Runs tshark on a capture. Gives, for each packet that has any, its number and the values of the fields."""
    needs("tshark")
    folder = tmp_path / "wireshark"
    shutil.copytree(SCRIPT.parent, folder)
    folder.chmod(0o755)

    def run(capture: Capture, *fields: str, options: Iterable[str] = ()) -> list[tuple[str, ...]]:
        path = capture.save(tmp_path / "capture.pcap")
        command = ["tshark", "-n", "-X", f"lua_script:{folder / SCRIPT.name}", *options, "-r", str(path)]
        if "-Y" not in command:
            command += ["-Y", "objstream"]
        command += ["-T", "fields", "-e", "frame.number"]
        command += [word for field in fields for word in ("-e", f"objstream.{field}")]
        home = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
        ran = subprocess.run(command, capture_output=True, text=True, env=home, check=True)
        assert "Lua" not in ran.stderr, ran.stderr
        return [tuple(line.split("\t")) for line in ran.stdout.splitlines()]

    return run


def test_each_frame_of_a_chunked_response_is_in_the_packet_in_which_it_came(tshark: Tshark) -> None:
    capture = Capture().up(REQUEST).down(CHUNKED)
    for wire in frames():
        capture.down(chunk(wire))
    capture.down(b"0\r\n\r\n", FIN)
    shown = tshark(capture, "kind", "index", "gap", "first", "code")
    assert shown == [
        ("5", "open", "0", "", "", ""),
        ("6", "data", "1", "0.1", "0.3", ""),
        ("7", "ping", "2", "0.1", "", ""),
        ("8", "data", "3", "0.1", "", ""),
        ("9", "end", "4", "0.1", "", ""),
    ]


def test_a_stream_is_shown_while_it_is_open(tshark: Tshark) -> None:
    capture = Capture().up(REQUEST).down(CHUNKED + chunk(frames()[0])).down(chunk(frames()[1]))
    assert tshark(capture, "kind") == [("4", "open"), ("5", "data")]


@pytest.mark.parametrize("size", [1, 3, 50])
def test_a_frame_is_where_its_last_byte_is(tshark: Tshark, size: int) -> None:
    wire = CHUNKED + chunk(frames()[0]) + chunk(b"".join(frames()[1:])) + b"0\r\n\r\n"
    capture = Capture().up(REQUEST)
    for at in range(0, len(wire), size):
        capture.down(wire[at : at + size])
    kinds = [kind for _, kinds in tshark(capture, "kind") for kind in kinds.split(",")]
    assert kinds == ["open", "data", "ping", "data", "end"]
    assert tshark(capture, "code")[0][1] == ""


@pytest.mark.parametrize(
    ("sent", "flags", "code"),
    [
        (chunk(frames()[1]), FIN, "stream_incomplete"),
        (chunk(frames()[1]) + b"0\r\n\r\n", ACK, "stream_incomplete"),
        (chunk(frames()[1]), RST, "stream_incomplete"),
        (chunk(frames()[1][:-1]), FIN, "truncated_frame"),
        (chunk(b"\x07\0\0\0"), ACK, "invalid_length"),
        (chunk(b"\xff\xff\xff\xff"), ACK, "frame_too_large"),
        (chunk(encode_frame({"$stream": {"type": "end", "frames": 7}})), ACK, "count_mismatch"),
        (chunk(frames(StreamError("unavailable", "gone"))[4]), ACK, "unavailable"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_stream_that_fails_is_an_expert_error(tshark: Tshark, sent: bytes, flags: int, code: str) -> None:
    if code == "unavailable":
        sent = b"".join(map(chunk, frames()[1:4])) + sent
    capture = Capture().up(REQUEST).down(CHUNKED + chunk(frames()[0])).down(sent, flags if flags == FIN else ACK)
    if flags == RST:
        capture.down(b"", RST)
    *_, (_, codes, expert) = tshark(capture, "code", "broken" if code != "unavailable" else "failed")
    assert codes == code
    assert expert


def test_websocket_frames_of_both_directions_are_shown(tshark: Tshark) -> None:
    upgrade = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: objectstreaming.v1\r\n"
    capture = Capture().up(b"GET /duplex HTTP/1.1\r\nHost: a\r\n" + upgrade + b"Sec-WebSocket-Key: a\r\n\r\n")
    capture.down(b"HTTP/1.1 101 Switching Protocols\r\n" + upgrade + b"\r\n")
    ours = frames()
    capture.up(message(ours[0], MASK)).down(message(ours[0]))
    capture.down(message(b"alive?", opcode=9)).up(message(b"alive?", MASK, opcode=10))
    capture.down(message(ours[1][:9], fin=0)).down(message(ours[1][9:], opcode=0))  # one message in two pieces
    capture.up(message(ours[1][:9], MASK)).up(message(ours[1][9:], MASK))  # one frame in two messages
    capture.down(message(encode_frame({}, bytes(300))))
    shown = tshark(capture, "kind", "header")
    assert [(packet, kind) for packet, kind, _ in shown] == [
        ("5", "open"),
        ("6", "open"),
        ("10", "data"),
        ("12", "data"),
        ("13", "data"),
    ]
    assert shown[3][2] == '{"n":1}'


def test_a_websocket_that_is_cut_is_an_expert_error(tshark: Tshark) -> None:
    upgrade = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: objectstreaming.v1\r\n\r\n"
    capture = Capture().up(b"GET /duplex HTTP/1.1\r\nHost: a\r\n" + upgrade)
    capture.down(b"HTTP/1.1 101 Switching Protocols\r\n" + upgrade + message(frames()[0])).down(b"", FIN)
    assert tshark(capture, "code")[-1] == ("5", "stream_incomplete")


def test_plain_tcp_is_read_on_the_ports_of_the_preference(tshark: Tshark) -> None:
    capture = Capture()
    for wire in frames()[:4]:
        capture.down(wire)
    capture.down(b"", FIN)
    assert tshark(capture, "kind") == []
    shown = tshark(capture, "kind", "code", options=["-o", f"objstream.ports:{SERVER[1]}"])
    assert [kind for _, kind, _ in shown] == ["open", "data", "ping", "data", ""]
    assert shown[-1][2] == "stream_incomplete"


def test_a_response_with_a_length_and_one_after_it_are_read(tshark: Tshark) -> None:
    body = b"".join(frames())
    answer = HEAD + b"content-length: %d\r\n\r\n" % len(body) + body
    capture = Capture().up(REQUEST).down(answer).up(REQUEST).down(answer)
    assert [(packet, kinds) for packet, kinds in tshark(capture, "kind")] == [
        ("4", "open,data,ping,data,end"),
        ("6", "open,data,ping,data,end"),
    ]


def test_segments_that_were_repeated_or_came_early_count_once(tshark: Tshark) -> None:
    capture = Capture().up(REQUEST).down(CHUNKED).down(chunk(frames()[0])).repeat_last()
    capture.down(chunk(frames()[1])).down(chunk(frames()[2])).swap_last_two().down(chunk(frames()[3]))
    kinds = [kind for _, kinds in tshark(capture, "kind") for kind in kinds.split(",")]
    assert kinds == ["open", "data", "ping", "data"]


def test_other_traffic_is_left_alone(tshark: Tshark) -> None:
    page = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 9\r\n\r\n" + b"\x09\0\0\0\x01\0\0\0{"
    assert tshark(Capture().up(REQUEST).down(page, FIN), "kind") == []
    assert tshark(Capture().up(b"\x16\x03\x01\x02\0\x01").down(frames()[0], FIN), "kind") == []


def test_the_filters_of_the_debugging_page_find_what_they_say(tshark: Tshark) -> None:
    page = (Path(__file__).parents[2] / "docs" / "debugging.md").read_text()
    filters = re.findall(r"^\| `(objstream\..*?)` \|", page, re.MULTILINE)
    assert len(filters) == 4
    capture = Capture().up(REQUEST).down(CHUNKED + chunk(frames()[0]))
    for wire in frames()[1:3]:
        capture.down(b"")  # 0.1 s each
        for _ in range(25):
            capture.up(b"")
        capture.down(chunk(wire))
    capture.down(b"", FIN)
    found = [tshark(capture, "kind", options=["-Y", one]) for one in filters]
    assert [[kind for _, kind in packets] for packets in found[:3]] == [["data", "ping"], ["data"], ["ping"]]
    assert len(found[3]) == 1
