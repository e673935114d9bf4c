"""The cases, a module for each part of SPEC.md, in its order. Importing this fills `case_writer.SUITES`."""

from __future__ import annotations

from . import framing, headers, streams, coders, encoding  # isort: skip

__all__ = ["coders", "encoding", "framing", "headers", "streams"]
