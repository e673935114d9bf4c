"""The `objectstreaming` command, run in this process."""

from __future__ import annotations

import pytest

from objectstreaming.cli import main


def run(*arguments: object) -> int:
    """The exit status of the command."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    code = ended.value.code
    assert code is None or isinstance(code, int)
    return code or 0


def only_line(text: str) -> str:
    """`text`, which must be one line of a clear error, without a traceback."""
    [line] = text.splitlines()
    assert line.startswith("objectstreaming: ")
    assert "Traceback" not in line
    return line
