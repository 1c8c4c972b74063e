#!/bin/sh
# cli_power.sh - the power goes: whatever the disk has of what was not synced, a clip that is there is
# whole, one that was told is there, a render goes on from the checkpoint that it has told, and the
# next render makes the clip.
#
# The calls of a render are recorded (strace), and tests/power/replay.py says what each of them may leave.
# In STATES (1; TORTURE=1: 100) of these a render begins. SEED: of what is random.
. "$(dirname "$0")/world.sh"
command -v strace >/dev/null && command -v python3 >/dev/null || { echo "no strace, or no python3" && exit 77; }
strace -o trace true 2>/dev/null || { echo "strace is not allowed to trace here" && exit 77; }
die_at=$(realpath "$top/${SHIMS:-build/release}/die_at.so") || exit 1
replay=$top/tests/power/replay.py
calls=$(python3 "$replay" --calls)
[ "${TORTURE:-0}" = 0 ] || STATES=${STATES:-100}
export ROLLMILL_LOG=info

job whole.yaml clip 2s 'run: {checkpoint: 0.5s}
output:
  dir: whole
  formats:
    - {file: clip.mp4, codec: h264, preset: ultrafast}
  latents: {file: latents.safetensors, dtype: bf16}
  preview: {file: contact.png, columns: 3}'
DIE_COUNT=$dir/count LD_PRELOAD=$die_at render whole.yaml --threads 1 2>err.txt || wrong "the whole clip: $(cat err.txt)"

# same FOLDER: the clip there is the whole one
same() {
    for file in clip.mp4 latents.safetensors contact.png; do
        cmp -s "whole/clip/$file" "$1/clip/$file" || wrong "$1: $file differs"
    done
    "$rollmill" verify "$1/clip" >found.txt 2>&1 || wrong "$1: $(cat found.txt)"
}

# record NAME [OPTION...]: a render in NAME/, of which there is a copy from before
record() {
    name=$1
    shift
    mkdir -p "$name"
    sed "s|dir: whole|dir: $name/new/out|" whole.yaml >job.yaml
    rm -rf "$name.before" && cp -a "$name" "$name.before"
    strace -f -xx -s 100000000 -e "trace=$calls" -o "$name.trace" "$rollmill" render job.yaml --threads 1 \
        --prompt-cache "$name/pc" "$@" >out.txt 2>err.txt
}

# after_cut NAME: every state is looked at, and in some of them a render begins
after_cut() {
    mkdir cut
    python3 "$replay" "$1" "$1.before" "$1.trace" new/out/clip --seed "${SEED:-1}" --states "${STATES:-1}" \
        --into cut >found.txt || wrong "$1: $(cat found.txt)"
    echo "$1: $(head -n 1 found.txt)"
    for state in cut/*.what; do
        at=${state%.what}
        what="$1, $(cat "$state")"
        sed "s|dir: whole|dir: $at/new/out|" whole.yaml >job.yaml
        "$rollmill" render job.yaml --threads 1 --prompt-cache "$at/pc" 2>err.txt || wrong "$what: exit $?: $(cat err.txt)"
        same "$at/new/out"
        "$rollmill" sweep --all "$at/new/out" >found.txt 2>&1 || wrong "$what: sweep: $(cat found.txt)"
        left=$(ls -A "$at/new/out")
        [ "$left" = clip ] || wrong "$what: left: $left"
    done
    rm -rf cut
}

record fresh || wrong "fresh: $(cat err.txt)"
same fresh/new/out
after_cut fresh

# Killed in the middle, and gone on with.
sed "s|dir: whole|dir: resumed/new/out|" whole.yaml >job.yaml
DIE_AT=$(($(cat count) * 35 / 100)) LD_PRELOAD=$die_at "$rollmill" render job.yaml --threads 1 --no-prompt-cache >out.txt 2>&1
record resumed || wrong "resumed: $(cat err.txt)"
grep -q 'resumes after block 1 of 3' err.txt || wrong "resumed: started over: $(cat err.txt)"
same resumed/new/out
after_cut resumed
exit $fail
