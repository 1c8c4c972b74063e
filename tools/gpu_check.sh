#!/bin/bash
# gpu_check.sh - on a machine with a card: is what it computes right, and how fast is it.
#
#   tools/gpu_check.sh [PART]      PART: correct, sanitize, bench, or all of them (the default)
#
# Needs a C compiler, make, nvcc and cuDNN; builds with MEDIA=0 MPI=0. A step that fails stops no
# other; all are told again at the end. No step goes on after SECONDS_MAX (570), so that
# each part ends within ten minutes. Where BENCH_PYTHON, or else python3, has a PyTorch that
# sees the card, both are timed in turns. GPU_CHECK=standin runs the same steps at tiny
# shapes on the stand-in of a card: then every speed means nothing and none is told.
set -u
export LC_ALL=C
cd "$(dirname "$0")/.." || exit 1
part=${1:-all}
case $part in
correct | sanitize | bench) ;;
all)
    rc=0
    for one in correct sanitize bench; do "$0" $one || rc=1; done
    exit $rc
    ;;
*) echo "PART is correct, sanitize, bench or all, not $part" >&2 && exit 2 ;;
esac
end=$(($(date +%s) + ${SECONDS_MAX:-570}))
work=build/gpu-check/$part
rm -rf "$work" && mkdir -p "$work" || exit 1
failed=0 steps="" mode=release size=full model_size=1.3b shapes=""

golden=$(for c in tests/golden/*/; do [ -e "${c}case.json" ] && [ "$c" != tests/golden/tokenizer-small/ ] && echo "$c"; done)
six_case=tests/golden/rolling-5-step cases="" full_shapes="3 60 104 2 60 104"
rows="tick vae-block dit.attention-all tick-rank film"

# A stand-in computes on the processor: the least of everything.
if [ "${GPU_CHECK:-}" = standin ]; then
    mode=standin size=tiny model_size=tiny shapes="--products 2000000 --only rmsnorm"
    golden="tests/golden/rolling-one-block tests/golden/rolling-two-blocks tests/golden/text-small"
    six_case=tests/golden/rolling-two-blocks cases=dit.modulate full_shapes="1 2 4 1 1 2" rows="tick tick-rank"
fi
B=build/$mode-bare
rollmill=$B/rollmill

# ---- steps ---------------------------------------------------------------------

note() { # TEXT: for the list at the end
    steps="$steps$1
"
    echo "  $1"
}

# begin NAME LIMIT COMMAND...: beside what follows; its output goes to $work/NAME.log
begin() {
    local name=$1 limit=$2 left=$((end - $(date +%s)))
    shift 2
    [ "$left" -lt "$limit" ] && limit=$left
    if [ "$limit" -lt 2 ]; then
        echo "out of time" >"$work/$name.rc"
        return
    fi
    {
        local from rc
        from=$(date +%s)
        timeout -k 5 "$limit" "$@" >"$work/$name.log" 2>&1 </dev/null
        rc=$?
        echo "$rc $(($(date +%s) - from))" >"$work/$name.tmp"
        mv "$work/$name.tmp" "$work/$name.rc"
    } &
}

# Wait for what was begun, and tell.
collect() { # NAME
    local name=$1 rc took
    while [ ! -e "$work/$name.rc" ]; do sleep 0.1; done
    read -r rc took <"$work/$name.rc"
    if [ "$rc" = out ]; then
        failed=$((failed + 1))
        note "not run  $name: out of time"
        return 1
    fi
    if [ "$rc" = 0 ]; then
        note "ok       $name ($took s)"
        return 0
    fi
    failed=$((failed + 1))
    note "FAIL     $name ($took s), exit $rc, $work/$name.log"
    grep -vE '^[a-z]+ [a-z-]+=' "$work/$name.log" | tail -n 5 | sed 's/^/           /'
    return "$rc"
}

step() { # NAME LIMIT COMMAND...
    begin "$@"
    collect "$1"
}

# The largest relative error that a verify printed.
worst() { awk '$3 ~ /e[+-]/ && $4 + 0 > w { w = $4 + 0 } END { printf "%.2e", w }' "$work/$1.log"; }

# ---- what is there ---------------------------------------------------------------

PATH=$PATH:/usr/local/cuda/bin
if ! command -v nvcc >/dev/null; then
    echo "gpu-check: nvcc is neither in PATH nor in /usr/local/cuda/bin" >&2
    [ $mode = standin ] && exit 77
    exit 1
fi

# Libraries may be there as packages of Python's alone.
python_home() { # HEADER: the folder that has it in include/
    ${BENCH_PYTHON:-python3} -c 'import os, sys, nvidia
print(next(h for p in nvidia.__path__ for d in os.listdir(p) for h in [os.path.join(p, d)]
           if os.path.exists(os.path.join(h, "include", sys.argv[1]))))' "$1" 2>/dev/null
}
find_library() { # VARIABLE HEADER
    [ -n "${!1:-}" ] && return
    echo "#include <$2>" | nvcc -E -x cu - >/dev/null 2>&1 && return
    printf -v "$1" %s "$(python_home "$2")"
    [ -n "${!1}" ] && export "${1?}" && return
    echo "gpu-check: $2 is not found: $1=/folder/with/include/and/lib sets where it is" >&2
    exit 1
}
find_library CUBLAS_HOME cublasLt.h
find_library CUDNN_HOME cudnn.h
step build 280 make --no-print-directory -j"$(nproc)" MODE=$mode MEDIA=0 MPI=0 \
    $rollmill $B/make_model $B/make_case $B/tests/check_kernels || exit 1

if ! "$rollmill" bench --backend cuda --kernels 1 --size tiny dit.modulate >"$work/card.log" 2>&1; then
    echo "gpu-check: no card to check: $(tail -n 1 "$work/card.log")" >&2
    exit 1
fi
card=$(sed -n 's/^backend: cuda-1, [a-z]*, on //p' "$work/card.log")
levels=""
for level in 1 2 3 4; do
    "$rollmill" bench --backend cuda --kernels $level --size tiny dit.modulate >"$work/level.log" 2>&1
    case $? in 2) failed=$((failed + 1)) && note "FAILED   kernels $level: not in this build" ;; *) levels="$levels $level" ;; esac
done

smi() { nvidia-smi --query-gpu="$1" --format=csv,noheader,nounits 2>/dev/null | head -n 1; }

# ---- right? ------------------------------------------------------------------------

# The same clip by six ranks, threads that share the card, and by one: to the bit.
six_as_one() { # NAME CASE VERIFY-OPTIONS...
    local name=$1 case=$2
    shift 2
    "$rollmill" verify "$case" "$@" --determinism strict --ranks 6 --out "$work/$name.six" || echo "six: exit $?"
    "$rollmill" verify "$case" "$@" --determinism strict --ranks 1 --out "$work/$name.one" || echo "one: exit $?"
    cmp "$work/$name.six" "$work/$name.one"
}
export -f six_as_one
export work rollmill

# What level 1 makes of random numbers is what the other levels are held against: the
# oracle in C would take hours at this size. Here it must come to the same once more.
repeats() { # NAME KIND BLOCKS HEIGHT WIDTH
    local name=$1 dir=$work/$1.case
    mkdir -p "$dir"
    ln -sfn "$PWD/$work/$name.model" "$dir/model"
    $B/make_case "$dir" --kind "$2" --blocks "$3" --height "$4" --width "$5" || return 1
    "$rollmill" verify "$dir" --backend cuda --kernels 1 --precision bf16 --out "$work/$name.safetensors" >/dev/null
    mv "$work/$name.safetensors" "$dir/expected.safetensors" || return 1
    "$rollmill" verify "$dir" --backend cuda --kernels 1 --precision bf16
}
export -f repeats
export B

# The checker computes its oracle on the processor, so all levels at once, beside the rest.
begin_levels() {
    local level
    for level in $levels; do
        # shellcheck disable=SC2086 # options
        begin "kernels-$level" 400 $B/tests/check_kernels $shapes --backend cuda-"$level"
    done
}
collect_levels() {
    local level
    for level in $levels; do collect "kernels-$level"; done
}

check_golden() {
    local level precision
    for level in $levels; do
        for precision in f32 bf16; do
            [ "$level" -gt 2 ] && [ $precision = f32 ] && continue # FP8 stands beside bf16
            # shellcheck disable=SC2086 # a list of folders
            step "golden-$level-$precision" 120 "$rollmill" verify $golden --backend cuda --kernels "$level" --precision $precision
            note "         largest relative error $(worst "golden-$level-$precision")"
            step "six-ranks-$level-$precision" 60 bash -c 'six_as_one "$@"' _ "six-$level-$precision" $six_case \
                --backend cuda --kernels "$level" --precision $precision
        done
        step "six-ranks-batch-$level" 60 "$rollmill" verify $six_case --backend cuda --kernels "$level" --precision bf16 \
            --determinism batch --ranks 6
    done
}

check_sanitizer() {
    local level tool
    [ $mode = standin ] && note "not run  the stand-in is built with sanitizers of its own" && return
    if ! command -v compute-sanitizer >/dev/null; then
        failed=$((failed + 1))
        note "not run  compute-sanitizer is not installed"
        return
    fi
    for level in $levels; do
        for tool in memcheck racecheck; do
            begin "$tool-$level" 500 compute-sanitizer --tool $tool --error-exitcode 9 --print-limit 10 \
                $B/tests/check_kernels --products 2000000 --backend cuda-"$level"
        done
    done
    for level in $levels; do
        for tool in memcheck racecheck; do collect "$tool-$level"; done
    done
}

check_full_size() {
    local level
    mkdir -p "$work/rolling.model" "$work/vae.model"
    # shellcheck disable=SC2086 # six numbers
    set -- $full_shapes
    step full-models 60 bash -c "$B/make_model $work/rolling.model --size $model_size --layers 2 --dtype bf16 --only dit &&
        $B/make_model $work/vae.model --size $model_size --only vae" || return
    step full-rolling-repeats 150 bash -c 'repeats "$@"' _ rolling rolling "$1" "$2" "$3"
    step full-vae-repeats 150 bash -c 'repeats "$@"' _ vae vae "$4" "$5" "$6"
    for level in $levels; do
        [ "$level" = 1 ] && continue
        for kind in rolling vae; do
            step "full-$kind-$level" 60 "$rollmill" verify "$work/$kind.case" --backend cuda --kernels "$level" --precision bf16
            note "         largest relative error $(worst "full-$kind-$level")"
        done
        step "full-six-ranks-$level" 90 bash -c 'six_as_one "$@"' _ "full-six-$level" "$work/rolling.case" \
            --backend cuda --kernels "$level" --precision bf16
        step "full-heads-fp8-$level" 90 "$rollmill" verify "$work/rolling.case" --backend cuda --kernels "$level" --precision bf16 \
            --ranks 2 --exchange heads --wire fp8
    done
}

# ---- how fast? ---------------------------------------------------------------------

ours() { # NAME LIMIT LEVEL CASE...: two rounds; each figure is a median of several runs
    local name=$1 limit=$2 level=$3 round
    shift 3
    for round in 1 2; do
        step "$name-$round" "$limit" "$rollmill" bench --backend cuda --kernels "$level" --size $size --precision bf16 \
            --model "$work/model" --json "$@"
        grep '^{' "$work/$name-$round.log" >>"$work/$name.json"
    done
}

find_python() {
    local p
    for p in ${BENCH_PYTHON:-python3}; do
        "$p" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null && echo "$p" && return
    done
}

watch_clock() { # the card's clock while it works, MHz
    command -v nvidia-smi >/dev/null && exec nvidia-smi --query-gpu=clocks.sm,power.draw --format=csv,noheader,nounits -lms 500 \
        >"$work/clock.txt" 2>/dev/null
}

measure() {
    local best python
    best=$(echo "$levels" | tr ' ' '\n' | grep -E '^[12]$' | tail -n 1)
    step model 150 bash -c "$B/make_model $work/model --size $model_size --dtype bf16 --only dit &&
        $B/make_model $work/model --size $model_size --only vae" || return
    watch_clock &
    local watcher=$!
    # shellcheck disable=SC2086 # a list of names
    ours bf16 150 "$best" $rows
    case $levels in *3*) ours fp8 100 3 tick dit.attention-all vae-block ;; esac
    case $levels in *4*) ours fp8-attention 100 4 tick dit.attention-all ;; esac
    python=$(find_python)
    if [ -n "$python" ]; then
        step pytorch 200 "$python" tools/bench_torch.py "$rollmill" --device cuda --kernels "$best" --size $size --precision bf16 \
            --rounds 3 --model "$work/model" --json "$work/pytorch.json" tick vae-block dit.attention-all dit.layer
        sed -n '1,/^$/p' "$work/pytorch.log"
    else note "not run  PyTorch: no Python has one that sees the card; BENCH_PYTHON=/path/to/python"; fi
    # shellcheck disable=SC2086 # a list of names, or none: all of them
    step cases 90 "$rollmill" bench --backend cuda --kernels "$best" --size $size --precision bf16 $cases
    kill $watcher 2>/dev/null
    wait $watcher 2>/dev/null
}

# ---- the table -----------------------------------------------------------------------

table() {
    echo
    echo "card $card, highest clock $(smi clocks.max.sm) MHz, while it worked $(awk -F, '{ v[NR] = $1 } END { print v[int(NR / 2) + 1] }' \
        <(sort -n "$work/clock.txt" 2>/dev/null)) MHz (median), power limit $(smi power.limit) W, driver $(smi driver_version)"
    echo "commit $("$rollmill" --version | sed 's/.*commit //'), $(nvcc --version | sed -n 's/.*release //p'), $(date -u +%F)"
    echo
    if [ $mode = standin ]; then
        echo "a stand-in of a card: every figure is left out"
        return
    fi
    tools/gpu_table.sh "$work" || failed=$((failed + $?))
}

case $part in
correct)
    begin_levels
    check_golden
    check_full_size
    collect_levels
    ;;
sanitize) check_sanitizer ;;
bench)
    measure
    table
    ;;
esac
echo
printf '%s' "$steps" | sed 's/^/  /'
echo "gpu-check $part on $card: $failed failed"
[ $failed = 0 ]
