"""What is said where something optional is missing: a module of an extra, the C extension."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(code: str, *, without: str = "", warnings: str = "error", pure: str | None = None) -> str:
    """What a new process prints that runs `code`, as if the modules `without` were not installed."""
    hide = "".join(f"sys.modules[{name!r}] = None\n" for name in without.split())
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", **({} if pure is None else {"OBJECTSTREAMING_PURE": pure})}
    # The sources themselves, in an environment that has nothing but the dependencies of this one.
    ran = subprocess.run(
        [sys.executable, "-W", warnings, "-c", f"import sys\n{hide}{code}"],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("module", "without", "command"),
    [
        ("objectstreaming.server", "starlette", "starlette is not installed: pip install 'objectstreaming[server]'"),
        ("objectstreaming.store", "starlette", "starlette is not installed: pip install 'objectstreaming[server]'"),
        ("objectstreaming.app", "fastapi", "fastapi is not installed: pip install 'objectstreaming[server]'"),
        ("objectstreaming.client", "anyio", "anyio is not installed: pip install 'objectstreaming[client]'"),
        ("objectstreaming.testing", "httpx", "httpx is not installed: pip install 'objectstreaming[testing]'"),
        (
            "objectstreaming.prometheus",
            "prometheus_client",
            "prometheus_client is not installed: pip install 'objectstreaming[prometheus]'",
        ),
        (
            "objectstreaming.opentelemetry",
            "opentelemetry",
            "opentelemetry is not installed: pip install 'objectstreaming[opentelemetry]'",
        ),
    ],
)
def test_a_missing_extra_is_named_with_its_command(module: str, without: str, command: str) -> None:
    code = f"try:\n    import {module}\nexcept ModuleNotFoundError as error:\n    print(error)"
    assert run(code, without=without).strip() == command


@pytest.mark.parametrize(("form", "without"), [("flac", "soundfile"), ("ogg_opus", "av")])
def test_the_extra_of_a_codec_is_named(form: str, without: str) -> None:
    code = f"""
from wav_streaming import Sound
from wav_streaming.compression import {form}
try:
    {form}(Sound(bytes(2), 48_000))
except ModuleNotFoundError as error:
    print(error)
"""
    wanted = f"{without} is not installed: pip install 'objectstreaming[codecs]'"
    assert run(code, without=without).strip() == wanted


def test_the_extra_of_a_store_is_named() -> None:
    code = (
        "try:\n    from objectstreaming.store import RedisStore\nexcept ModuleNotFoundError as error:\n    print(error)"
    )
    assert run(code, without="redis").strip() == "redis is not installed: pip install 'objectstreaming[redis]'"


def test_the_package_itself_needs_no_extra() -> None:
    without = "fastapi starlette httpx anyio uvicorn typer hypothesis websockets redis"
    assert "native" in run("import objectstreaming, wav_streaming; print(objectstreaming.CODEC)", without=without)
    shown = run("from objectstreaming.cli import main; main(['--version'])", without=without)
    assert shown.startswith("objectstreaming 0.")


def test_a_missing_extension_is_told_once_and_can_be_silenced() -> None:
    code = "import objectstreaming, objectstreaming.protocol; print(objectstreaming.CODEC)"
    hidden = "objectstreaming._native"
    shown = run(code, without=hidden, warnings="default")
    assert shown.count("PureCodecWarning") == 1
    assert "pure" in shown
    silent = "import warnings; warnings.filterwarnings('ignore', message='objectstreaming was installed without')\n"
    assert run(silent + code, without=hidden).strip() == "pure"
    assert run(code, without=hidden, pure="1").strip() == "pure"
