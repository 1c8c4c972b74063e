#!/bin/sh
# Static analysis (.clang-tidy) of the program; tests are left to sanitizers.
# vec.c is written in gcc's vector extensions, which clang does not all have. Of CUDA's
# toolkit clang reads the C headers alone; .cu files are read by nvcc and, with warnings,
# by the host's compiler (make MODE=standin).
set -u
cd "$(dirname "$0")/../.." || exit 1
command -v clang-tidy >/dev/null || { echo "clang-tidy is not installed" && exit 77; }
mpi=$(pkg-config --cflags ompi-c) || { echo "libopenmpi-dev is not installed" && exit 77; }
pq=$(pkg-config --cflags libpq) || { echo "libpq-dev is not installed" && exit 77; }
nvcc=$(command -v "${NVCC:-nvcc}") && cuda="-isystem $(dirname "$(dirname "$(realpath "$nvcc")")")/include"
# Without the toolkit, the files that need it are left out.
without=${cuda:+none}
# shellcheck disable=SC2086 # a list of flags
find base kernels comm cluster jobs pipeline cmd tools -name '*.c' ! -name vec.c ! -name "${without:-cuda_*.c}" ! -name "${without:-comm_nccl*.c}" | sort |
    xargs -P "$(nproc)" -I{} clang-tidy --quiet {} -- -std=c11 -D_POSIX_C_SOURCE=200809L -I. $mpi $pq ${cuda:-} \
        '-DVERSION_COMMIT=""' '-DVERSION_FLAGS=""' 2>/dev/null
