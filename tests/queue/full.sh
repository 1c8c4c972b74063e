#!/bin/bash
# full.sh - the disk of a PostgreSQL server is full, its log too, until the server ends: a world renders
# what it holds; with room again, and the server started, every clip is done, once, by one attempt.
# The disk: a tmpfs of the test's own. Skipped where none can be mounted.
. "$(dirname "$0")/../cli/world.sh"
SIZE=32x16 # many renders
server() { "$top/tests/queue/postgres.sh" "$@"; }
pg=$(mktemp -d /tmp/pg.XXXXXX) busy=''
mount -t tmpfs -o size=160m none "$pg" 2>/dev/null ||
    { rmdir "$pg" && echo "no tmpfs can be mounted here: a full disk is not tested" && exit 77; }
# shellcheck disable=SC2086 # a number, or nothing
at_end() { kill -9 $busy 2>/dev/null; server down "$pg" 2>/dev/null; umount -l "$pg"; rm -rf "$pg" "$dir"; }
trap at_end EXIT
ROLLMILL_QUEUE=$(FSYNC=on server start "$pg")
rc=$?
[ $rc != 77 ] || { echo "$ROLLMILL_QUEUE" && exit 77; }
[ $rc = 0 ] || { echo "no server: $ROLLMILL_QUEUE" && exit 1; }
export ROLLMILL_QUEUE

clips=12
job many.yaml many 6s 'output: {dir: out}
sweep: {axes: {seed: {range: "0-11"}}}'
"$rollmill" queue make >/dev/null || wrong "queue make"
"$rollmill" submit many.yaml >/dev/null || wrong submit
folders() { find out -mindepth 1 -maxdepth 1 -not -name '.*' 2>/dev/null | wc -l; }
are_there() { [ "$(folders)" -ge "$1" ]; }
"$rollmill" work --no-prompt-cache --backend cpu --threads 1 --ahead 4 --lease 900 >world.log 2>&1 &
busy=$!
await are_there 1
kill -STOP $busy # while it holds enough
there=$(folders)
dd if=/dev/zero of="$pg/ballast" bs=64k 2>/dev/null
[ "$(df --output=avail "$pg" | tail -n 1 | tr -d " ")" = 0 ] || wrong "there is room: $(df "$pg")"
for _ in $(seq 20); do # what was set aside for the log is used up
    psql -qAtX -c 'SELECT pg_logical_emit_message(false, $$x$$, repeat($$x$$, 1000000)), pg_switch_wal()' "$ROLLMILL_QUEUE" >said.txt 2>&1 || break
done
grep -q 'No space left on device' "$pg/log" || wrong "the server has room: $(cat said.txt; tail -n 3 "$pg/log")"
"$rollmill" queue status >said.txt 2>&1
rc=$?
[ $rc = 0 ] || [ $rc = 2 ] || wrong "status: $rc: $(cat said.txt)"
kill -CONT $busy
says() { grep -q 'queue: no answer' world.log; }
await says
says || wrong "the world does not say so: $(tail -n 3 world.log)"
await are_there $((there + 3))
are_there $((there + 3)) || wrong "nothing more was made: $(tail -n 3 world.log)"
rm "$pg/ballast"
server restart "$pg" || wrong "no server again: $(tail -n 5 "$pg/log")"
wait $busy || wrong "the world ended with $?: $(tail -n 5 world.log)"
busy=''
[ "$("$rollmill" queue status --json many | grep -c '"state": "done"')" = $clips ] || wrong "done: $("$rollmill" queue status many)"
[ "$(folders)" = $clips ] || wrong "folders: $(ls out)"
[ -z "$(find out -path '*/.attempts/*')" ] || wrong "left: $(find out/.attempts)"
"$rollmill" verify out/many-* >verify.txt 2>&1 || wrong "verify: $(cat verify.txt)"
for n in $(seq 0 $((clips - 1))); do
    [ "$("$rollmill" queue log --json "many/$n" | grep -c '"attempt"')" = 1 ] || wrong "clip $n was tried more than once"
done
exit $fail
