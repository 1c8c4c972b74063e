#!/bin/sh
# cli_world.sh - a world of ranks under mpirun: the same clips, to the bit, for any
# number of ranks, lines and decode ranks.
. "$(dirname "$0")/world.sh"

SIZE=32x16 # many renders

# Five clips of different lengths and prompts, and each of them alone.
files='  formats:
    - {file: clip.mp4, codec: h264}
    - {file: master.mkv, codec: ffv1, pix: yuv444p}
  latents: {file: latents.safetensors, dtype: f32}'
lengths='1 3 2 4 1'
queue() { # DIR: a file of five jobs into DIR
    rm -f queue.yaml
    i=0
    for length in $lengths; do
        i=$((i + 1))
        job one.yaml "clip$i" "${length}s" "output:
  dir: $1
$files"
        sed -i "s/seed: 5/seed: $i/; s/before sunrise/number $((i / 2))/" one.yaml
        [ -e queue.yaml ] && echo --- >>queue.yaml
        cat one.yaml >>queue.yaml
        [ "${2:-}" = alone ] && expect 0 'render: 1 clips made' render one.yaml
    done
}

# The pictures, and what went into each encoder. (What libx264 makes of the same input
# may differ from run to run.)
hashes() { grep -E '"(pictures|planes)_sha256"' "$1/clip.json"; }

# same DIR WHAT: the clips of DIR are those made alone
same() {
    for i in 1 2 3 4 5; do
        for file in latents.safetensors master.mkv; do
            cmp -s "alone/clip$i/$file" "$1/clip$i/$file" || wrong "$2: clip$i/$file differs"
        done
        [ "$(hashes "alone/clip$i")" = "$(hashes "$1/clip$i")" ] || wrong "$2: clip$i: other pictures"
    done
    rm -rf "$1"
}

queue alone alone
queue together
expect 0 'render: 5 clips made' render queue.yaml
same together 'one rank'

# ranks N OPTION...: under mpirun
ranks() {
    n=$1
    shift
    queue "r$n"
    expect 0 'render: 5 clips made' world "$n" "$rollmill" render --no-prompt-cache queue.yaml \
        --threads 1 --deadline 120 "$@"
    same "r$n" "$n ranks $*"
}

for n in 1 2 3 6; do ranks $n --ranks-per-line $n; done # 4 and 5: mpi_clip
ranks 2 --ranks-per-line 2 --exchange heads
ranks 7 --ranks-per-line 6 --decode-ranks 1
ranks 8 --ranks-per-line 6 --decode-ranks 2
grep -q 'rank *6-7 *decode\|ranks 6-7 *decode' err.txt || wrong "8 ranks: no role map: $(cat err.txt)"
ranks 2 --ranks-per-line 1 --decode-ranks 0
ranks 4 --ranks-per-line 2 --decode-ranks 0
ranks 4 --ranks-per-line 3 --decode-ranks 1
ranks 5 --ranks-per-line 2 --decode-ranks 1
ranks 7 --ranks-per-line 2 --decode-ranks 3
ranks 8 --ranks-per-line 3 --decode-ranks 2
ranks 4 --ranks-per-line 1 --decode-ranks 3
grep -q 'chain of 3' err.txt || wrong "no chain of three decode ranks: $(cat err.txt)"

# The same roles over ranks that are threads.
for options in '--ranks 8 --ranks-per-line 6 --decode-ranks 2' '--ranks 5 --ranks-per-line 2 --decode-ranks 1' '--ranks 4 --ranks-per-line 1 --decode-ranks 3'; do
    queue threads
    # shellcheck disable=SC2086 # several words
    expect 0 'render: 5 clips made' render queue.yaml $options
    same threads "threads $options"
done

# A rank that cannot be used is said to be idle, and why.
queue idle
expect 0 'render: 5 clips made' world 5 "$rollmill" render --no-prompt-cache queue.yaml --threads 1 \
    --ranks-per-line 4 --decode-ranks 0
grep -q 'idle' err.txt || wrong "no idle rank named: $(cat err.txt)"
same idle 'an idle rank'

# One clip goes down one line: the ranks of others are idle, by name.
job lone.yaml lone 1s 'output: {dir: lone}'
expect 0 'render: 1 clips made' world 6 "$rollmill" render --no-prompt-cache lone.yaml --threads 1 \
    --ranks-per-line 2 --decode-ranks 0
[ "$(grep -c 'idle.*there is only 1 clip' err.txt)" -ge 1 ] || wrong "idle lines are not named: $(cat err.txt)"

# Many short clips on two lines: attempts come and go side by side.
SIZE=16x16 job short.yaml short 9f 'sweep: {axes: {seed: {range: "1-24"}}}
output: {dir: short, name: "s{seed}"}'
for i in 1 2 3; do
    rm -rf short
    expect 0 'render: 24 clips made' world 2 "$rollmill" render --no-prompt-cache short.yaml --threads 1 \
        --ranks-per-line 1 --decode-ranks 0
done

# Two sizes in one queue: grouped, and each clip what it is alone.
queue mixed
SIZE=96x32 job wide.yaml wide 1s "output:
  dir: mixed
$files"
expect 0 'render: 6 clips made' world 4 "$rollmill" render --no-prompt-cache queue.yaml wide.yaml --threads 1 \
    --ranks-per-line 3 --decode-ranks 1
sed 's/dir: mixed/dir: alone/' wide.yaml >wide1.yaml
expect 0 'render: 1 clips made' render wide1.yaml
[ "$(hashes mixed/wide)" = "$(hashes alone/wide)" ] || wrong "the wide clip: other pictures"
same mixed 'two sizes'

# Machines: a line and its decoder stay on one. (Names are faked, where that may be.)
if unshare --uts true 2>/dev/null; then
    queue nodes
    # shellcheck disable=SC2016 # for the inner shell
    expect 0 'render: 5 clips made' world 6 unshare --uts sh -c \
        'hostname machine$((OMPI_COMM_WORLD_RANK / 3)); exec "$@"' sh "$rollmill" render --no-prompt-cache \
        queue.yaml --threads 1 --ranks-per-line 2 --decode-ranks 2
    grep -q 'rank  5       decode    line 1' err.txt || wrong "machines: $(cat err.txt)"
    same nodes 'two machines'
fi

# A rank that reads other weights, or another VAE, under the same name.
mkdir other && "$make_model" other/model --size tiny --seed 9 >/dev/null 2>&1 && cp model/card.yaml other/model
job odd.yaml odd 1s "output: {dir: $PWD/odd}"
cp odd.yaml other
for rank in 1 3; do
    # shellcheck disable=SC2016 # for the inner shell
    expect 2 'reads another file than rank' world 4 sh -c \
        '[ $OMPI_COMM_WORLD_RANK -ne "$1" ] || cd other; shift; exec "$@"' sh $rank \
        "$rollmill" render --no-prompt-cache odd.yaml --threads 1 --ranks-per-line 3 --decode-ranks 1
    [ ! -e odd/odd ] || wrong "rank $rank: a clip of two models appeared"
done

# Ranks that were started otherwise: said at once, whatever it would have led to.
unlike() { # WORDS COMMAND...: rank 1's command
    words=$1
    shift
    expect 2 "$words" timeout 60 "$top/tests/mpirun.sh" 1 "$rollmill" render --no-prompt-cache odd.yaml --threads 1 \
        --ranks-per-line 2 : -n 1 "$@"
}
for other in '--ranks-per-line 1' '--ranks-per-line 2 --backend ref' '--ranks-per-line 2 --report r.json' \
    '--ranks-per-line 2 --determinism batch' '--ranks-per-line 2 --wire fp8' '--ranks-per-line 2 --exchange heads'; do
    # shellcheck disable=SC2086 # several words
    unlike "rank 1 has \`--" "$rollmill" render --no-prompt-cache odd.yaml --threads 1 $other
done
unlike 'rank 1 has `kernels oneDNN' env ONEDNN_MAX_CPU_ISA=SSE41 DNNL_MAX_CPU_ISA=SSE41 "$rollmill" render \
    --no-prompt-cache odd.yaml --threads 1 --ranks-per-line 2

# Occupancy: clips on 6 ranks, counted.
rm -f many.yaml
SIZE=16x16 job many.yaml many 31s 'sweep: {axes: {seed: {range: "1-8"}}}
output: {dir: many, name: "s{seed}"}'
expect 0 'render: 8 clips made' world 6 "$rollmill" render --no-prompt-cache many.yaml --threads 1 \
    --ranks-per-line 6
awk '$3 ~ /^([0-4]|clean)$/ && NF > 4 && $4 ~ /^[0-9.]+$/ { n++; if ($4 < 97) low = 1 }
    END { exit !(n == 6 && !low) }' err.txt || wrong "occupancy under 97 %: $(cat err.txt)"

# A trace opens: an array of events with every kind of span.
queue traced
expect 0 'render: 5 clips made' world 4 "$rollmill" render --no-prompt-cache queue.yaml --threads 1 \
    --ranks-per-line 3 --decode-ranks 1 --trace trace.json
for what in compute exchange hand-over decode encode queue idle load; do
    grep -q "\"name\": \"$what\"" trace.json || wrong "trace: no $what"
done
[ "$(head -c 1 trace.json)" = '[' ] && [ "$(tail -n 1 trace.json)" = ']' ] || wrong "trace: no array"

# A report: what the ranks did adds up, for a program to read.
# numbers KEY: its values, in order
numbers() { sed -n "s/^ *\"$1\": \([-0-9.e]*\),*\$/\1/p" report.json; }
queue told
expect 0 'render: 5 clips made' world 5 "$rollmill" render --no-prompt-cache queue.yaml --threads 1 \
    --ranks-per-line 3 --decode-ranks 1 --report report.json
[ "$(numbers blocks)" = 18 ] && [ "$(numbers pictures)" = 201 ] ||
    wrong "report: $(numbers blocks) blocks, $(numbers pictures) pictures"
[ "$(grep -c '"role": "line"' report.json)" = 3 ] && [ "$(grep -c '"role": "idle"' report.json)" = 1 ] ||
    wrong "report: other roles"
[ "$(numbers stage | tr '\n' ' ')" = '0 1 2 3 4 5 ' ] || wrong "report: stages $(numbers stage)"
paste -d ' ' - - <<END | awk '!($1 > 0 && $2 <= $1 * 1.05 + 0.01) { exit 1 }' || wrong "report: processor time"
$(sed -n 's/.*"compute_[a-z_]*seconds": \([0-9.e-]*\),*/\1/p' report.json)
END
awk '/"process_seconds"/ && $2 + 0 <= 0 { exit 1 }' report.json || wrong "report: no processor time"
expect 1 'no/such/report.json' world 2 "$rollmill" render --no-prompt-cache queue.yaml --report no/such/report.json

# Golden cases over ranks, bit for bit.
golden=$top/tests/golden/rolling-short
"$rollmill" verify --out one "$golden" >/dev/null 2>&1 || wrong "verify"
for n in 2 3 6; do
    expect 0 'all within' world $n "$rollmill" verify --out "v$n" "$golden"
    cmp -s one "v$n" || wrong "verify: other bits on $n ranks"
done
for case in rolling-odd:3 rolling-two-blocks:6 block-21:5 deep-sink:2; do # as many stages at most
    expect 0 'all within' world ${case#*:} "$rollmill" verify --precision bf16 "$top/tests/golden/${case%:*}"
done
expect 2 '9 ranks for a line of 6 stages' world 9 "$rollmill" verify "$golden"
expect 2 'no.yaml: No such file' world 3 "$rollmill" render no.yaml
expect 2 'started 2 ranks and MPI knows of 1' env PMI_RANK=0 PMI_SIZE=2 OMPI_ALLOW_RUN_AS_ROOT=1 \
    OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 "$rollmill" render queue.yaml
expect 2 'name one file' render queue.yaml --trace x.json --report x.json
expect 2 'the launcher sets the number of ranks' world 2 "$rollmill" render queue.yaml --ranks 2
exit $fail
