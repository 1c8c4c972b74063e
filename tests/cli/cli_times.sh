#!/bin/sh
# cli_times.sh - what run.timeouts and run.grace end: a clip that takes too long or stands still
# alone, a world that a stop finds at a disk which does not answer.
. "$(dirname "$0")/world.sh"
shim=$(realpath "$top/${SHIMS:-build/release}/shim_nth.so") || exit 1
export ROLLMILL_QUEUE="sqlite:$dir/q.db" XDG_CACHE_HOME="$dir/cache"

# A clip that takes longer than it may fails alone; the next one of the line is made.
job long.yaml long 2h 'output: {dir: out}
run: {timeouts: {clip: 1s}}'
job short.yaml short 1s 'output: {dir: out}
run: {timeouts: {clip: 1h, stall: 1h}}
priority: 10'
expect 1 'run.timeouts.clip: not done after 1 s, at block ' render long.yaml short.yaml
[ -s out/short/clip.mp4 ] || wrong "the other clip: $(cat err.txt)"
[ ! -e out/long ] && [ -z "$(ls -A out/.attempts 2>/dev/null)" ] || wrong "something of the long one is left"
"$rollmill" submit long.yaml >/dev/null || wrong "submit"
sed -i 's/1s}}/1s}, retries: {error: 0}}/; s/name: long/name: long2/' long.yaml
"$rollmill" submit long.yaml >/dev/null || wrong "submit"
"$rollmill" queue cancel long >/dev/null
"$rollmill" work >work.txt 2>&1 || wrong "work: $(tail -n 3 work.txt)"
"$rollmill" queue log long2/0 | grep -q 'error.*run.timeouts.clip: ' || wrong "log: $("$rollmill" queue log long2/0)"
"$rollmill" queue status long2/0 | grep -q ' failed ' || wrong "status: $("$rollmill" queue status long2/0)"

# hung NAME COMMAND...: in the background, with a disk that takes nothing of this file's packets
hung() {
    name=$1
    shift
    LD_PRELOAD="$shim" NTH_BELOW="$dir" NTH_CALL=write NTH_FILE="$name.packets" NTH_AT=1 NTH_HANGS=1 \
        timeout -k 5 100 "$@" >err.txt 2>&1 &
    pid=$!
}
rendering() { [ -n "$(find "$dir/$1/.attempts" -name '*.packets' 2>/dev/null)" ]; }

# No block for too long: the clip has failed by the time that the world ends. (Time enough for a
# busy machine to come to the hanging disk at all.)
job still.yaml still 20s 'output: {dir: still}
run: {timeouts: {stall: 15s}}'
hung clip.mp4 "$rollmill" render --no-prompt-cache --deadline 20 --stall 20 --events events.txt still.yaml
wait $pid
rc=$?
[ $rc -eq 71 ] || wrong "still: exit $rc: $(cat err.txt)"
grep -q '"event":"clip_failed".*run.timeouts.stall: no block for 15 s' events.txt || wrong "still: $(cat events.txt)"

# paused SECONDS COMMAND...: in the background, with a disk that takes this file's packets so much later
paused() {
    seconds=$1
    shift
    LD_PRELOAD="$shim" NTH_BELOW="$dir" NTH_CALL=write NTH_FILE=clip.mp4.packets NTH_AT=1 NTH_PAUSES="$seconds" \
        timeout -k 5 100 "$@" >err.txt 2>&1 &
    pid=$!
}

# A clip of which all blocks have left the line when it is given up is not made after all.
job late.yaml late 2s 'output: {dir: late}
run: {checkpoint: 0s, timeouts: {stall: 2s}}'
paused 8 "$rollmill" render --no-prompt-cache late.yaml
wait $pid
rc=$?
[ $rc -eq 1 ] || wrong "late: exit $rc: $(cat err.txt)"
grep -q 'not made: .*late.*run.timeouts.stall: no block for 2 s' err.txt || wrong "late: $(cat err.txt)"
[ ! -e late/late ] && [ -z "$(ls -A late/.attempts 2>/dev/null)" ] || wrong "late: $(find late)"

# A stop does not wait longer than it may for a clip that was given up.
job both.yaml both 20s 'output: {dir: both}
run: {grace: 2s, timeouts: {stall: 15s}}'
hung clip.mp4 "$rollmill" render --no-prompt-cache both.yaml
await grep -q 'clip both failed: run.timeouts.stall' err.txt
kill -USR1 "$(cat /proc/$pid/task/$pid/children)"
wait $pid
rc=$?
[ $rc -eq 75 ] || wrong "both: exit $rc: $(cat err.txt)"

# A stop does not wait longer than it may: of a render, and of a world that hands its clip back.
job grace.yaml grace 20s 'output: {dir: grace}
run: {grace: 2s}'
hung clip.mp4 "$rollmill" render --no-prompt-cache grace.yaml
await rendering grace
kill -USR1 "$(cat /proc/$pid/task/$pid/children)"
wait $pid
rc=$?
[ $rc -eq 75 ] || wrong "grace: exit $rc: $(cat err.txt)"
grep -q 'have had their run.grace' err.txt || wrong "grace: $(cat err.txt)"
rm -rf grace
"$rollmill" submit grace.yaml >/dev/null || wrong "submit"
hung clip.mp4 "$rollmill" work
await rendering grace
kill -USR1 "$(cat /proc/$pid/task/$pid/children)"
wait $pid
rc=$?
[ $rc -eq 75 ] || wrong "work: exit $rc: $(cat err.txt)"
grep -q 'longer ago than run.grace; its clips are handed back' err.txt || wrong "work: $(cat err.txt)"
"$rollmill" queue status grace/0 | grep -q ' ready ' || wrong "work: $("$rollmill" queue status grace/0)"
"$rollmill" queue log grace/0 | grep -q preempt || wrong "work: $("$rollmill" queue log grace/0)"
exit $fail
