#!/bin/sh
# The codec's tests on the native codec, built with AddressSanitizer and UndefinedBehaviorSanitizer in a copy of the project.
#
#     tests/sanitize.sh [pytest arguments]        PYTHON and CC say which interpreter and compiler
#
# PYTHONMALLOC=malloc lets the sanitizer see every object. Leaks are found by test_native*.py: the interpreter itself leaves
# memory behind at exit.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python}
cc=${CC:-gcc}
python=$("$python" -c 'import sys; print(sys.executable)') # the tests run elsewhere
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT INT TERM
mkdir -p "$copy/clients/c"
cp -R objectstreaming object_streaming wav_streaming tests pyproject.toml setup.py "$copy"
cp clients/c/objectstreaming.h "$copy/clients/c"
case $cc in
*clang*) runtime=$($cc -print-file-name=libclang_rt.asan-$(uname -m).so) shared=-shared-libasan ;;
*) runtime=$($cc -print-file-name=libasan.so) shared= ;;
esac
include=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')
suffix=$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')
cd "$copy"
rm -f objectstreaming/_native.*.so
# shellcheck disable=SC2086
$cc $shared -shared -fPIC -g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all \
    -Wall -Wextra -Werror -I"$include" objectstreaming/native/*.c -o "objectstreaming/_native$suffix"
export LD_PRELOAD="$runtime" PYTHONMALLOC=malloc PYTHONPATH="$copy" CI=true
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1
# A run that is not on the instrumented codec proves nothing.
"$python" -c 'import sys, objectstreaming.frames as f, objectstreaming._native as n
there = f.CODEC == "native" and n.__file__.startswith(sys.argv[1])
sys.exit(0 if there else f"not on the instrumented codec: {f.CODEC}, {n.__file__}")' "$copy"
"$python" -m pytest -q -p no:cacheprovider --hypothesis-profile=ci \
    tests/codec/test_frames.py tests/codec/test_native*.py tests/codec/test_data_headers.py tests/codec/test_tal.py "$@"
