#!/bin/bash
# Worlds that a fault ends: a callback, a send or a wait of one rank fails at some time, in
# clips through the line and in decode chains, while calls come late. The rank's own code
# comes out, every other rank is told that a peer failed, and what was handed out is right.
#
#   tests/mpi/mpi_faults.sh [WORLDS]
set -u
cd "$(dirname "$0")/../.." || exit 1
programs=${PROGRAMS:-build/release/tests}
seed=${SEED:-$RANDOM$RANDOM}
bad=0
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT

for ((i = 0; i < ${1:-10}; i++)); do
    if ((i % 2)); then run=(mpi_decode $((2 + seed % 3))); else run=(mpi_clip $((1 + seed % 6))); fi
    tests/mpirun.sh "${run[1]}" "$programs/${run[0]}" fault 100 --seed $seed >"$log" 2>&1
    rc=$?
    if [ $rc = 77 ]; then tail -n 1 "$log" && exit 77; fi
    if [ $rc != 43 ] && [ $rc != 47 ] || grep -q 'mismatch: ' "$log"; then
        echo "${run[*]} ranks, fault --seed $seed: exit $rc, not 43 (io) or 47 (comm)"
        sed 's/^/    /' "$log"
        bad=1
    fi
    seed=$((seed + 1))
done
exit $bad
