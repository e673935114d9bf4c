#!/bin/sh
# Compiles and runs the examples of the README, and compares their output with the README.
set -eu
cd "$(dirname "$0")/.."
rm -rf build/readme
mkdir -p build/readme
cp objectstreaming.h build/readme
# A block "c NAME" is written to NAME. Blocks "sh" and "output" are numbered.
awk '/^```/ { if (to) { close("build/readme/" to); to = "" }
              else if ($1 == "```c") to = $2
              else if ($1 == "```sh") to = "run.sh"
              else if ($1 == "```output") to = "expected" ++outputs
              else to = "other"
              next }
     to { print > ("build/readme/" to) }' README.md
cd build/readme
cc() { command ${CC:-cc} -Wall -Wextra -Wpedantic -Werror "$@"; }
. ./run.sh >seen1
cc -std=c99 speech.c -o speech
./speech >seen2
diff expected1 seen1
diff expected2 seen2
! printf '\30\0\0\0\10\0\0\0{"a"' | ./frames || { echo "a cut stream was taken for a whole one"; exit 1; }
echo "README: the examples print what it says"
