#!/bin/sh
# cli_nth.sh - a render of one block, again and again, each time with another of its calls gone
# wrong (tests/shim/shim_nth.c): a file's, a folder's, a thread's, one for memory. Whatever goes
# wrong, a clip that appears is the clip, the code is 0 or 1, the program ends by itself and in
# time, and the sweep leaves nothing. Where it ended with 1 the next render makes the clip.
#
# A sample of the calls; TORTURE=1: every one of them, and RANDOM_MEMORY (2000) calls for memory
# at random; STRIDE: one in so many, KINDS: of these alone.
# SEED: of what is random.
. "$(dirname "$0")/world.sh"
shim=$(realpath "$top/${SHIMS:-build/release}/shim_nth.so") || exit 1
export ROLLMILL_LOG=warn
SIZE=32x16 # many renders
seed=${SEED:-3}

job one.yaml one 9f 'output:
  dir: out
  formats:
    - {file: clip.mp4, codec: h264, preset: ultrafast}
    - {file: master.mkv, codec: ffv1, pix: yuv420p10}
  latents: {file: latents.safetensors, dtype: bf16}
  preview: {file: contact.png, columns: 3}'

# shimmed NAME=VALUE...: a render with that in its environment
shimmed() {
    timeout -k 5 120 env "$@" "$rollmill" render one.yaml --threads 1 --prompt-cache pc >out.txt 2>err.txt
}
bare() { shimmed UNHARMED=1; }
facts() { grep -E '_id"|sha256|"bytes":|"frames"|"codec"|"text"' "$1/clip.json"; }

bare || { cat err.txt && exit 1; }
mv out whole
mv pc whole-pc
facts whole/one >whole/facts
[ "$(wc -l <whole/facts)" -gt 20 ] || wrong "clip.json says little: $(cat whole/facts)"

# right CLIP: it is the whole one
right() {
    for file in clip.mp4 master.mkv latents.safetensors contact.png; do
        cmp -s "whole/one/$file" "$1/$file" || { wrong "$what: $1/$file is not the clip's" && return; }
    done
    facts "$1" | cmp -s - whole/facts || wrong "$what: $1/clip.json is not the clip's"
    "$rollmill" verify "$1" >found.txt 2>&1 || wrong "$what: $(cat found.txt)"
}

again() {
    [ $rc -ne 0 ] || rm -rf out
    bare || wrong "$what: the next render: $(tail -n 3 err.txt)"
    right out/one
    cmp -s pc/* whole-pc/* || wrong "$what: an embedding is damaged and stays so"
}

# trial WHAT CODES NAME=VALUE...: CODES as a pattern, such as 0|1
tried=0
trial() {
    what=$1 codes=$2
    shift 2
    rm -rf out pc
    shimmed LD_PRELOAD="$shim" NTH_BELOW="$dir" "$@"
    rc=$?
    tried=$((tried + 1))
    echo "$what: exit $rc" >>"${LOG:-/dev/null}"
    eval "case $rc in $codes) ;; *) wrong \"\$what: exit \$rc: \$(tail -n 3 err.txt)\" ;; esac"
    [ $rc -ne 0 ] || [ -d out/one ] || wrong "$what: exit 0 without a clip"
    [ $rc -ne 1 ] || [ -s err.txt ] || wrong "$what: exit 1 without a word"
    [ $rc -ne 134 ] || grep -q '^Assertion .* at src/lib' err.txt || wrong "$what: aborted: $(tail -n 3 err.txt)"
    [ $rc -ne 139 ] || crashed_elsewhere || wrong "$what: crashed: $(tail -n 3 err.txt)"
    for clip in out/*; do [ ! -d "$clip" ] || right "$clip"; done
    [ ! -d out ] || "$rollmill" sweep out >found.txt 2>&1 || wrong "$what: sweep: $(cat found.txt)"
    # One that cannot be renamed stays, whole.
    kept=$(sed -n "s|.*; the finished clip stays in ||p" err.txt | head -n 1)
    [ -z "$kept" ] || { right "$kept" && rm -rf "${kept%/*}" && rmdir out/.attempts; }
    left=$(find out pc \( -name '.attempts' -o -name '*.tmp.*' \) 2>/dev/null)
    [ -z "$left" ] || wrong "$what: left: $(find out pc)"
    # Its own clips, or a damaged embedding, are no hindrance; without a file the next is the first.
    [ -n "$(find out pc -type f 2>/dev/null)" ] || return
    [ $rc -eq 0 ] && cmp -s pc/* whole-pc/* || again
}

# counted CALL: how often it is made
counted() {
    rm -rf out pc
    shimmed LD_PRELOAD="$shim" NTH_BELOW="$dir" NTH_CALL="$1" NTH_COUNT="$dir/count" || wrong "$1 counted: $(cat err.txt)"
    head -n 1 count
}

# each CALL SHARE NAME=VALUE...: one in SHARE of its calls goes wrong, or with TORTURE each
each() {
    call=$1 share=$2
    shift 2
    case " ${KINDS:-$call} " in *" $call "*) ;; *) return ;; esac
    n=$(counted "$call")
    [ "${n:-0}" -gt 0 ] || wrong "$call: none is made"
    [ "${TORTURE:-0}" = 0 ] || share=${STRIDE:-1}
    at=$(((seed + tried) % share + 1))
    [ $at -le "$n" ] || at=1
    while [ $at -le "$n" ]; do
        trial "$call $at of $n, $*" '0|1' NTH_CALL="$call" NTH_AT=$at "$@"
        at=$((at + share))
    done
}

# all_of CALL NAME=VALUE...: all of these calls go so, as often as may be; the render is right
all_of() {
    case " ${KINDS:-$1} " in *" $1 "*) ;; *) return ;; esac
    call=$1
    shift
    [ "$(counted "$call")" -gt 0 ] || wrong "$call: none is made"
    trial "each $call, $*" 0 NTH_CALL="$call" NTH_AT=1 "$@"
}

# in_library PLACE: outside the program, or in what is linked into it: CUDA's runtime
in_library() {
    case $1 in
        rollmill* | "$(basename "$rollmill")"*) addr2line -fe "$rollmill" "0x${1##*+}" | grep -q '^libcudart' ;;
    esac
}

# crashed_elsewhere: in a library, or in code that one has made
crashed_elsewhere() {
    where=$(sed -n 's/^crashed in //p' err.txt)
    [ -n "$where" ] && in_library "$where"
}

# Each place that asks for memory; libraries may abort by themselves (docs/exit-codes.md).
each_place() { # SHARE
    case " ${KINDS:-place} " in *" place "*) ;; *) return ;; esac
    share=$1
    [ "${TORTURE:-0}" = 0 ] || share=${STRIDE:-1}
    counted memory >all.txt
    sed 1d count | cut -d' ' -f1 | sort >places.txt
    awk "NR % $share == $((seed % share))" places.txt >some.txt
    while read -r place; do
        codes='0|1'
        ! in_library "$place" || codes='0|1|134|139'
        trial "memory at $place" "$codes" NTH_SITE="$place"
    done <some.txt
}

some_memory() { # TIMES
    case " ${KINDS:-memory} " in *" memory "*) ;; *) return ;; esac
    n=$(counted memory)
    awk "BEGIN { srand($seed); for (i = 0; i < $1; i++) print int(rand() * $n) + 1 }" >numbers.txt
    while read -r at; do
        trial "memory, call $at of $n" '0|1|134|139' NTH_CALL=memory NTH_AT="$at"
    done <numbers.txt
}

# A signal interrupts each call once, then it is made; each read or write does half of what is left.
for call in open read write cut sync close lock wait; do all_of $call NTH_ERROR=4 NTH_EVERY=2; done
all_of read NTH_SHORT=1 NTH_EVERY=1
all_of write NTH_SHORT=1 NTH_EVERY=1

# What may be over soon, once; what stays, from there on.
each write 15 NTH_ERROR=5
each write 30 NTH_ERROR=28 NTH_LASTING=1
each write 15 NTH_FLIP=1
each read 700 NTH_ERROR=5
each read 1200 NTH_ERROR=5 NTH_LASTING=1
each cut 1 NTH_ERROR=5
each sync 8 NTH_ERROR=5
each sync 16 NTH_ERROR=28 NTH_LASTING=1
each close 20 NTH_ERROR=5
each close 40 NTH_ERROR=28 NTH_LASTING=1
each rename 3 NTH_ERROR=5
each rename 5 NTH_ERROR=28 NTH_LASTING=1
each folder 5 NTH_ERROR=5
each folder 8 NTH_ERROR=28 NTH_LASTING=1
each open 20 NTH_ERROR=24
each open 40 NTH_ERROR=23 NTH_LASTING=1
each look 60 NTH_ERROR=5
each map 8 NTH_ERROR=12
each map 15 NTH_ERROR=12 NTH_LASTING=1
each thread 3 NTH_ERROR=11
each thread 5 NTH_ERROR=11 NTH_LASTING=1
each_place 24
some_memory "$([ "${TORTURE:-0}" = 0 ] && echo 3 || echo "${RANDOM_MEMORY:-2000}")"
echo "$tried renders"
exit $fail
