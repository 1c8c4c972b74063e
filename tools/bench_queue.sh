#!/bin/bash
# bench_queue.sh - what many clips and many worlds ask of a queue's database (docs/scale.md): sizes
# and times of looking by clips, in both stores; then made-up worlds, as fast as the database and
# at the pace of real ones. Ten minutes; CLIPS and WORLDS: up to how many.
set -euo pipefail
load=${QUEUE_LOAD:-build/release/tests/queue_load}
clips=${CLIPS:-1000000} worlds=${WORLDS:-1000}

sqlite() { "$load" "$@"; }
postgres() {
    FSYNC=on CONNECTIONS=$((worlds + 50)) BUFFERS=512MB tests/queue/postgres.sh run "$load" "$@" || [ $? = 77 ]
}

ulimit -n $((worlds + 200))
for n in $((clips / 100)) $((clips / 10)) "$clips"; do
    sqlite clips="$n" jobs=$((n / 1000)) 'done=90' worlds=0
    postgres clips="$n" jobs=$((n / 1000)) 'done=90' worlds=0
done
echo "As fast as the database:"
for store in sqlite postgres; do
    for jobs in 1 100; do $store clips=100000 jobs=$jobs worlds=16 seconds=20; done
done
sqlite clips=100000 jobs=100 worlds=4 seconds=20
echo "A minute a clip:"
postgres clips="$clips" jobs=$((clips / 1000)) 'done=50' worlds="$worlds" clip-ms=60000 stagger-ms=60000 seconds=180
echo "All worlds at once:"
postgres clips=100000 jobs=100 worlds="$worlds" clip-ms=60000 seconds=60
