#!/bin/sh
# Compile the hashing kernels alone, every warning an error, with AddressSanitizer and UBSan, and run a program over them.
# Usage: tests/kernel/hash_guard.sh [folder for the program] [hash_guard | hash_foreign] [its arguments]
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
out=${1:-$(mktemp -d)}
[ $# -gt 0 ] || trap 'rm -rf "$out"' EXIT
program=${2:-hash_guard}
[ $# -lt 2 ] && shift $# || shift 2
${CC:-cc} -std=gnu11 -O1 -g -Wall -Wextra -Werror -Wno-unused-function -fno-sanitize-recover=all \
    -fsanitize=address,undefined -I"$root/ext/hash" "$root/tests/kernel/$program.c" "$root"/ext/hash/*.c \
    -pthread -o "$out/$program"
"$out/$program" "$@"
