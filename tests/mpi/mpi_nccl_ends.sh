#!/bin/bash
# How a world over comm_nccl ends, on stand-ins: a rank is killed in any of its calls of NCCL,
# falls silent in one, is refused one, is told of a failure later. The code mpirun gives, and
# that it ends in time and leaves nobody behind.
cd "$(dirname "$0")/../.." || exit 1
. tests/mpi/ends.sh "${MPI_NCCL:-build/standin/tests/mpi_nccl}"
export ASAN_OPTIONS=detect_leaks=0

# Killed: mpirun gives the signal. Until a life makes fewer calls.
for ((at = 1; at < 64; at++)); do
    ends "137 0" 30 2 die $at
    [ $rc != 0 ] || break
done
[ $at -gt 9 ] || { echo "only $at calls" && bad=1; }
# The same, and mpirun does not end the other rank, which finds out and says so. What mpirun
# gives then is its own.
export OMPI_MCA_orte_enable_recovery=1
for at in 1 3 5 6; do
    ends "0 47" 30 2 die $at
    grep -q '^rank 0: comm: ' "$log" || { echo "die $at: not found out" && cat "$log" && bad=1; }
done
unset OMPI_MCA_orte_enable_recovery
# 47 is comm: what NCCL refuses, and what does not come in time.
for at in 1 3 4; do
    ends "47" 30 2 refuse $at
    ends "47" 30 2 lose $at
done
# 48 is peer: the other rank, told of it, may be gone first.
for at in 1 2 3; do
    ends "47 48" 30 2 later $at
    grep -q '^rank 1: comm: NCCL: ' "$log" || { echo "later $at: not found out" && cat "$log" && bad=1; }
done
# 134: the stand-in stops what NCCL would leave undefined.
for how in 1 2; do
    ends "134" 30 2 astray $how
    grep -q 'stand-in: ' "$log" || { echo "astray $how: not found out" && bad=1; }
done
exit $bad
