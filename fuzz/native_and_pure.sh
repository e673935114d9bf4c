#!/bin/sh
# fuzz/native_and_pure.py on the native codec, built with libFuzzer's coverage and the sanitizers in a copy of the project.
#
#     fuzz/native_and_pure.sh -max_total_time=60 [more of libFuzzer's arguments]        PYTHON and CLANG say which to use
#
# The corpus stays in build/fuzz-native-and-pure/corpus, failing inputs beside it. Nothing is linked with clang's runtime: that of
# atheris, which is libFuzzer too, is loaded before the interpreter.
set -eu
cd "$(dirname "$0")/.."
work=$PWD/build/fuzz-native-and-pure
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
rm -f objectstreaming/_native.*.so
# Small inputs are to reach what the decoder does with large pieces.
sed -i -e 's/^#define SMALL .*/#define SMALL 8/' -e 's/^#define GATHERED .*/#define GATHERED 32/' objectstreaming/native/payload.c
for source in objectstreaming/native/*.c; do
    "${CLANG:-clang}" -c -fPIC -g -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
        -fno-sanitize-recover=all -I"$include" "$source" -o "$source.o"
done
"${CLANG:-clang}" -shared objectstreaming/native/*.o -o "objectstreaming/_native$suffix"
export LD_PRELOAD="$runtime" PYTHONMALLOC=malloc PYTHONPATH="$copy"
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:quarantine_size_mb=8:malloc_context_size=2
# A run that is not on the instrumented codec proves nothing.
"$python" -c 'import sys, objectstreaming._native as n
sys.exit(0 if n.__file__.startswith(sys.argv[1]) else f"not on the instrumented codec: {n.__file__}")' "$copy"
"$python" fuzz/native_and_pure.py --seeds "$work/seeds"
"$python" fuzz/native_and_pure.py -dict=fuzz/objectstreaming.dict -max_len=4096 -print_final_stats=1 -artifact_prefix="$work/" \
    "$@" "$work/corpus" "$work/seeds"
