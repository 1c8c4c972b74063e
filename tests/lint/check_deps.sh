#!/bin/sh
# Which folder may include which (headers in quotes), and where a vendor's
# headers stay. tests/ and tools/ may include anything; nobody includes them.
set -u
cd "$(dirname "$0")/../.." || exit 1
bad=0

allowed() {
    case $1 in
    base) echo "base/" ;;
    kernels) echo "base/ kernels/" ;;
    comm) echo "base/ comm/ kernels/tensor.h kernels/memory.h kernels/cuda/cuda_dev.h" ;;
    pipeline/engine) echo "base/ kernels/ comm/ cluster/ jobs/ pipeline/ cmd/" ;;
    cluster) echo "base/ cluster/" ;;
    jobs) echo "base/ jobs/" ;;
    pipeline/*) echo "base/ kernels/ comm/ cluster/split.h pipeline/" ;;
    cmd) echo "base/ kernels/ comm/ cluster/ jobs/ pipeline/ cmd/" ;;
    esac
}

for dir in base kernels comm cluster jobs pipeline/weights pipeline/text pipeline/dit pipeline/cache pipeline/line pipeline/vae pipeline/decode pipeline/output pipeline/engine cmd; do
    [ -d "$dir" ] || continue
    uses=$(grep -rhoE '^ *# *include *"[^"]+"' "$dir" | sed 's/.*"\(.*\)"/\1/' | sort -u)
    for use in $uses; do
        ok=0
        for may in $(allowed $dir); do
            case $use in "$may"*) ok=1 ;; esac
        done
        [ $ok = 1 ] && continue
        echo "$dir/ may not include \"$use\":"
        grep -rlF "\"$use\"" "$dir" | sed 's/^/    /'
        bad=1
    done
done

# stays NAME REGEX WHERE...: a header that matches is included there and nowhere else
stays() {
    name=$1 regex=$2
    shift 2
    found=$(grep -rlE "^ *# *include *<$regex>" --include='*.[ch]' --include='*.cc' --include='*.cu' --include='*.cuh' \
        base kernels comm cluster jobs pipeline cmd 2>/dev/null)
    for file in $found; do
        ok=0
        for place in "$@"; do
            case $file in "$place"*) ok=1 ;; esac
        done
        [ $ok = 1 ] || { echo "$file: $name belongs in $*" && bad=1; }
    done
}
stays MPI 'mpi\.h' comm/
stays NCCL 'nccl\.h' comm/nccl/
stays CUDA '(cuda|cublas|cudnn|nvml)[a-zA-Z_0-9]*\.h' kernels/cuda/ comm/comm_device comm/nccl/
stays oneDNN '(oneapi/)?(dnnl/)?dnnl[a-z_]*\.h(pp)?' kernels/cpu/dnn
stays libav 'lib(av|sw)[a-z]+/[a-z_]+\.h' pipeline/output/
stays libyaml 'yaml\.h' jobs/yaml/
stays SentencePiece 'sentencepiece[a-z_]*\.h' pipeline/text/

# tests/standin/ stands in for the device, so it begins with the toolkit's own types.
if grep -rnE '^ *# *include *<(cuda|cublas|cudnn|nvml)[a-zA-Z_0-9]*\.h>' --include='*.h' --exclude-dir=standin .; then
    echo "CUDA headers are included by no header but those of .cu files (.cuh)"
    bad=1
fi
exit $bad
