#!/bin/sh
# driver.sh OUT STUB - a stand-in for the CUDA driver: OUT/libcuda.so.1 with every function of
# the toolkit's stub. Those that load a compiled kernel say that they did, all others fail as
# the stub's do (34, CUDA_ERROR_STUB_LIBRARY). For tests that only make plans.
set -eu
out=$1
mkdir -p "$out"
{
    cat <<'C'
static int one;
int cuLibraryLoadData(void **library) { *library = &one; return 0; }
int cuLibraryGetKernel(void **kernel) { *kernel = &one; return 0; }
int cuKernelGetFunction(void **function) { *function = &one; return 0; }
C
    nm -D --defined-only "$2" | awk '
        $2 != "T" || $3 ~ /^cu(LibraryLoadData|LibraryGetKernel|KernelGetFunction)$/ { next }
        { print "int " $3 "(void) { return " ($3 ~ /^cu(Library|Kernel)/ ? 0 : 34) "; }" }'
} >"$out/libcuda.c"
${CC:-gcc} -shared -fPIC -Wl,-soname,libcuda.so.1 -o "$out/libcuda.so.1" "$out/libcuda.c"
