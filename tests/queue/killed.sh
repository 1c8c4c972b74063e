#!/bin/bash
# killed.sh - a world is killed in front of every call that changes a file, its queue's file too:
# before and behind each step of a claim, of a clip and of its report. Then another world comes, and
# an audit: the clip is done, once, its bytes right, nothing is left over. What a kill had left is
# told by what was there, and each such state must have been met.
#
# STRIDE=N: one call in N. On the store of QUEUE_TEST_URL, else on SQLite.
. "$(dirname "$0")/../cli/world.sh"
die_at=$(realpath "$top/${SHIMS:-build/release}/die_at.so") || exit 1
export ROLLMILL_QUEUE=${QUEUE_TEST_URL:-sqlite:q.db}
work() { "$rollmill" work --no-prompt-cache --backend cpu --threads 1; }
task_of() { sed -n 's/.*"task_id": "\(.*\)".*/\1/p' "$1/clip.json"; }

job clip.yaml clip 2s 'run: {checkpoint: 0.75s, retries: {backoff: 0s}}
output: {dir: out, formats: [{file: master.mkv, codec: ffv1}]}'
sed -i 's/64x48/32x32/' clip.yaml
sed 's/dir: out/dir: alone/' clip.yaml >alone.yaml
render alone.yaml >/dev/null 2>&1 || exit 1
[ -n "${QUEUE_TEST_URL:-}" ] || "$rollmill" queue make >/dev/null || exit 1

# What stands of clip N, in one word.
state_left() {
    local state
    state=$("$rollmill" queue status --json "clip$1" | sed -n 's/.*"state": "\(.*\)".*/\1/p' | tail -n 1)
    if [ -e "out$1/clip" ]; then echo "$state-folder"
    elif ls "out$1"/.attempts/*/clip/clip.json >/dev/null 2>&1; then echo "$state-written"
    elif ls "out$1"/.attempts/*/owner >/dev/null 2>&1; then echo "$state-begun"
    else echo "$state-nothing"; fi
}

submit() {
    sed "s/name: clip/name: clip$1/; s/dir: out/dir: out$1, name: clip/" clip.yaml >one.yaml
    "$rollmill" submit one.yaml >/dev/null || wrong "submit clip$1"
}

submit 0
DIE_COUNT=$dir/count LD_PRELOAD=$die_at work >out.txt 2>&1 || wrong "a world: $(tail -n 3 out.txt)"
calls=$(cat count)
[ "$calls" -gt 100 ] || wrong "only $calls calls change a file"
declare -A met
at=1 kills=0
while [ $at -le "$calls" ]; do
    submit $at
    DIE_AT=$at LD_PRELOAD=$die_at work >killed.txt 2>&1
    [ $? = 137 ] && kills=$((kills + 1)) && left=$(state_left $at) && met[$left]=$((${met[$left]:-0} + 1))
    work >out.txt 2>&1 || wrong "behind call $at ($left): $(tail -n 3 out.txt)"
    [ "$(state_left $at)" = done-folder ] || wrong "behind call $at ($left): $(state_left $at)"
    cmp -s "out$at/clip/master.mkv" alone/clip/master.mkv || wrong "behind call $at ($left): other bytes"
    [ "$(task_of "out$at/clip")" = "$(task_of alone/clip)" ] || wrong "behind call $at: another task"
    "$rollmill" queue clean >/dev/null || wrong "clean behind call $at"
    # Killed before it could say whose it is, or when all else was removed: nobody may judge that.
    [ -n "$(find "out$at" -path '*/.attempts/*' -type f ! -name 'owner*')" ] || "$rollmill" sweep --all "out$at" >/dev/null
    [ "$(ls -A "out$at")" = clip ] || wrong "behind call $at ($left): left over: $(find "out$at")"
    at=$((at + ${STRIDE:-1}))
done
for left in "${!met[@]}"; do echo "${met[$left]} kills left $left"; done
for left in ready-nothing running-nothing running-begun running-written running-folder done-folder; do
    [ "${met[$left]:-0}" -gt 0 ] || [ "${STRIDE:-1}" -gt 1 ] || wrong "no kill left $left"
done
echo "$kills kills at $calls calls"
exit $fail
