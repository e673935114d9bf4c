"""The `objectstreaming` command: `serve`, `demo`, `ask`, `talk`, `inspect`, `cat`, `to-wav`, `record`, `replay`,
`doctor`, `conformance`.

The console script and `python -m objectstreaming` call `main`. An error is one line on stderr and a status other than
0: 2 if the command could not be run at all. There is a traceback only for faults of this program.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Final, NoReturn

from .. import CODEC, __version__
from ..errors import ObjectStreamError
from .errors import CommandError

__all__ = ["CommandError", "main"]

EXTRAS: Final = {
    "fastapi": "server",
    "h11": "cli",
    "httpx": "client",
    "pocketsphinx": "voice",
    "prometheus_client": "prometheus",
    "redis": "redis",
    "sounddevice": "voice",
    "starlette": "server",
    "typer": "cli",
    "uvicorn": "server",
    "websockets": "server",
}
"""The extra that installs each module which may be missing."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line `arguments`, by default those of this process. Always raises `SystemExit`."""
    _make_usable()
    try:
        if list(sys.argv[1:] if arguments is None else arguments) == ["--version"]:  # it needs no extra
            print(f"objectstreaming {__version__}\ncodec: {CODEC}", flush=True)  # noqa: T201
            sys.exit(0)
        from .commands import app

        app(args=None if arguments is None else list(arguments), prog_name="objectstreaming")
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRAS:
            raise
        _fail(f"{module} is not installed; it comes with: pip install 'objectstreaming[{EXTRAS[module]}]'", 2)
    except CommandError as error:
        _fail(str(error), error.status)
    except ObjectStreamError as error:
        _fail(str(error))
    except UnicodeEncodeError as error:
        if error.reason != "surrogates not allowed":
            raise
        _fail("a URL, a header or a text is not UTF-8", 2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output has left, as `head` does. Nothing may be written at exit any more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        what = error.strerror or str(error)
        _fail(f"{error.filename}: {what}" if error.filename else what)
    sys.exit(0)


def _make_usable() -> None:
    """Standard streams that were closed become empty ones. What an encoding lacks is written as an escape."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - until the end of the process
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _fail(message: str, status: int = 1) -> NoReturn:
    from .terminal import coloured, printable

    sys.stderr.write(f"{coloured('objectstreaming:', 'red', sys.stderr)} {printable(message)}\n")
    sys.exit(status)
