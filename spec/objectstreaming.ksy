meta:
  id: objectstreaming
  title: objectstreaming wire, version 1
  license: Apache-2.0
  ks-version: 0.9
  encoding: UTF-8
  endian: le
doc: |
  A stream of frames: SPEC.md, section 2. It reads a whole capture, and raises an error where the capture is cut. It
  knows neither JSON nor the rules of a stream: `is_control` says by the first bytes of a header what a reader does.
doc-ref: SPEC.md
seq:
  - id: frames
    type: frame
    repeat: eos
types:
  frame:
    seq:
      - id: len_frame
        type: u4
        valid:
          min: 8
          max: 16777216
        doc: "T: bytes in the whole frame, its two length words included. At most 16 MiB (section 2.4)."
      - id: len_header
        type: u4
        valid:
          max: "len_frame - 8 < 65536 ? len_frame - 8 : 65536"
        doc: "H: bytes in the header alone. At most 64 KiB."
      - id: header
        size: len_header
        doc: One JSON object (section 2.3).
      - id: payload
        size: len_frame - 8 - len_header
        doc: What the coder says (section 4).
    instances:
      is_control:
        value: >-
          len_header >= 11 and
          header[0] == 0x7b and header[1] == 0x22 and header[2] == 0x24 and header[3] == 0x73 and
          header[4] == 0x74 and header[5] == 0x72 and header[6] == 0x65 and header[7] == 0x61 and
          header[8] == 0x6d and header[9] == 0x22 and header[10] == 0x3a
        doc: "Whether the header begins with {\"$stream\": (section 3.1)."
