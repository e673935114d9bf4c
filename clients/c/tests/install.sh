#!/bin/sh
# Installs into a folder, and builds a program with what pkg-config and CMake say about it.
set -eu
cd "$(dirname "$0")/.."
rm -rf build/install build/user
mkdir -p build/user
prefix="$PWD/build/install"
make -s install PREFIX="$prefix"
printf '#include <objectstreaming.h>\n#include <stdio.h>\nint main(void) { puts(OBJS_VERSION); return 0; }\n' >build/user/main.c
missing() { echo "MISSING PROGRAM: $1; its part of the test of make install is SKIPPED" >&2; test "${CI:-}" != true; }
if command -v pkg-config >/dev/null; then
    export PKG_CONFIG_PATH="$prefix/lib/pkgconfig"
    version=$(pkg-config --modversion objectstreaming)
    # shellcheck disable=SC2046 - flags are words
    ${CC:-cc} $(pkg-config --cflags objectstreaming) build/user/main.c -o build/user/main
    test "$(build/user/main)" = "$version"
else
    missing pkg-config
fi
if command -v cmake >/dev/null; then
    cat >build/user/CMakeLists.txt <<'C'
cmake_minimum_required(VERSION 3.13)
project(user C)
add_executable(main main.c)
if(FOLDER)
    add_subdirectory(${FOLDER} objectstreaming)
else()
    find_package(objectstreaming 0.1 REQUIRED)
    find_package(objectstreaming 1.0 QUIET)
    if(objectstreaming_FOUND)
        message(FATAL_ERROR "version 1.0 was found")
    endif()
endif()
target_link_libraries(main objectstreaming::objectstreaming)
C
    cmake -S build/user -B build/user/found -DCMAKE_PREFIX_PATH="$prefix" >/dev/null
    cmake --build build/user/found >/dev/null
    cmake -S build/user -B build/user/added -DFOLDER="$PWD" >/dev/null
    cmake --build build/user/added >/dev/null
    build/user/found/main >/dev/null && build/user/added/main >/dev/null
else
    missing cmake
fi
echo "make install: pkg-config and CMake find the header"
