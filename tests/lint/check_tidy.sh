#!/bin/sh
# check_tidy.sh [PART PARTS]: static analysis (.clang-tidy) of the program, or of every PARTS-th
# file of it, so that no part takes long; tests are left to sanitizers.
# vec.c is written in gcc's vector extensions, which clang does not all have. Of CUDA's
# toolkit clang reads the C headers alone; .cu files are read by nvcc and, with warnings,
# by the host's compiler (make MODE=standin). NODES: how many states the analyzer follows in one
# function before it gives up (its default is 225000; make check asks for a ninth of that, which
# takes a third of the time, make lint for all).
set -u
part=${1:-1} parts=${2:-1}
cd "$(dirname "$0")/../.." || exit 1
command -v clang-tidy >/dev/null || { echo "clang-tidy is not installed" && exit 77; }
mpi=$(pkg-config --cflags ompi-c) || { echo "libopenmpi-dev is not installed" && exit 77; }
pq=$(pkg-config --cflags libpq) || { echo "libpq-dev is not installed" && exit 77; }
nvcc=$(command -v "${NVCC:-nvcc}") && cuda="-isystem $(dirname "$(dirname "$(realpath "$nvcc")")")/include"
# Without the toolkit, the files that need it are left out.
without=${cuda:+none}
nodes=${NODES:+--extra-arg=-Xclang --extra-arg=-analyzer-config --extra-arg=-Xclang --extra-arg=max-nodes=$NODES}
# shellcheck disable=SC2086 # a list of flags
find base kernels comm cluster jobs pipeline cmd tools -name '*.c' ! -name vec.c ! -name "${without:-cuda_*.c}" ! -name "${without:-comm_nccl*.c}" | sort |
    awk -v part="$part" -v parts="$parts" 'NR % parts == part % parts' |
    xargs -P $((parts > 1 ? 1 : $(nproc))) -I{} clang-tidy --quiet ${nodes:-} {} -- -std=c11 -D_POSIX_C_SOURCE=200809L -I. $mpi $pq ${cuda:-} \
        '-DVERSION_COMMIT=""' '-DVERSION_FLAGS=""' 2>/dev/null
