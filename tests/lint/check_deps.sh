#!/bin/sh
# check_deps.sh - the walls: which folder may include which, by which of its headers, and
# where a vendor's headers stay. tests/ and tools/ may include anything; nobody includes them.
set -u
cd "$(dirname "$0")/../.." || exit 1
bad=0

# FOLDER | may include | doors
#
# May include: folders, FOLDER/* with all below them, or single headers, doors or not. A
# folder may always include itself and the folders it lies in.
# Doors: the headers that others may include; * is all of them but NAME_internal.h. What is no
# door is the folder's own affair, and of the folders in it.
# Every header named here is there, and whatever may be included is, but for base.
# A folder without a row belongs to the one it lies in.
walls() {
    cat <<'TABLE'
base                 |                                                  | *

kernels              | base kernels/ref kernels/cpu kernels/cuda        | kern.h tensor.h memory.h pixels.h kern_device.h kern_dry_run.h
kernels/ref          | base                                             | kern_ref.h
kernels/cpu          | base kernels/ref                                 | kern_cpu.h
kernels/cuda         | base kernels/cuda/*                              | cuda_backend.h cuda_dev.h
kernels/cuda/library | base                                             | *
kernels/cuda/plain   | base                                             | cuda_plain.h
kernels/cuda/fused   | base kernels/cuda/library kernels/cuda/plain     | *
kernels/cuda/fp8     | base kernels/cuda/library kernels/cuda/plain kernels/cuda/fused | *

comm                 | base kernels/tensor.h kernels/memory.h kernels/cuda/cuda_dev.h | comm.h world.h heartbeat.h
comm/thread          | base                                             |
comm/mpi             | base                                             |
comm/nccl            | base kernels/cuda/cuda_dev.h                     |

cluster              | base                                             | *

jobs/yaml            | base                                             | *
jobs/spec            | base jobs/yaml                                   | job.h card.h clip.h clip_spec.h model_spec.h spec_json.h
jobs/queue           | base                                             | queue.h

pipeline/weights     | base kernels                                     | weights.h weight_bind.h tensor_file.h
pipeline/text        | base kernels pipeline/weights pipeline/text/clean | text_encoder.h tokenizer.h umt5.h
pipeline/text/clean  | base                                             | text_clean.h
pipeline/dit         | base kernels pipeline/weights                    | dit.h schedule.h noise.h rope.h
pipeline/cache       | base kernels pipeline/dit/rope.h                 | kv_cache.h kv_policy.h kv_state.h
pipeline/line        | base kernels comm cluster/split.h pipeline/dit pipeline/cache | line.h timeline.h
pipeline/vae         | base kernels pipeline/weights                    | vae.h
pipeline/decode      | base comm pipeline/vae                           | decode_chain.h decode_link.h
pipeline/resume      | base                                             | snapshot.h
pipeline/output      | base kernels/tensor.h kernels/pixels.h pipeline/weights/tensor_file.h pipeline/resume pipeline/output/av | clip_writer.h sidecar.h finished_clip.h clip_claim.h attempts.h drift.h
pipeline/output/av   | base kernels/pixels.h                            | video.h video_pictures.h video_read.h codec.h
pipeline/engine/dispatch | base jobs/spec/spec_json.h pipeline/weights pipeline/output/av | dispatch.h
pipeline/engine      | base kernels comm cluster pipeline/* jobs/spec/clip_spec.h jobs/spec/model_spec.h jobs/spec/spec_json.h | engine.h work_source.h workload.h workload_query.h model_check.h footprint.h model_pool.h output_formats.h

cmd                  | base kernels comm jobs/spec pipeline/weights pipeline/text pipeline/text/clean pipeline/dit pipeline/line pipeline/vae pipeline/output pipeline/output/av pipeline/engine |
cmd/render           | base comm jobs/spec jobs/yaml pipeline/dit pipeline/output pipeline/engine | render_run.h
cmd/queue            | base comm jobs/spec jobs/yaml jobs/queue pipeline/dit pipeline/output pipeline/engine cmd/render | queue_url.h queue_json.h
cmd/serve            | base jobs/yaml jobs/queue cmd/queue              |
cmd/launch           | base jobs/spec cmd/queue                         |
cmd/plan             | base kernels pipeline/engine cmd/bench           |
cmd/bench            | base kernels comm pipeline/text pipeline/dit pipeline/line pipeline/vae pipeline/output/av pipeline/engine | bench_file.h
cmd/verify           | base kernels comm pipeline/weights pipeline/text pipeline/text/clean pipeline/cache pipeline/line pipeline/vae pipeline/output |
cmd/doctor           | base kernels comm jobs/spec pipeline/output/av   |
TABLE
}

# Headers that only their own folder includes are its FOLDER_internal.h, or part of a door, for
# another header includes them. But for these, each of which has a reader of its own kind:
private() {
    cat <<'TABLE'
kernels/cpu/cpu_tile.h                       vectors and oneDNN, below the operations and their threads
kernels/cuda/plain/cuda_plain_kernels.h      nvcc
kernels/cuda/fp8/cuda_fp8_kernels.h          nvcc
kernels/cuda/fused/cuda_fused_conv_plan.h    tests, without a card
pipeline/text/tokenizer_model.h              C++
TABLE
}

files() {
    find base kernels comm cluster jobs pipeline cmd -name '*.[ch]' -o -name '*.cc' -o -name '*.cu' -o -name '*.cuh' | sort
}

includes() { # FILE HEADER, one on each line
    files | xargs grep -oE '^ *# *include *"[^"]+"' | sed 's/^\([^:]*\):[^"]*"\(.*\)"$/\1 \2/'
}

# Findings of an include: a header that is not there under this path, a folder that may not be
# included at all, a header that is no door, one that should be its folder's internal one. Of
# the table: a door or a header that is not there, an entry that nobody uses.
{ files | sed 's/^/file /' && walls | sed 's/^/wall /' && private | sed 's/^/private /' && includes; } | awk '
function owner(path) { # the row that a file belongs to
    while (sub(/\/[^\/]*$/, "", path)) if (path in doors) return path
    return ""
}
function within(folder, outer) { return folder == outer || index(folder, outer "/") == 1 }
function allowed(from, to, header,    i, n, may, entry) {
    n = split(mays[from], may, " ")
    for (i = 1; i <= n; i++) {
        entry = may[i]
        if (entry == header || entry == to || (sub(/\/\*$/, "", entry) && within(to, entry))) {
            needed[from, may[i]] = 1
            return entry == header ? "by name" : "folder"
        }
    }
    return ""
}
function complain(what) { print what; bad = 1 }
$1 == "file" {
    there[$2] = 1
    next
}
$1 == "wall" {
    if (NF < 3) next
    split(substr($0, 6), column, "|")
    gsub(/ /, "", column[1])
    mays[column[1]] = column[2]
    doors[column[1]] = " " column[3] " "
    next
}
function folder(path) { return substr(path, 1, match(path, /\/[^\/]*$/) - 1) }
$1 == "private" {
    private[$2] = 1
    next
}
{
    if (folder($1) != folder($2) || ($1 ~ /\.h$/ && $1 !~ /_internal\.h$/)) shown[$2] = 1
    else used[$2] = 1
    from = owner($1)
    to = owner($2)
    name = $2
    sub(/.*\//, "", name)
    if (from == "") complain($1 ": no row of the table is of this folder")
    else if (to == "") complain($1 ": \"" $2 "\" is in no folder that may be included")
    else if (within(from, to)) next
    else if ((how = allowed(from, to, $2)) == "")
        complain($1 ": " from " may not include \"" $2 "\"")
    else if (how == "folder" && (doors[to] !~ / \* / || name ~ /_internal\.h$/) &&
             index(doors[to], " " name " ") == 0)
        complain($1 ": \"" $2 "\" is no door of " to "; those are:" doors[to])
    seen++
}
END {
    for (row in doors) {
        n = split(doors[row], name_of, " ")
        for (i = 1; i <= n; i++)
            if (name_of[i] != "*" && !(row "/" name_of[i] in there))
                complain("check_deps: " row " has a door " name_of[i] " that is not there")
        n = split(mays[row], name_of, " ")
        for (i = 1; i <= n; i++)
            if (name_of[i] != "base" && !((row, name_of[i]) in needed))
                complain("check_deps: " row " may include " name_of[i] ", and does not")
    }
    for (header in used)
        if (!(header in shown) && header !~ /_internal\.h$/ && !(header in private))
            complain(header ": only its own folder includes it: that is its _internal.h\047s")
    for (header in private)
        if (!(header in used) || header in shown) complain("check_deps: " header " is not private")
    if (seen < 200) complain("check_deps: only " seen + 0 " includes between folders were seen")
    exit bad
}' || bad=1

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
stays MPI 'mpi\.h' comm/mpi/
stays NCCL 'nccl\.h' comm/nccl/
stays CUDA '(cuda|cublas|cudnn|nvml)[a-zA-Z_0-9]*\.h' kernels/cuda/ comm/comm_device comm/nccl/
stays oneDNN '(oneapi/)?(dnnl/)?dnnl[a-z_]*\.h(pp)?' kernels/cpu/dnn
stays libav 'lib(av|sw)[a-z]+/[a-z_]+\.h' pipeline/output/av/ pipeline/output/contact_sheet
stays libyaml 'yaml\.h' jobs/yaml/
stays SQLite 'sqlite3\.h' jobs/queue/store_sqlite
stays libpq 'libpq-fe\.h' jobs/queue/store_postgres
stays libmicrohttpd 'microhttpd\.h' cmd/serve/serve_http
stays SentencePiece 'sentencepiece[a-z_]*\.h' pipeline/text/
stays libcrypto 'openssl/[a-z]+\.h' base/digest
stays utf8proc 'utf8proc\.h' pipeline/text/clean/

# What is ours is included by its path in quotes, where the table sees it.
if grep -rnE '^ *# *include *<(base|kernels|comm|cluster|jobs|pipeline|cmd|tests|tools)/' \
    --include='*.[ch]' --include='*.cc' --include='*.cu' --include='*.cuh' base kernels comm cluster jobs pipeline cmd; then
    echo "headers of this tree are included in quotes"
    bad=1
fi

# tests/standin/ stands in for the device, so it begins with the toolkit's own types.
if grep -rnE '^ *# *include *<(cuda|cublas|cudnn|nvml)[a-zA-Z_0-9]*\.h>' --include='*.h' --exclude-dir=standin .; then
    echo "CUDA headers are included by no header but those of .cu files (.cuh)"
    bad=1
fi
exit $bad
