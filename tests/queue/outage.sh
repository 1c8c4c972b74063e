#!/bin/bash
# outage.sh - the database goes away in mid-run: two worlds on PostgreSQL render on what they hold,
# the page says that it is away, and when it is back every clip is done, once, by one attempt.
. "$(dirname "$0")/../cli/world.sh"
server() { "$top/tests/queue/postgres.sh" "$@"; }
pg=$(mktemp -d /tmp/pg.XXXXXX)
url=$(FSYNC=on server start "$pg")
rc=$?
[ $rc != 77 ] || { echo "$url" && rm -rf "$pg" && exit 77; }
[ $rc = 0 ] || { echo "no server: $url" && exit 1; }
first='' second='' page=''
# shellcheck disable=SC2086 # numbers, or nothing
trap 'kill -9 $first $second $page 2>/dev/null; server stop "$pg"; rm -rf "$dir"' EXIT
export ROLLMILL_QUEUE=$url XDG_CACHE_HOME="$dir/cache"

clips=24
job many.yaml many 1s 'output: {dir: out, formats: [{file: master.mkv, codec: ffv1}]}
sweep: {axes: {seed: {range: "0-23"}}}'
"$rollmill" queue make >/dev/null || wrong "queue make"
"$rollmill" submit many.yaml >/dev/null || wrong "submit"
folders() { find out -mindepth 1 -maxdepth 1 -not -name '.*' 2>/dev/null | wc -l; }
are_there() { [ "$(folders)" -ge "$1" ]; }

# The page, where there is one.
metrics() { curl -s "http://$at/metrics"; }
if command -v curl >/dev/null && ! "$rollmill" serve --listen nowhere 2>&1 | grep -q HTTP=0; then
    "$rollmill" serve --listen 127.0.0.1:0 out >page.txt 2>&1 &
    page=$!
    is_served() { port=$(sed -n 's/^http port //p' page.txt) && [ -n "$port" ]; }
    await is_served
    at=127.0.0.1:$port
    metrics | grep -qx 'rollmill_up 1' || wrong "page: $(metrics)"
    metrics | grep -q "^rollmill_clips{state=.ready.} $clips\$" || wrong "page: $(metrics)"
    if command -v promtool >/dev/null; then
        metrics | promtool check metrics >promtool.txt 2>&1 || wrong "promtool: $(cat promtool.txt)"
    else
        echo "outage.sh: promtool is not installed (prometheus); its part is skipped"
    fi
fi

start_world() { "$rollmill" work --no-prompt-cache --backend cpu --threads 1 --ahead 4 --lease 900 >"$1" 2>&1 & }
start_world first.log
first=$!
start_world second.log
second=$!
# The worlds are stopped while they hold enough to render without the database, however long it
# takes to go: of what is claimed two clips at most may be there already.
hold_enough() {
    kill -STOP "$first" "$second"
    [ "$("$rollmill" queue status --json many | grep -c '"state": "running"')" -lt 7 ] || return 0
    kill -CONT "$first" "$second"
    return 1
}
await are_there 1
await hold_enough
server down "$pg"
there=$(folders)
kill -CONT "$first" "$second"
[ "$there" -lt $((clips - 4)) ] || wrong "all was made before the server went away"
await are_there $((there + 3))
are_there $((there + 3)) || wrong "nothing more was made without the database: $(tail -n 3 first.log second.log)"
went_on() { grep -q 'queue: no answer' "$1"; }
await went_on first.log
await went_on second.log
went_on first.log && went_on second.log || wrong "the worlds do not say so"
if [ -n "$page" ]; then
    says_so() { metrics | grep -qx 'rollmill_up 0'; }
    await says_so
    says_so || wrong "page: $(metrics)"
    [ "$(curl -s -o api.txt -w '%{http_code}' "http://$at/api/v1/jobs")" = 503 ] || wrong "api: $(cat api.txt)"
fi
server start "$pg" >/dev/null || wrong "no server again"
for world in $first $second; do
    wait "$world"
    rc=$?
    [ $rc = 0 ] || wrong "a world ended with $rc: $(tail -n 3 first.log second.log)"
done
first='' second=''
grep -q 'reachable again' first.log || wrong "first: $(tail -n 3 first.log)"

# The audit.
[ "$("$rollmill" queue status --json many | grep -c '"state": "done"')" = $clips ] || wrong "done: $("$rollmill" queue status many)"
[ "$(folders)" = $clips ] || wrong "folders: $(ls out)"
[ -z "$(find out -path '*/.attempts/*' -type f)" ] || wrong "left: $(find out/.attempts)"
"$rollmill" verify out/many-* >verify.txt 2>&1 || wrong "verify: $(cat verify.txt)"
for n in $(seq 0 $((clips - 1))); do
    "$rollmill" queue log --json "many/$n" >log.txt
    [ "$(grep -c '"attempt"' log.txt)" = 1 ] || wrong "clip $n was tried more than once: $(cat log.txt)"
done
if [ -n "$page" ]; then
    is_back() { metrics | grep -q "^rollmill_clips{state=.done.} $clips\$"; }
    await is_back
    is_back || wrong "page: $(metrics)"
    kill "$page" && wait "$page"
    page=''
fi
# A server that is starting is waited for by whoever comes; one that is not there is not.
server down "$pg"
expect 2 'postgresql: connect:' "$rollmill" queue status
server starting "$pg" || wrong "no server that is starting"
"$rollmill" queue status many >status.txt 2>&1 &
looks=$!
asked() { [ "$(grep -c 'not yet accepting\|not accepting\|starting up' "$pg/log")" -ge 3 ]; }
await asked
kill -0 $looks 2>/dev/null || wrong "a server that is starting was not waited for: $(cat status.txt)"
server promote "$pg"
wait $looks || wrong "behind its start: exit $?: $(cat status.txt)"
made=$(grep -h ' clips made, ' first.log second.log | awk '{ n += $2 } END { print n }')
[ "$made" = $clips ] || wrong "the worlds made $made: $(grep -h ' clips made, ' first.log second.log)"
exit $fail
