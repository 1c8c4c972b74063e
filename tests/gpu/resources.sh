#!/bin/bash
# resources.sh - registers, stack, spills and shared memory of every kernel, for each kind of card.
#
#   tests/gpu/resources.sh OBJECT.cu.o...     (none: every kernel's of build/release)
#
# Of what ptxas said when the objects were built. Fails where a kernel spills or keeps an array in
# local memory, and where an object needs libstdc++: the program is linked by a C compiler.
set -u
cd "$(dirname "$0")/../.." || exit 1
if [ $# -eq 0 ]; then
    for file in kernels/cuda/*/*.cu; do set -- "$@" "build/release/$file.o"; done
    [ -e "$1" ] || { echo "$1 is not built: it needs nvcc" && exit 77; }
fi
bad=0

# table SAID: one line for each kernel and card; fails on what must not be
table() {
    c++filt <"$1" | sed 's/ptxas info *: //' | awk '
        /Compiling entry function/ {
            name = $0
            sub(/^[^\047]*\047/, "", name)
            sub(/\047 for \047.*$/, "", name)
            sub(/^void /, "", name)
            sub(/\(.*\)$/, "", name)
            card = $0
            sub(/^.*\047 for \047/, "", card)
            sub(/\047.*$/, "", card)
        }
        /bytes stack frame/ { stack = $1; stores = $5; loads = $9 }
        /Used [0-9]+ registers/ {
            shared = 0
            for (i = 1; i < NF; i++) if ($(i + 2) ~ /^smem/ && $(i + 1) == "bytes") shared = $i
            for (i = 1; i < NF; i++) if ($i == "Used") registers = $(i + 1)
            verdict = stack + stores + loads ? "  local memory" : ""
            printf "%-52s %6s %9d %6d %6d %7d%s\n", name, card, registers, stack, stores + loads, shared, verdict
            kernels[card]++
            if (verdict != "") bad = 1
        }
        END {
            if (!kernels["sm_80"] || kernels["sm_80"] != kernels["sm_90a"]) { print "not the same kernels for both cards"; bad = 1 }
            exit bad
        }'
}

printf '%-52s %6s %9s %6s %6s %7s\n' kernel card registers stack spills shared
for object in "$@"; do
    table "$object.said" || { echo "$object.said: see above" && bad=1; }
    foreign=$(nm -C -u "$object" | grep -E ' (std::|operator (new|delete)|__cxa_|__gxx_|vtable for)')
    [ -z "$foreign" ] || { echo "$object needs libstdc++:" && echo "$foreign" && bad=1; }
done
exit $bad
