#!/bin/sh
# Run a test as N ranks on this machine, however few its cores.
#
#   tests/mpirun.sh N PROGRAM [argument]...
set -u
n=$1
shift
command -v mpirun >/dev/null || { echo "mpirun is not installed" && exit 77; }
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# A container may forbid one process to read another's memory.
export OMPI_MCA_btl_vader_single_copy_mechanism=none
exec mpirun --oversubscribe --bind-to none -n "$n" "$@" </dev/null
