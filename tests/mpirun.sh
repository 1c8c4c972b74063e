#!/bin/bash
# Run a test as N ranks on this machine, however few its cores.
#
#   tests/mpirun.sh N PROGRAM [argument]...      PROGRAM: one that was built here, or
#                                                what runs BUILT
#
# mpirun of Open MPI 4.1 now and then hangs in its own end, when all ranks are gone
# (PMIx_server_finalize): then it is ended here, and the exit code is theirs, of those that ended by
# themselves; 137 if it has forgotten them already.
set -u
n=$1
shift
command -v mpirun >/dev/null || { echo "mpirun is not installed" && exit 77; }
case $(ldd "${BUILT:-$1}" 2>/dev/null) in
*libmpi*) ;;
*) echo "${BUILT:-$1} is built without MPI" && exit 77 ;;
esac

# What has become of its children: none has come yet, they live, they are zombies, it has had some.
children() { # PID BEFORE
    local states
    states=$(ps -o stat= --ppid "$1")
    if grep -q '^[^Z]' <<<"$states"; then echo live
    elif [ -n "$states" ]; then echo zombies
    elif [ "$2" = none ]; then echo none
    else echo forgotten; fi
}

first_code() { # PID: what its children ended with, the first that is not 0; nothing if it has none
    local child status code=
    for child in $(ps -o pid= --ppid "$1"); do
        status=$(awk '{ print $NF }' "/proc/$child/stat") || continue
        code=$((status >> 8))
        [ $code = 0 ] || break
    done
    echo $code
}

watch_end() { # PID FILE: the code goes into FILE if it has to be killed
    local seconds=0 state=none
    while sleep 1 && kill -0 "$1"; do
        state=$(children "$1" $state)
        case $state in
        zombies) seconds=$((seconds + 6)) ;; # five seconds,
        forgotten) seconds=$((seconds + 1)) ;; # or thirty: its usual end
        *) seconds=0 ;;
        esac
        [ $seconds -lt 30 ] || { first_code "$1" >"$2" && kill -9 "$1"; }
    done 2>/dev/null
}

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# A container may forbid one process to read another's memory.
export OMPI_MCA_btl_vader_single_copy_mechanism=none
mpirun --oversubscribe --bind-to none -n "$n" "$@" </dev/null &
pid=$!
trap 'kill $pid' TERM INT
trap 'kill -USR1 $pid' USR1
code=$(mktemp) || exit 1
watch_end $pid "$code" &
watcher=$!
wait $pid
rc=$?
while kill -0 $pid 2>/dev/null; do wait $pid && rc=0 || rc=$?; done # a signal came between
kill $watcher 2>/dev/null
wait $watcher 2>/dev/null
if [ -s "$code" ]; then
    echo "mpirun hung at its end and was killed" >&2
    grep -q . "$code" && rc=$(cat "$code")
fi
rm -f "$code"
exit "$rc"
