#!/bin/bash
# bench_plan.sh - what `rollmill plan --bench` says a job takes, beside what it takes.
#
#   tools/bench_plan.sh [ROUNDS]           PLACEMENTS="1/1/0 6/6/0": ranks, ranks per line,
#                                          decode ranks; SIZES="192x128": of the clips
#
# Under mpirun, a thread a rank; loading is not counted. Wall time says nothing while
# others use the machine: a measurement during which they had more than OTHERS percent of
# its cores (5) is made again, TRIES times at most (20). Runs take turns; medians.
. "$(dirname "$0")/bench_world.sh" plan
rounds=${1:-3}
placements=${PLACEMENTS:-1/1/0 2/1/0 2/2/0 2/1/1 3/3/0 3/2/1 6/6/0}
sizes=${SIZES:-192x128 256x160}
limit=${OTHERS:-5}
tries=${TRIES:-20}

# Of the first object that has it.
number() { sed -n "s/^ *\"$1\": \([-0-9.e]*\),*\$/\1/p" "$2" | head -n 1; }

predict() { # RANKS PER_LINE DECODE
    "$rollmill" plan job.yaml --topo "cpu:$(nproc) threads:1" --ranks "$1" --ranks-per-line "$2" \
        --decode-ranks "$3" --bench speed.json --json >plan.json 2>log.txt
}

# Of all cores since the machine was started, in ticks of the system.
used() { awk '$1 == "cpu" { print $2 + $3 + $4 + $7 + $8 + $9 }' /proc/stat; }

# alone COMMAND...: run it; 1 if others had more than the limit meanwhile
alone() {
    local before share TIMEFORMAT='%R %U %S'
    before=$(used)
    { time "$@" 2>log.txt || touch failed; } 2>own.txt
    [ ! -e failed ] || { rm failed && tail -n 5 log.txt && exit 1; }
    share=$(awk -v busy=$(($(used) - before)) -v hz="$(getconf CLK_TCK)" -v cores="$(nproc)" \
        '{ printf "%.1f", 100 * (busy / hz - $2 - $3) / cores / $1 }' own.txt)
    awk "BEGIN { exit !($share <= $limit) }"
}

# quiet COMMAND...: when the machine does nothing else, and until that was so to the end
quiet() {
    local i
    for ((i = 0; i < tries; i++)); do
        if alone sleep 2 && alone "$@"; then return; fi
        sleep 3
    done
    echo "not measured: others used the machine" >&2
    return 1
}

# What it says of processor time, summed over the ranks.
processors() { awk '/"process_seconds"/ { s += $2 } END { print s }' report.json; }

# The speeds of a world of RANKS.
bench() { # RANKS
    if [ "$1" = 1 ]; then "$rollmill" bench --for job.yaml --threads 1 --json >speed.json
    else "$mpirun" "$1" "$rollmill" bench --for job.yaml --threads 1 --json >speed.json; fi
}

: >runs.txt
for ((round = 0; round < rounds; round++)); do
    for size in $sizes; do
        write_job "$size" 117f 2
        measured=0
        for placement in $placements; do
            IFS=/ read -r ranks line decode <<<"$placement"
            [ "$ranks" = "$measured" ] || quiet bench "$ranks" || continue
            measured=$ranks
            predict "$ranks" "$line" "$decode"
            quiet measure "$ranks" --ranks-per-line "$line" --decode-ranks "$decode" || continue
            echo "$size $placement $(number all_seconds plan.json) $(number run_seconds report.json)" \
                "$(number all_processor_seconds plan.json) $(processors)" >>runs.txt
        done
    done
done

echo "Two clips on $(nproc) cores, a thread a rank; until all are made. Medians of at most $rounds rounds."
echo "A ratio above 1: the plan promised too little."
echo
echo "size       ranks/per line/decode    seconds: plan  measured   ratio    processors: plan  measured   ratio"
for size in $sizes; do
    for placement in $placements; do
        grep -q "^$size $placement " runs.txt || continue
        printf '%-10s %-20s %17.2f %9.2f %7.2f %19.2f %9.2f %7.2f\n' "$size" "$placement" \
            "$(column "$size" "$placement" '$3')" "$(column "$size" "$placement" '$4')" \
            "$(column "$size" "$placement" '$4 / $3')" "$(column "$size" "$placement" '$5')" \
            "$(column "$size" "$placement" '$6')" "$(column "$size" "$placement" '$6 / $5')"
    done
done
