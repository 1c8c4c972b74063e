#!/bin/bash
# How a world ends: each way a rank can fail or go, the code mpirun gives, how long
# it takes, and that no process is left.
set -u
cd "$(dirname "$0")/../.." || exit 1
program=${MPI_COMM:-build/release/tests/mpi_comm}
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

ends() { # CODE SECONDS RANKS ARGUMENT...: mpirun ends with CODE within SECONDS
    local code=$1 limit=$2 ranks=$3 rc
    shift 3
    seed=$RANDOM$RANDOM
    timeout -k 2 "$limit" tests/mpirun.sh "$ranks" "$program" "$@" --seed "$seed" >"$log" 2>&1
    rc=$?
    sleep 0.1
    if [ $rc = 77 ]; then tail -n 1 "$log" && exit 77; fi
    if [ $rc = "$code" ] && ! grep -q WRONG "$log" && [ "$(left)" = 0 ]; then return; fi
    echo "$ranks ranks: $*: exit $rc, not $code; $(left) processes left"
    sed 's/^/    /' "$log"
    bad=1
}

ends 43 10 4 end abort 2
ends 43 10 2 end abort 0 --delay 300
ends 48 10 3 end "abort by a thread" 1
ends 47 10 3 end "absent from agree" 1
ends 47 10 3 end "absent from split" 0
ends 47 10 2 end "absent sender" 1
ends 47 10 3 end "absent receiver" 0
ends 41 10 3 end shorter 1
ends 41 10 2 end longer 0
ends 41 10 3 end "other type" 2
ends 43 10 3 end "gives up" 1
ends 41 10 3 end "different meetings" 1
for odd in 0 1 2; do
    ends 33 10 3 die $odd
    ends 47 12 3 freeze $odd
done
ends 47 10 3 tardy 1
ends 9 10 4 leave 0 2
ends 9 10 3 leave 5 0
ends 9 10 3 leave 9 1
ends 9 10 3 leave 9 7 # nobody failed, all bring the same: nobody is ended by force
grep -q MPI_ABORT "$log" && echo "MPI_Abort where all agreed" && bad=1
exit $bad
