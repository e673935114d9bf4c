#!/bin/sh
# Each extra in an environment of its own, which has nothing else: the wheel is installed with it, and what it is for runs.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
PYTHON=${PYTHON:-python3}

"$PYTHON" -m pip --disable-pip-version-check wheel --quiet --no-deps --wheel-dir "$work" . >"$work/log" 2>&1 ||
    { cat "$work/log" >&2; exit 1; }
wheel=$(echo "$work"/objectstreaming-*.whl)

try() { # EXTRA CODE
    echo "== $1"
    rm -rf "$work/environment"
    "$PYTHON" -m venv "$work/environment"
    "$work/environment/bin/pip" install --quiet --disable-pip-version-check "$wheel[$1]"
    (cd "$work" && environment/bin/python -W error -c "$2")
}

try_older() { # REQUIREMENT CODE: the environment of the extra before, with an older version of what it brings
    echo "== $1"
    "$work/environment/bin/pip" install --quiet --disable-pip-version-check "$1"
    (cd "$work" && environment/bin/python -c "$2")
}

try server 'import objectstreaming.server, objectstreaming.app, objectstreaming.store'
try client 'import objectstreaming.client'
try cli 'from objectstreaming.cli import main; main(["inspect", "/dev/null"])'
try_older 'typer==0.15.*' 'from objectstreaming.cli import main; main(["inspect", "/dev/null"])'
try redis 'import redis.asyncio'
try prometheus 'import objectstreaming.prometheus'
try opentelemetry 'import objectstreaming.opentelemetry'
try voice 'import httpx, pocketsphinx'
try codecs 'from wav_streaming import Sound
from wav_streaming.compression import flac, ogg_opus
sound = Sound(bytes(44_100), 22_050)
assert flac(sound)[:4] == b"fLaC"
assert ogg_opus(sound)[:4] == b"OggS"'
try testing 'import objectstreaming.testing'
try conformance 'import objectstreaming.conformance, objectstreaming.cli'
