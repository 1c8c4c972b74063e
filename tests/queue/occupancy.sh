#!/bin/bash
# occupancy.sh [sqlite|postgres] - a line that is fed from a queue has work in all its stages: two
# worlds on one queue, clips of 20 blocks that are submitted one by one while they run; the server of
# PostgreSQL loses its power in between, and is away until two clips more are made. Counted: ticks in
# which a stage has a block, of all from its first to its last; 97 % at least.
#
# CLIPS: how many (20). REQUESTS: for the page, a second (0), all the while; the worlds must be as busy.
. "$(dirname "$0")/../cli/world.sh"
clips=${CLIPS:-20} blocks=20
frames=$((12 * blocks - 3)) # three latent frames a block, four pictures each but for the first
server() { "$top/tests/queue/postgres.sh" "$@"; }
pg='' first='' second='' page='' asks='' ahead=2
if [ "${1:-sqlite}" = postgres ]; then
    pg=$(mktemp -d /tmp/pg.XXXXXX)
    ROLLMILL_QUEUE=$(FSYNC=on server start "$pg")
    rc=$?
    [ $rc != 77 ] || { echo "$ROLLMILL_QUEUE" && rm -rf "$pg" && exit 77; }
    [ $rc = 0 ] || { echo "no server: $ROLLMILL_QUEUE" && exit 1; }
    ahead=4 # as long as the server is away nobody claims
else
    ROLLMILL_QUEUE=sqlite:$dir/q.db
fi
export ROLLMILL_QUEUE
ask() { # REQUESTS: in every second so many, until `over` is there
    while [ ! -e over ]; do
        ab -q -l -n "$1" -c 10 "http://127.0.0.1:$port/" >>ab.txt 2>&1 &
        sleep 1
        wait $!
    done
}
# shellcheck disable=SC2086 # numbers, or nothing
trap 'kill -9 $first $second $page $asks 2>/dev/null; [ -z "$pg" ] || server stop "$pg"; rm -rf "$dir"' EXIT
"$rollmill" queue make >/dev/null || wrong "queue make"

submitted=0
submit_next() {
    submitted=$((submitted + 1))
    job n.yaml "n$submitted" ${frames}f 'output: {dir: out}'
    sed -i "s/seed: 5/seed: $submitted/" n.yaml
    "$rollmill" submit n.yaml >said.txt 2>&1 || wrong "submit: $(cat said.txt)"
}
work() { # NAME
    "$rollmill" work --no-prompt-cache --backend cpu --ranks 2 --ranks-per-line 2 --threads 1 --stay --lease 900 \
        --ahead $ahead --report "$1.json" --events "$1.events" >"$1.log" 2>&1 &
}
count() { cat ./*.events 2>/dev/null | grep -c "\"$1\""; }
feed() { while [ $submitted -lt "$clips" ] && [ $((submitted - $(count clip_begun))) -lt $((2 * ahead)) ]; do submit_next; done; }
have_ended() { [ "$(count clip_done)" -ge "$1" ]; }

feed
work first
first=$!
work second
second=$!
if [ "${REQUESTS:-0}" != 0 ]; then
    command -v ab >/dev/null || { echo "ab is not installed (apache2-utils): no requests" && exit 77; }
    mkdir -p out
    "$rollmill" serve --listen 127.0.0.1:0 out >page.txt 2>page.log &
    page=$!
    is_served() { port=$(sed -n 's/^http port //p' page.txt 2>/dev/null) && [ -n "$port" ]; }
    await is_served
    ask "$REQUESTS" &
    asks=$! asked_from=$(date +%s)
fi
away='' limit=$(($(date +%s) + ${LIMIT:-3000}))
while ! have_ended "$clips"; do
    feed
    if [ -n "$pg" ] && [ -z "$away" ] && have_ended 2; then
        there=$(count clip_done)
        server down "$pg" && await have_ended $((there + 2)) && server start "$pg" >/dev/null
        away=$(grep -l 'queue: no answer' first.log second.log)
    fi
    sleep 0.1
    [ "$(date +%s)" -lt $limit ] || { wrong "not over in time: $(tail -n 3 first.log second.log)" && break; }
done
if [ -n "$page" ]; then
    touch over
    wait $asks
    ticks=$(awk '{ print $14 + $15 }' "/proc/$page/stat")
    awk -v s=$(($(date +%s) - asked_from)) -v t="$ticks" -v hz="$(getconf CLK_TCK)" '
        /^Complete requests/ { n += $3 } /^Failed requests/ { bad += $3 } /^Non-2xx/ { bad += $3 }
        END { printf "%d requests in %d s, %d of them failed, %.2f ms of a processor each\n", n, s, bad, 1000 * t / hz / n; exit bad > 0 || n == 0 }' ab.txt ||
        wrong "the page"
fi
"$rollmill" queue drain >/dev/null || wrong drain
for name in first second; do
    wait ${!name}
    rc=$?
    [ $rc = 0 ] || wrong "$name ended with $rc: $(tail -n 3 $name.log)"
done
[ -z "$pg" ] || [ -n "$away" ] || wrong "no world has seen the server away: $(cat first.log second.log)"
grep -q "\"blocks\":$blocks}" first.events || wrong "a clip is not of $blocks blocks: $(head -n 3 first.events)"
[ "$(find out -name clip.json -not -path '*/.attempts/*' | wc -l)" = "$clips" ] || wrong "folders: $(ls out)"
python3 - first.json second.json <<'END' || wrong "less than 97 %"
import json, sys
busy = span = 0
for name in sys.argv[1:]:
    own = [s for b in json.load(open(name))["batches"] for r in b["ranks"] for s in r.get("stages", [])]
    b, n = sum(s["ticks"] for s in own), sum(s["span_ticks"] for s in own)
    if n == 0: sys.exit("%s has rendered nothing" % name)
    print("%s: %d of %d stage-ticks" % (name, b, n))
    busy, span = busy + b, span + n
print("occupancy: %d of %d stage-ticks, %.2f %%" % (busy, span, 100 * busy / span))
sys.exit(busy < 0.97 * span)
END
exit $fail
