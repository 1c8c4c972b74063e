#!/bin/sh
# run_world.sh - an mpirun that a terminal can stop: Ctrl-C, SIGTERM and SIGHUP stop all lines at a
# block boundary with code 75, as SIGUSR1 does.
#
#   tools/run_world.sh mpirun -n 8 ./rollmill render JOB.yaml
#
# mpirun of Open MPI 4 and 5 kills its ranks within two seconds of each of these, and ends with 1. So
# it gets a session of its own, out of the terminal's reach, and is told by SIGUSR1, which it hands on
# to its ranks. What is ignored when this starts, as SIGHUP under nohup, stays ignored.
[ $# -gt 0 ] || { echo "usage: $0 mpirun [argument]..." >&2 && exit 2; }
setsid "$@" </dev/null &
pid=$!
trap 'kill -USR1 $pid' HUP INT TERM USR1
wait $pid
rc=$?
while kill -0 $pid 2>/dev/null; do wait $pid && rc=0 || rc=$?; done # a signal came between
exit $rc
