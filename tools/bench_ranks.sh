#!/bin/bash
# bench_ranks.sh - what it costs to share out the same clips over more ranks, as one
# line of N ranks and as N lines of one rank each, under mpirun.
#
#   tools/bench_ranks.sh [ROUNDS]          RANKS="1 2 3 6": N; SIZE=192x128: of the clips
#
# Each world has one rank more, which decodes, so that what is counted is the line's.
# Runs take turns; of each figure the median over the rounds is printed.
. "$(dirname "$0")/bench_world.sh" ranks
rounds=${1:-3}
ranks=${RANKS:-1 2 3 6}
size=${SIZE:-192x128}
write_job "$size" 81f 6
cat >>job.yaml <<END
  formats:
    - {file: clip.mp4, codec: h264, preset: ultrafast}
END

# Of the ranks of a line: N, kind, blocks, processor seconds of all and of the slowest,
# those that computed, wall seconds of all and those waiting, seconds of the run.
figures() { # N KIND: from report.json
    awk -v n="$1" -v kind="$2" '
        { value = $2 + 0 }
        /"run_seconds"/ { run = value }
        /"blocks"/ { blocks = value }
        /"role"/ { line = /"line"/ }
        !line { next }
        /"wall_seconds"/ { wall += value }
        /"process_seconds"/ { all += value; if (value > slowest) slowest = value }
        /"compute_processor_seconds"/ { compute += value }
        /"(exchange|neighbour)_seconds"/ { waits += value }
        END { print n, kind, blocks, all, slowest, compute, wall, waits, run }' report.json
}

add() { # N KIND PER_LINE: one more line of runs.txt
    if ! measure $(($1 + 1)) --ranks-per-line "$3" --decode-ranks 1 >log.txt 2>&1; then
        tail -n 5 log.txt
        return 1
    fi
    figures "$1" "$2" >>runs.txt
}

: >runs.txt
for ((round = 0; round < rounds; round++)); do
    for n in $ranks; do
        add "$n" line "$n"
        [ "$n" = 1 ] || add "$n" replicas 1
    done
done

first=${ranks%% *}
one=$(column "$first" line '$5 / $3')
cat <<END
Six clips of $size over N ranks of one thread on $(nproc) cores; medians of $rounds rounds. What counts is
processor time, since there are more ranks than cores. "Slowest": what the slowest rank needs for
a block; with a core for each rank that is a line's tick, or the time from block to block of all
replicas together. "Efficiency": $first rank's time over N times that; "line / replicas": the same work
as replicas over the line. "Moving": processor time outside the stages, which is the exchange, by
MPI's thread. Wall time and waiting are of this machine, where most waiting is for a core.

                  processor seconds per block                                   wall
ranks                   all   slowest  efficiency  line / replicas   moving    s per block   waiting
END
for n in $ranks; do
    for kind in line replicas; do
        grep -q "^$n $kind " runs.txt || continue
        slowest=$(column "$n" $kind '$5 / $3')
        beside=
        if [ $kind = line ] && [ "$n" != "$first" ]; then
            beside="$(column "$n" replicas "100 * (\$5 / \$3) / $slowest" | cut -d. -f1) %"
        fi
        printf '%5d  %-9s %8.4f  %8.4f  %8.0f %%  %15s  %6.1f %%  %12.4f  %6.0f %%\n' "$n" $kind \
            "$(column "$n" $kind '$4 / $3')" "$slowest" \
            "$(awk "BEGIN { print 100 * $one * $first / $n / $slowest }")" \
            "$beside" "$(column "$n" $kind '100 * (1 - $6 / $4)')" \
            "$(column "$n" $kind '$9 / $3')" "$(column "$n" $kind '100 * $8 / $7')"
    done
done
