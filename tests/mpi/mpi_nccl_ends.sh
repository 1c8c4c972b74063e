#!/bin/bash
# How a world over comm_nccl ends, on stand-ins: a rank is killed in any of its calls of NCCL,
# falls silent in one, is refused one, is told of a failure later. The code mpirun gives, and
# that it ends in time and leaves nobody behind.
set -u
cd "$(dirname "$0")/../.." || exit 1
program=${MPI_NCCL:-build/standin/tests/mpi_nccl}
export ASAN_OPTIONS=detect_leaks=0
bad=0
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT

left() { # how many processes still run it (a zombie waits for its parent only)
    local n=0 pid
    for pid in $(pgrep -f -- "--seed $seed"); do
        case $(ps -o stat= -p "$pid") in '' | Z*) ;; *) n=$((n + 1)) ;; esac
    done
    echo $n
}

ends() { # CODES ARGUMENT...: mpirun ends with one of them
    local codes=$1
    shift
    seed=$RANDOM$RANDOM
    timeout -k 2 30 tests/mpirun.sh 2 "$program" "$@" --seed "$seed" >"$log" 2>&1
    rc=$?
    if [ $rc = 77 ]; then tail -n 1 "$log" && exit 77; fi
    sleep 0.1
    case " $codes " in *" $rc "*) [ "$(left)" = 0 ] && return ;; esac
    echo "$*: exit $rc, not one of $codes; $(left) processes left"
    sed 's/^/    /' "$log"
    bad=1
}

# Killed: mpirun gives the signal. Until a life makes fewer calls.
for ((at = 1; at < 64; at++)); do
    ends "137 0" die $at
    [ $rc != 0 ] || break
done
[ $at -gt 9 ] || { echo "only $at calls" && bad=1; }
# The same, and mpirun does not end the other rank, which finds out and says so. What mpirun
# gives then is its own.
export OMPI_MCA_orte_enable_recovery=1
for at in 1 3 5 6; do
    ends "0 47" die $at
    grep -q '^rank 0: comm: ' "$log" || { echo "die $at: not found out" && cat "$log" && bad=1; }
done
unset OMPI_MCA_orte_enable_recovery
# 47 is comm: what NCCL refuses, and what does not come in time.
for at in 1 3 4; do
    ends "47" refuse $at
    ends "47" lose $at
done
for at in 1 2 3; do ends "47" later $at; done
exit $bad
