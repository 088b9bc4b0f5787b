#!/bin/sh
# Compile the hashing kernels alone, as the package does, and print what a block costs beside what the machine allows.
# Usage: benchmarks/hash_blocks.sh [folder for the program]
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-$(mktemp -d)}
[ $# -gt 0 ] || trap 'rm -rf "$out"' EXIT
${CC:-cc} -std=gnu11 -O3 -fno-strict-aliasing -Wall -Wextra -Werror -Wno-unused-function -I"$root/ext/hash" \
    "$root/benchmarks/hash_blocks.c" "$root"/ext/hash/*.c -pthread -o "$out/hash_blocks"
"$out/hash_blocks"
