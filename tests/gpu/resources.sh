#!/bin/bash
# resources.sh - registers, stack, spills and shared memory of every kernel, for each kind of card.
#
#   tests/gpu/resources.sh FILE.cu...     (none: every kernels/cuda/*/*.cu)
#
# Fails where a kernel spills or keeps an array in local memory, and where an object needs
# libstdc++: the program is linked by a C compiler.
set -u
cd "$(dirname "$0")/../.." || exit 1
nvcc=${NVCC:-nvcc}
command -v "$nvcc" >/dev/null || { echo "nvcc is not installed" && exit 77; }
[ $# -gt 0 ] || set -- kernels/cuda/*/*.cu
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
bad=0

# table ARCH: of what ptxas -v says, one line for each kernel; fails on what must not be
table() {
    c++filt | sed 's/ptxas info *: //' | awk -v arch="$1" '
        /Compiling entry function/ {
            name = $0
            sub(/^[^\047]*\047/, "", name)
            sub(/\047 for \047.*$/, "", name)
            sub(/^void /, "", name)
            sub(/\(.*\)$/, "", name)
        }
        /bytes stack frame/ { stack = $1; stores = $5; loads = $9 }
        /Used [0-9]+ registers/ {
            shared = 0
            for (i = 1; i < NF; i++) if ($(i + 2) ~ /^smem/ && $(i + 1) == "bytes") shared = $i
            for (i = 1; i < NF; i++) if ($i == "Used") registers = $(i + 1)
            verdict = stack + stores + loads ? "  local memory" : ""
            printf "%-52s %6s %9d %6d %6d %7d%s\n", name, arch, registers, stack, stores + loads, shared, verdict
            kernels++
            if (verdict != "") bad = 1
        }
        END {
            if (!kernels) { print arch ": no kernel found"; bad = 1 }
            exit bad
        }'
}

printf '%-52s %6s %9s %6s %6s %7s\n' kernel card registers stack spills shared
for file in "$@"; do
    for arch in 80 90a; do
        "$nvcc" -std=c++20 -O3 -I. -gencode "arch=compute_$arch,code=sm_$arch" -Xptxas -v \
            -Xcompiler -fno-exceptions,-fno-rtti,-fno-threadsafe-statics \
            -c -o "$tmp/x.o" "$file" 2>"$tmp/said" ||
            { cat "$tmp/said" && exit 1; }
        table "sm_$arch" <"$tmp/said" || bad=1
        foreign=$(nm -C -u "$tmp/x.o" | grep -E ' (std::|operator (new|delete)|__cxa_|__gxx_|vtable for)')
        [ -z "$foreign" ] || { echo "$file needs libstdc++:" && echo "$foreign" && bad=1; }
    done
done
exit $bad
