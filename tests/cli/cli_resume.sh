#!/bin/sh
# cli_resume.sh - a clip that is killed anywhere goes on from its last checkpoint, on any number
# of ranks, and ends as the same files to the byte. DIE_AT kills in front of the n-th call that
# changes a file (tests/shim/die_at.c), so each state that a kill can leave is met on purpose.
#
# TORTURE=1: at every such call up to the end of the clip, and at 40 random moments.
. "$(dirname "$0")/world.sh"
SIZE=32x16 # many renders
die_at=$(realpath "$top/${SHIMS:-build/release}/die_at.so") || exit 1
files='clip.mp4 master.mkv latents.safetensors contact.png'

job whole.yaml clip 15s 'run: {checkpoint: 1.5s}
output:
  dir: whole
  formats:
    - {file: clip.mp4, codec: h264, preset: ultrafast}
    - {file: master.mkv, codec: ffv1, pix: yuv420p10}
  latents: {file: latents.safetensors, dtype: bf16}
  preview: {file: contact.png, columns: 3}'
DIE_COUNT=$dir/count LD_PRELOAD=$die_at render whole.yaml 2>err.txt || wrong "the whole clip: $(cat err.txt)"
calls=$(cat count)
[ "$calls" -gt 500 ] || wrong "only $calls calls change a file"

# same NAME: the clip there is the whole one, and nothing is left beside it
same() {
    for file in $files; do
        cmp -s "whole/clip/$file" "$1/clip/$file" || wrong "$1: $file differs"
    done
    for key in pictures_sha256 planes_sha256 keyframes motion_mean; do
        [ "$(grep "\"$key\"" whole/clip/clip.json)" = "$(grep "\"$key\"" "$1/clip/clip.json")" ] ||
            wrong "$1: clip.json has another $key"
    done
}
resumed_from() { sed -n 's/.*"resumed_from": \([0-9]*\).*/\1/p' "$1/clip/clip.json"; }

# Left at one call and, where a third number is given, at another one by the attempt that goes on.
furthest=0 n=0
left_at() {
    n=$((n + 1))
    ranks=$1
    sed "s|dir: whole|dir: k$n|" whole.yaml >k.yaml
    shift
    for at in "$@"; do
        DIE_AT=$at LD_PRELOAD=$die_at "$rollmill" render --no-prompt-cache k.yaml >out.txt 2>&1
    done
    render k.yaml --ranks $ranks --ranks-per-line $ranks >out.txt 2>&1 ||
        wrong "left at $*, on $ranks ranks: $(tail -n 3 out.txt)"
    same k$n
    from=$(resumed_from k$n)
    [ "${from:-0}" -gt $furthest ] && furthest=$from
    rm -rf k$n
}

if [ "${TORTURE:-0}" = 1 ]; then
    at=1
    while [ $at -le "$calls" ]; do
        for ranks in 1 2 3 6; do
            left_at $ranks $at
            at=$((at + 1))
        done
    done
    i=0
    while [ $i -lt 40 ]; do
        i=$((i + 1))
        sed "s|dir: whole|dir: random$i|" whole.yaml >r.yaml
        "$rollmill" render --no-prompt-cache r.yaml >out.txt 2>&1 &
        pid=$!
        sleep "$(awk "BEGIN { srand($i); print rand() * ${SPAN:-6} }")"
        kill -KILL $pid 2>/dev/null
        wait $pid 2>/dev/null
        render r.yaml --ranks $((i % 3 + 1)) >out.txt 2>&1 || wrong "random $i: $(tail -n 3 out.txt)"
        same random$i
        rm -rf random$i
    done
else
    left_at 1 $((calls * 25 / 100))
    left_at 2 $((calls * 40 / 100)) $((calls * 30 / 100))
    left_at 3 $((calls * 55 / 100))
    left_at 6 $((calls * 80 / 100))
fi
[ $furthest -gt 14 ] || wrong "no clip went on so late that its decoder had to be warmed: $furthest"

# Another numeric class begins the clip anew, and says so; so does --no-resume.
sed "s|dir: whole|dir: class|" whole.yaml >class.yaml
DIE_AT=$((calls * 40 / 100)) LD_PRELOAD=$die_at "$rollmill" render --no-prompt-cache class.yaml >out.txt 2>&1
expect 0 'starts over; its checkpoints cannot be resumed' render class.yaml --wire fp8
grep -q "\`mode strict\` there, \`mode strict, keys and values in fp8\` now" err.txt ||
    wrong "another class is not named: $(grep 'starts over' err.txt)"
[ "$(resumed_from class)" = 0 ] || wrong "a clip of another class was gone on with"
rm -rf class
DIE_AT=$((calls * 40 / 100)) LD_PRELOAD=$die_at "$rollmill" render --no-prompt-cache class.yaml >out.txt 2>&1
render class.yaml --no-resume 2>err.txt || wrong "--no-resume: $(cat err.txt)"
[ "$(resumed_from class)" = 0 ] || wrong "--no-resume went on"
same class

# Block by block there is no window to keep, but what a policy has chosen: so early that it chooses
# in most blocks.
while read -r name ranks window; do
    sed "s/kind: rolling, attention_frames: 21, sink_frames: 3/kind: block, $window/" model/card.yaml >"model/$name.yaml"
    sed -e "s|dir: whole|dir: $name|" -e "s|model/card|model/$name|" -e 's|length: 15s|length: 6s|' whole.yaml >"$name.yaml"
    DIE_COUNT=$dir/count LD_PRELOAD=$die_at render "$name.yaml" 2>err.txt || wrong "$name: $(cat err.txt)"
    sed "s|dir: $name|dir: stopped|" "$name.yaml" >stopped.yaml
    DIE_AT=$(($(cat count) * 3 / 4)) LD_PRELOAD=$die_at "$rollmill" render --no-prompt-cache stopped.yaml >out.txt 2>&1
    touch model/*.pth model/*.pt # other dates, as on another machine: the bytes are the same
    expect 0 'resumes after block' render stopped.yaml --ranks "$ranks" --ranks-per-line "$ranks"
    [ "$(resumed_from stopped)" -ge 4 ] || wrong "$name: goes on from block $(resumed_from stopped)"
    for file in $files; do
        cmp -s "$name/clip/$file" "stopped/clip/$file" || wrong "$name: $file differs"
    done
    rm -r stopped
    [ "$name" = relax-forcing ] || continue
    # Numbers that nobody can have chosen, with a checksum that is right: the clip begins anew.
    DIE_AT=$(($(cat count) * 3 / 4)) LD_PRELOAD=$die_at "$rollmill" render --no-prompt-cache stopped.yaml >out.txt 2>&1
    python3 - stopped/.attempts/*/latents <<'END' || wrong "no records"
import hashlib, struct, sys
data, at = bytearray(open(sys.argv[1], "rb").read()), 0
while at + 88 <= len(data): # head: name, number, length, SHA-256; see base/journal.h
    number, size = struct.unpack_from("=qq", data, at + 8)
    if number == 3: struct.pack_into("=i", data, at + 88 + size - 4, 1 << 30)
    text = data[at:at + 24] + data[at + 88:at + 88 + size]
    data[at + 24:at + 88] = hashlib.sha256(text).hexdigest().encode()
    at += 88 + size
open(sys.argv[1], "wb").write(data)
sys.exit(at == 0)
END
    expect 0 'starts over; its checkpoints cannot be resumed' render stopped.yaml
    grep -q 'block 3: cache: 1073741824 was chosen;' err.txt || wrong "$name: a forged choice: $(cat err.txt)"
    cmp -s "$name/clip/master.mkv" stopped/clip/master.mkv || wrong "$name: behind a forged choice: other pictures"
done <<'TABLE'
deep-forcing 2 attention_frames: 12, sink_frames: 3, policy: deep-forcing, budget_frames: 9
echo-forcing 3 attention_frames: 12, sink_frames: 3, policy: echo-forcing, history_frames: 9, calibration_frames: 9
relax-forcing 1 attention_frames: 7, sink_frames: 2, policy: relax-forcing, reservoir_frames: 12
TABLE

# A stop leaves its checkpoints too.
sed -e "s|dir: whole|dir: asked|" -e 's|length: 15s|length: 4m|' whole.yaml >asked.yaml
env --default-signal=TERM "$rollmill" render asked.yaml --no-prompt-cache >out.txt 2>err.txt &
pid=$!
snapshot_there() { ls asked/.attempts/*/snapshot.* >/dev/null 2>&1; }
await snapshot_there
kill -TERM $pid
wait $pid
rc=$?
[ $rc -eq 75 ] || wrong "stopped: exit $rc, wanted 75"
snapshot_there || wrong "a stop left no checkpoint"

# A render that goes on from it keeps it from `sweep --all`, as long as it lives.
env --default-signal=TERM "$rollmill" render asked.yaml --no-prompt-cache >out.txt 2>err.txt &
pid=$!
goes_on() { grep -q 'resumes after block' err.txt; }
await goes_on
from=$(sed -n 's/.*resumes after.* from //p' err.txt)
"$rollmill" sweep --all asked >out.txt || wrong "a sweep beside a render: exit $?"
kill -TERM $pid
wait $pid
[ -d "$from" ] || grep -q ' 0 attempts removed' out.txt || wrong "what a render goes on from was removed: $(cat out.txt)"
"$rollmill" sweep --all asked >out.txt || wrong "a sweep behind a render: exit $?"
[ -e asked/.attempts ] && wrong "a dead render's attempts stay: $(cat out.txt)"
exit $fail
