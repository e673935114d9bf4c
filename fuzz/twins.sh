#!/bin/sh
# fuzz/twins.py on native twins built with libFuzzer's coverage and the sanitizers, in a copy of their own.
#
#     fuzz/twins.sh -max_total_time=60 [more of libFuzzer's arguments]        PYTHON and CLANG say which to use
#
# What it learns stays in build/fuzz-twins/corpus, what it finds beside that. Nothing is linked with clang's runtime: that
# of atheris, which is libFuzzer too, is loaded before the interpreter.
set -eu
cd "$(dirname "$0")/.."
work=$PWD/build/fuzz-twins
python=$("${PYTHON:-python}" -c 'import sys; print(sys.executable)') # it runs elsewhere
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT INT TERM
mkdir -p "$copy/clients/c" "$work/corpus"
cp -R objectstreaming object_streaming wav_streaming tests spec fuzz "$copy"
cp clients/c/objectstreaming.h "$copy/clients/c"
include=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')
suffix=$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')
runtime=$("$python" -c 'import atheris; print(atheris.path())')/asan_with_fuzzer.so
cd "$copy"
rm -f objectstreaming/_native.*.so wav_streaming/_native.*.so
# What is large to the native decoder, an input can reach, as in twins.py.
sed -i -e 's/^#define SMALL .*/#define SMALL 8/' -e 's/^#define GATHERED .*/#define GATHERED 32/' objectstreaming/_native.c
for package in objectstreaming wav_streaming; do
    "${CLANG:-clang}" -c -fPIC -g -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
        -fno-sanitize-recover=all -I"$include" "$package/_native.c" -o "$package/_native.o"
    "${CLANG:-clang}" -shared "$package/_native.o" -o "$package/_native$suffix"
done
export LD_PRELOAD="$runtime" PYTHONMALLOC=malloc PYTHONPATH="$copy"
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:quarantine_size_mb=8:malloc_context_size=2
# A run that is not on the instrumented twin proves nothing.
"$python" -c 'import sys, objectstreaming._native as n, wav_streaming._native as w
sys.exit(0 if all(m.__file__.startswith(sys.argv[1]) for m in (n, w)) else f"not on the twins: {n.__file__}")' "$copy"
"$python" fuzz/twins.py --seeds "$work/seeds"
"$python" fuzz/twins.py -dict=fuzz/objectstreaming.dict -max_len=4096 -print_final_stats=1 -artifact_prefix="$work/" \
    "$@" "$work/corpus" "$work/seeds"
