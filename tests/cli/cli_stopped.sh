#!/bin/bash
# cli_stopped.sh - a rank that is stopped is named within the stall and three seconds, whatever the
# lines; one that is merely slow, or stopped for less than the stall, never is.
#
# TRIALS=N of each kind (1; TORTURE=1: 10), LOAD=N busy processes a core beside it (0; TORTURE=1: 10),
# SEED. Prints for each number of lines the longest time until the rank was named. Without TORTURE the bounds
# leave room for a machine that is busy with other tests.
. "$(dirname "$0")/world.sh"

world 1 "$rollmill" doctor >/dev/null 2>&1
[ $? -ne 77 ] || { echo "no mpirun, or built without MPI" && exit 77; }
stall=4
trials=${TRIALS:-${TORTURE:+10}} load=${LOAD:-${TORTURE:+10}} RANDOM=${SEED:-1}
late=${TORTURE:+3} late=${late:-20}   # seconds beyond the stall within which a stopped rank is named
pause=${TORTURE:+2} pause=${pause:-1} # seconds that a slow rank stops
burners=

burn() {
    for _ in $(seq $((${load:-0} * $(nproc)))); do
        (while :; do :; done) &
        burners="$burners $!"
    done
}
# shellcheck disable=SC2086 # several numbers
stop_burning() { [ -z "$burners" ] || kill $burners; }
trap 'stop_burning; rm -rf "$dir"' EXIT

# begin NAME LINES: long clips over so many lines of two ranks, in the background, until they run
begin() {
    name=$1 lines=$2
    job "$name.yaml" "$name" 20m 'sweep: {axes: {seed: {range: 0-7}}}
output: {dir: out}'
    : >err.txt
    "$top/tests/mpirun.sh" $((2 * lines)) "$rollmill" render --no-prompt-cache "$dir/$name.yaml" --threads 1 \
        --ranks-per-line 2 --decode-ranks 0 --deadline 600 --stall $stall >out.txt 2>err.txt &
    launcher=$!
    await grep -q '^line: ' err.txt
}

pid_of() { # RANK
    for pid in $(pgrep -f "render --no-prompt-cache $dir/$name.yaml"); do
        tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | grep -qx "OMPI_COMM_WORLD_RANK=$1" && echo "$pid" && return
    done
}

now() { date +%s%3N; }

# A rank stops for good: milliseconds until it is named are printed.
stopped() { # LINES
    begin "stopped$1" "$1"
    rank=$((RANDOM % (2 * $1)))
    start=$(now)
    kill -STOP "$(pid_of $rank)"
    while ! grep -q 'sent no heartbeat for' err.txt && [ $(($(now) - start)) -lt 60000 ]; do sleep 0.05; done
    took=$(($(now) - start))
    wait $launcher
    rc=$?
    [ $rc -eq 71 ] || wrong "$1 lines, rank $rank stopped: exit $rc, wanted 71: $(cat err.txt)"
    grep -q "rank $rank sent no heartbeat for" err.txt || wrong "$1 lines, rank $rank stopped: $(cat err.txt)"
    [ $took -ge $((1000 * (stall - 1))) ] && [ $took -le $((1000 * (stall + late))) ] ||
        wrong "$1 lines, rank $rank stopped: named after $took ms, the stall is $stall s"
    [ $took -le "$longest" ] || longest=$took
}

# A rank stops again and again, for less than the stall: nobody is named.
slow() { # LINES
    begin "slow$1" "$1"
    rank=$((RANDOM % (2 * $1)))
    pid=$(pid_of $rank)
    for _ in 1 2 3; do
        kill -STOP "$pid" && sleep $pause
        kill -CONT "$pid" && sleep 0.$((RANDOM % 6 + 4))
    done
    sleep 1
    kill -USR1 $launcher
    wait $launcher
    rc=$?
    [ $rc -eq 75 ] || wrong "$1 lines, rank $rank slow: exit $rc, wanted 75: $(cat err.txt)"
    ! grep -q 'no heartbeat\|no progress' err.txt || wrong "$1 lines, rank $rank slow: $(cat err.txt)"
}

burn
for lines in 1 2 3; do
    longest=0
    for _ in $(seq "${trials:-1}"); do
        stopped $lines
        slow $lines
    done
    echo "$lines lines of two ranks, ${load:-0} busy processes a core: ${trials:-1} stopped, named within $longest ms;" \
        "${trials:-1} slow"
done
exit $fail
