#!/bin/bash
# ends.sh PROGRAM - sourced by the scripts that watch how a world of PROGRAM ends.
set -u
program=$1
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

# ends CODES SECONDS RANKS ARGUMENT...: mpirun ends with one of the codes within SECONDS, every
# rank found what it must and nobody is left. $rc: its code; $log: what was said.
ends() {
    local codes=$1 limit=$2 ranks=$3
    shift 3
    seed=$RANDOM$RANDOM
    timeout -k 2 "$limit" tests/mpirun.sh "$ranks" "$program" "$@" --seed "$seed" >"$log" 2>&1
    rc=$?
    if [ $rc = 77 ]; then tail -n 1 "$log" && exit 77; fi
    sleep 0.1
    case " $codes " in *" $rc "*) ! grep -q WRONG "$log" && [ "$(left)" = 0 ] && return ;; esac
    echo "$ranks ranks: $*: exit $rc, not of: $codes; $(left) processes left"
    sed 's/^/    /' "$log"
    bad=1
}
