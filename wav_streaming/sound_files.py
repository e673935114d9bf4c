"""Recognizes sound files that are not WAV files by their first bytes, and names the command that converts them.

Sources: the formats' own specifications; for MPEG audio, the frame header of ISO/IEC 11172-3, section 2.4.2.3.
"""

from __future__ import annotations

from typing import Final

__all__ = ["CONVERT", "LONGEST_GUESS", "file_kind"]

CONVERT: Final = "convert it first, for example with: ffmpeg -i INPUT -c:a pcm_s16le OUTPUT.wav"

_SOUND: Final = (
    (b"RIFX", "a big-endian WAV file (RIFX)"),
    (b"RF64", "a WAV file beyond 4 GiB (RF64)"),
    (b"BW64", "a WAV file beyond 4 GiB (BW64)"),
    (b"riff\x2e\x91\xcf\x11", "Sony Wave64 (W64)"),
    (b"OggS", "Ogg (Opus, Vorbis or FLAC in it)"),
    (b"fLaC", "FLAC"),
    (b"ID3\x02", "MP3"),
    (b"ID3\x03", "MP3"),
    (b"ID3\x04", "MP3"),
    (b"\x1aE\xdf\xa3", "WebM or Matroska"),
    (b"FORM", "AIFF"),
    (b".snd", "a Sun or NeXT sound file (AU)"),
    (b"dns.", "a Sun or NeXT sound file (AU)"),
    (b"caff", "a Core Audio file (CAF)"),
    (b"ADIF", "AAC"),
    (b"#!AMR", "AMR"),
    (b"wvpk", "WavPack"),
    (b"MAC ", "Monkey's Audio"),
    (b"TTA1", "True Audio (TTA)"),
    (b"DSD ", "DSD"),
    (b"FRM8", "DSD"),
    (b"NIST_1A", "a NIST SPHERE file"),
    (b"Creative Voice", "a Creative Voice file (VOC)"),
    (b"0&\xb2u\x8ef\xcf\x11", "Windows Media (ASF)"),
    (b"FLV\x01", "Flash video"),
)
_NOT_SOUND: Final = (
    (b"MThd", "MIDI, which holds notes and no sound"),
    (b"UklGR", "a WAV file in base64: decode that first"),
    (b"data:", "a data URL: decode what is in it first"),
    (b"\x1f\x8b\x08", "gzip: decompress it first"),
    (b"PK\x03\x04", "a ZIP archive: unpack it first"),
)
_TEXT: Final = {b"<": "a page of HTML or XML, not sound", b"{": "JSON, not sound", b"[": "JSON, not sound"}
_RIFF_KINDS: Final = {b"AVI ": "AVI", b"WEBP": "a WebP picture", b"RMID": "MIDI", b"RMP3": "MP3", b"CDXA": "a Video CD"}
_BOXES: Final = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp")

# MPEG audio: kbit/s by (version 1 or 2, layer), and Hz of version 1; version 2 has half of them, 2.5 a quarter.
_BITRATES: Final = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MPEG_RATES: Final = (44_100, 48_000, 32_000)

LONGEST_GUESS: Final = 8192 + 4
"""How many bytes `file_kind` needs at most: the longest AAC frame and the head of the next one."""


def file_kind(beginning: bytes, *, whole: bool = True) -> str | None:
    """The kind of a file that begins like this, and what to do; empty if it is unknown; `None` if more bytes are
    needed.

    `whole` says that no more bytes will come. Raw PCM can look like the head of an MPEG frame. So there must be a
    second head where the first frame ends, or the file must end before that.

    >>> file_kind(b"OggS" + bytes(24))
    'Ogg (Opus, Vorbis or FLAC in it): convert it first, for example with: ffmpeg -i INPUT -c:a pcm_s16le OUTPUT.wav'
    >>> file_kind(bytes(12)), file_kind(b"Og", whole=False)
    ('', None)
    """
    text = beginning.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
    if not whole and len(text) < 12:
        return None
    for magic, kind in _NOT_SOUND:
        if text.startswith(magic):
            return kind
    if text[:1] in _TEXT and all(byte >= 0x20 or byte in b"\t\r\n" for byte in text[:12]) and text[:12].isascii():
        return _TEXT[text[:1]]
    for magic, kind in _SOUND:
        if beginning.startswith(magic):
            return _advised(kind)
    if beginning[4:8] in _BOXES:
        return _advised("MP4 or M4A")
    if beginning[:4] == b"RIFF" and beginning[8:12] in _RIFF_KINDS:
        return _advised(_RIFF_KINDS[beginning[8:12]])
    return _mpeg_kind(beginning, whole)


def _advised(kind: str) -> str:
    return f"{kind}: {CONVERT}"


def _mpeg_kind(beginning: bytes, whole: bool) -> str | None:
    found = _mpeg_frame(beginning)
    if found is None:
        return ""
    kind, size = found
    second = beginning[size : size + 2]
    if len(second) == 2:
        return _advised(kind) if second[0] == 0xFF and second[1] & 0xE0 == 0xE0 else ""
    return _advised(kind) if whole else None


def _mpeg_frame(data: bytes) -> tuple[str, int] | None:
    """The kind and the size of the MPEG audio or AAC frame that `data` begins with."""
    if len(data) < 6 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return None
    version, layer = data[1] >> 3 & 3, 4 - (data[1] >> 1 & 3)
    if layer == 4:  # no layer: AAC in ADTS
        size = (data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5
        return ("AAC", size) if data[1] & 0xF0 == 0xF0 and data[2] >> 2 & 15 < 13 and size >= 7 else None
    bitrate, rate = data[2] >> 4, data[2] >> 2 & 3
    if version == 1 or rate == 3 or bitrate in (0, 15):
        return None
    kilobits = _BITRATES[1 if version == 3 else 2, layer][bitrate - 1]
    hertz = _MPEG_RATES[rate] >> {3: 0, 2: 1, 0: 2}[version]
    padding = data[2] >> 1 & 1
    if layer == 1:
        return "MP1 (MPEG audio)", (12_000 * kilobits // hertz + padding) * 4
    samples = 72_000 if layer == 3 and version != 3 else 144_000
    return f"MP{layer}" + ("" if layer == 3 else " (MPEG audio)"), samples * kilobits // hertz + padding
