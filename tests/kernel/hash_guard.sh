#!/bin/sh
# Compile the hashing code without Python, with AddressSanitizer, UBSan and all warnings as errors, and run hash_guard.
# Usage: tests/kernel/hash_guard.sh [folder for the program]
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
out=${1:-$(mktemp -d)}
[ $# -gt 0 ] || trap 'rm -rf "$out"' EXIT
${CC:-cc} -std=gnu11 -O1 -g -Wall -Wextra -Werror -Wno-unused-function -fno-sanitize-recover=all \
    -fsanitize=address,undefined -I"$root/ext/hash" "$root/tests/kernel/hash_guard.c" "$root"/ext/hash/*.c \
    -pthread -o "$out/hash_guard"
"$out/hash_guard"
