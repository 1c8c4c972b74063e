#!/bin/sh
# plans.sh PROGRAM - cuDNN's plans for a card that is not there: gpu_plans or gpu_plans_conv,
# over a stand-in for the driver. cuDNN compiles kernels on the way and needs no device for
# that; the driver is asked last of all to load what was compiled, which the stand-in says it
# did.
# CUDA_HOME: the toolkit. Skipped where there is none.
set -u
cd "$(dirname "$0")/../.." || exit 1
stub=${CUDA_HOME:-}/lib64/stubs/libcuda.so

if [ ! -x "$1" ] || [ ! -e "$stub" ]; then
    echo "no CUDA toolkit (nvcc, libcuda's stub)"
    exit 77
fi
driver=$(mktemp -d) || exit 1
trap 'rm -rf "$driver"' EXIT
tests/gpu/driver.sh "$driver" "$stub" || exit 1
LD_LIBRARY_PATH=$driver${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} "$1"
