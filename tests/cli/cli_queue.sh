#!/bin/bash
# cli_queue.sh - the queue with the real program: jobs submitted while two worlds work on them, one
# killed, one stopped, then an audit. On the store of QUEUE_TEST_URL, else on SQLite.
. "$(dirname "$0")/world.sh"
export ROLLMILL_QUEUE=${QUEUE_TEST_URL:-sqlite:q.db}
shim=$(realpath "$top/${SHIMS:-build/release}/shim_nth.so") || exit 1

queue() { "$rollmill" queue "$@"; }
calm=(--no-prompt-cache --backend cpu --threads 1)
work() { "$rollmill" work "${calm[@]}" "$@"; }

# says WORDS COMMAND...: exit 0 and these words on stdout
says() {
    words=$1
    shift
    said=$("$@" 2>err.txt) || wrong "$*: $(cat err.txt)"
    case $said in *"$words"*) ;; *) wrong "$*: no \`$words\` in: $said" ;; esac
}

# clips STATE: how many of all jobs are in it, as the jobs count them
clips() { queue status --json | python3 -c "import json, sys; print(sum(j['$1'] for j in json.load(sys.stdin)['jobs']))"; }
clips_are() { [ "$(clips "$1")" -ge "$2" ]; }

formats='output: {dir: out, formats: [{file: master.mkv, codec: ffv1}]}'
job one.yaml one 1s "$formats"

# What is refused, and how.
expect 2 'there is no queue' "$rollmill" queue status --queue sqlite:none.db
expect 2 'allowed: sqlite:PATH or postgresql://' "$rollmill" queue status --queue mysql://x
expect 2 'proc' "$rollmill" queue status --queue sqlite:/proc/version
expect 2 '--queue holds a password' "$rollmill" queue status --queue postgresql://me:secret@nowhere/db
expect 2 'queue needs a command' "$rollmill" queue
expect 2 'no such word' "$rollmill" queue remake
expect 2 'usage: rollmill queue hold JOB...' "$rollmill" queue hold
expect 2 'submit needs at least one JOB.yaml' "$rollmill" submit
expect 2 'work takes no jobs' "$rollmill" work one.yaml
expect 2 '--until soon' "$rollmill" work --until soon
queue make >/dev/null || wrong "no queue"
says 'of version 2' queue upgrade
says 'no jobs' queue status
expect 2 'no such job' "$rollmill" queue hold one
expect 2 'after: there is no job none' sh -c "echo 'after: none' | cat one.yaml - >after.yaml; '$rollmill' submit after.yaml"

# Orders.
says 'one-' "$rollmill" submit --hold one.yaml
says 'in the queue already' "$rollmill" submit one.yaml
says 'held' queue status
says 'priority' queue priority 90 one
says '"priority": 90' queue status --json
expect 2 'a whole number from 0 to 100' "$rollmill" queue priority 101 one
says 'cancel' queue cancel one/0
says 'canceled' queue status one
says 'retry' queue retry 'o*'
says 'release' queue release one
says 'nothing to do' queue release one
expect 2 'discard is for clips' "$rollmill" queue discard one
says 'priority 90 by' queue log one

# A card that has changed since is no clip of this job.
cp model/card.yaml card.yaml
sed 's/seed: 5/seed: 6/; s/name: one/name: other/' one.yaml >other.yaml
says 'other-' "$rollmill" submit other.yaml
sed -i 's/shift: .*/shift: 4/' model/card.yaml
expect 0 'submit it again' work
mv card.yaml model/card.yaml
says 'failed' queue status other/0
says 'spec' queue log other/0
queue cancel one >/dev/null

# A clip with given blocks, from a queue of its own.
ffmpeg -v error -y -f lavfi -i testsrc=size=96x80:rate=16:duration=2 -pix_fmt yuv420p source.mp4
job begins.yaml begins 2s 'start: {video: source.mp4, last: 1s, force: true}
output: {dir: begins}'
"$rollmill" submit begins.yaml --queue sqlite:begins.db >/dev/null || wrong 'submit with a start'
expect 0 '' work --queue sqlite:begins.db
says ' done ' queue status begins/0 --queue sqlite:begins.db

# A job that asks for numerics has them, whatever a world was told.
job asks.yaml asks 9f 'numerics: {wire: fp8}
output: {dir: asks}'
job open.yaml open 9f 'output: {dir: asks}'
"$rollmill" submit asks.yaml open.yaml --queue sqlite:asks.db >/dev/null || wrong 'submit with numerics'
expect 0 '2 clips made' work --queue sqlite:asks.db --wire act
grep -q '"wire": "fp8"' asks/asks/clip.json && grep -q '"wire": "act"' asks/open/clip.json ||
    wrong "a job's numerics: not its own"

# A clip whose kernels no machine here can have fails, and keeps the world from nothing else.
sed 's/wire: fp8/kernels: 3/; s/name: asks/name: card/' asks.yaml >card.yaml
sed 's/name: open/name: plain/' open.yaml >plain.yaml
"$rollmill" submit card.yaml plain.yaml --queue sqlite:card.db >/dev/null || wrong 'submit with kernels of a card'
queue priority 90 card --queue sqlite:card.db >/dev/null
refusal='not on this machine: numerics.kernels: 3 is of the cuda backend'
expect 0 "$refusal" work --queue sqlite:card.db
says ' failed ' queue status card/0 --queue sqlite:card.db
says "$refusal" queue status card/0 --queue sqlite:card.db
says 'spec after' queue log card/0 --queue sqlite:card.db
says ' done ' queue status plain/0 --queue sqlite:card.db

# Two worlds; jobs come one by one; one world is killed, one stopped, both come back.
first() { "$rollmill" work "${calm[@]}" --stay --lease 4 >first.log 2>&1 & first=$!; }
second() { "$rollmill" work "${calm[@]}" --stay --lease 4 >second.log 2>&1 & second=$!; }
first
second
trap 'kill -9 $first $second 2>/dev/null; rm -rf "$dir"' EXIT
made=${CLIPS:-10}
for n in $(seq "$made"); do
    sed "s/name: one/name: n$n/; s/seed: 5/seed: $n/" one.yaml >n.yaml
    "$rollmill" submit n.yaml >/dev/null || wrong "submit n$n"
done
await clips_are 'done' 1
kill -9 $first
wait $first 2>/dev/null
await clips_are 'done' 3
kill -TERM $second
wait $second
rc=$?
[ $rc = 75 ] || wrong "a world that was stopped: exit $rc: $(tail -n 3 second.log)"
first
second
await clips_are 'done' "$made"
# How far a clip is shows while it runs, though both worlds go on asking for more.
made=$((made + 1))
sed "s/name: one/name: n$made/; s/seed: 5/seed: $made/; s/length: 1s/length: 12s/" one.yaml >n.yaml
"$rollmill" submit n.yaml >/dev/null || wrong "submit n$made"
ended_or_seen() { queue status "n$made" >seen.txt && grep -qE ' [1-9][0-9]* of [0-9]+ blocks on | done ' seen.txt; }
await ended_or_seen
grep -q ' blocks on ' seen.txt || wrong "no progress: $(cat seen.txt)"
await clips_are 'done' "$made"
queue drain >/dev/null
for world in $first $second; do
    wait "$world"
    rc=$?
    [ $rc = 0 ] || wrong "a drained world: exit $rc: $(tail -n 3 first.log second.log)"
done

# The audit: every clip once, by its own task; nothing runs, nobody is there.
[ "$(clips 'done')" = "$made" ] || wrong "done: $(queue status)"
[ "$(clips running)$(clips ready)" = 00 ] || wrong "left: $(queue status)"
for n in $(seq "$made"); do
    task=$(queue status --json "n$n" | sed -n 's/.*"task": "\(.*\)".*/\1/p')
    grep -q "\"task_id\": \"$task\"" "out/n$n/clip.json" || wrong "n$n is not its task"
done
[ "$(find out -mindepth 1 -maxdepth 1 -not -name '.*' | wc -l)" = "$made" ] || wrong "folders: $(ls out)"
says '"worlds": []' queue status --json
says 'video hours' queue status --by owner
says '"world_hours": 0.' queue status --by owner --json
expect 2 '--by owner counts all jobs' "$rollmill" queue status --by owner n1
grep -hE 'Sanitizer|runtime error' ./*.log && wrong "a sanitizer spoke"

# Nobody's attempt is left over.
says 'attempts of killed worlds removed; left: 0 running, 0 resumable, 0 unknown' queue clean
[ -z "$(find out -path '*/.attempts/*' -name '*.json')" ] || wrong "left: $(find out/.attempts)"

# The pictures are those of a render without a queue.
sed 's/name: one/name: n1/; s/seed: 5/seed: 1/; s/dir: out/dir: alone/' one.yaml >n.yaml
render n.yaml >/dev/null 2>&1 || wrong "no render of n1"
cmp -s out/n1/master.mkv alone/n1/master.mkv || wrong "n1 differs from the render without a queue"

# A clip that a world loses in the middle is gone on with by the next: of a world that was killed, and
# of one that was silent for longer than its lease and wakes later. One rendering in all, and each
# block is made by its levels once, but for those behind a checkpoint.
SIZE=32x32 job lost.yaml lost 10s 'output: {dir: lost, formats: [{file: clip.mp4, codec: h264}, {file: master.mkv, codec: ffv1}]}
run: {checkpoint: 1.5s, retries: {backoff: 0s}}'
sed 's/dir: lost/dir: alone/' lost.yaml >n.yaml
render n.yaml >/dev/null 2>&1 || wrong "no render of lost"
"$rollmill" submit lost.yaml >/dev/null || wrong "submit lost"
# Each of its packets takes a second: it ends nowhere near.
slow() {
    LD_PRELOAD="$shim" NTH_BELOW="$dir" NTH_CALL=write NTH_FILE=clip.mp4.packets NTH_AT=1 NTH_LASTING=1 NTH_PAUSES=1 \
        "$rollmill" work "${calm[@]}" --stay --lease 4 >slow.log 2>&1 &
    second=$!
}
third() { "$rollmill" work "${calm[@]}" --lease 60 --stay --report third.json >third.log 2>&1 & third=$!; }
snapshot_there() { ls lost/.attempts/*/snapshot.* >/dev/null 2>&1; }
goes_on() { grep -qs 'resumes after block' "$1"; }
# Not with the lock of an SQLite file in its hands, which would keep all others from writing.
stop_second() {
    kill -STOP $second
    queue priority 51 lost >/dev/null 2>&1 && return
    kill -CONT $second
    return 1
}
trap 'kill -9 $first $second $third 2>/dev/null; rm -rf "$dir"' EXIT
third=
first
await snapshot_there
kill -9 $first
wait $first 2>/dev/null
slow
await goes_on slow.log
await stop_second
sleep 5 # its lease has run out
third
await goes_on third.log
kill -CONT $second
await clips_are 'done' $((made + 1))
queue drain >/dev/null
for world in $second $third; do
    wait "$world"
    rc=$?
    [ $rc = 0 ] || wrong "a world that lost its clip, or found one: exit $rc: $(tail -n 3 slow.log third.log)"
done
for file in clip.mp4 master.mkv; do
    cmp -s "lost/lost/$file" "alone/lost/$file" || wrong "lost: $file differs"
done
python3 - <<END || wrong "lost: $(queue log lost/0)"
import json
clip, run = json.load(open("lost/lost/clip.json")), json.load(open("third.json"))["batches"][0]
blocks, before = len(clip["frames"]["blocks"]), clip["run"]["resumed_from"]
assert before > 0 and run["blocks"] == blocks - before, (before, run["blocks"])
entered = [s["ticks"] for r in run["ranks"] for s in r["stages"] if s["stage"] == 0]
assert 0 < sum(entered) <= blocks - before, entered
END
[ "$(queue log lost/0 | grep -c 'done after')" = 1 ] || wrong "lost: $(queue log lost/0)"
[ "$(queue log lost/0 | grep -c 'crash after')" -ge 2 ] || wrong "lost: $(queue log lost/0)"
grep -q ' 1 lost to others' slow.log || wrong "a world that woke: $(tail -n 1 slow.log)"
[ -e lost/.attempts ] && wrong "lost: left over: $(find lost/.attempts)"

# Made again once its folder is gone; forgotten at last.
expect 2 'exists; move or remove it' "$rollmill" queue discard n1/0
rm -r out/n1
says 'discard' queue discard n1/0
expect 0 '1 clips made' work
cmp -s out/n1/master.mkv alone/n1/master.mkv || wrong "n1 differs when it is made again"
sleep 2
says 'forgotten' queue prune --older 1s
says 'no jobs' queue status
exit $fail
