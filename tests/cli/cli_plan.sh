#!/bin/sh
# cli_plan.sh - `rollmill plan`: role maps, bytes, choices and refusals; `bench --for`
# feeds it, and only what was measured for the same is taken.
. "$(dirname "$0")/world.sh"

plan() { "$rollmill" plan "$@"; }

# has WORDS COMMAND...: exit 0, and words that stdout must hold
has() {
    words=$1
    shift
    "$@" >out.txt 2>err.txt || wrong "$*: exit $?: $(tail -n 3 err.txt)"
    grep -qF -- "$words" out.txt || wrong "$*: no \`$words\` in: $(cat out.txt)"
}

job job.yaml a 2s
gpus='node:2 gpu:8 nvlink mem:80GiB ib:400'

has 'ranks 0-5     line 0    stages 0 | 1 | 2 | 3 | 4 | clean' \
    plan job.yaml --topo "$gpus" --ranks 8 --ranks-per-line 6 --decode-ranks 2
has 'ranks 6-7     decode    line 0, in a chain of 2; prompts on rank 6' \
    plan job.yaml --topo "$gpus" --ranks 8 --ranks-per-line 6 --decode-ranks 2
has 'rank  8       idle      1 rank left is too few for another line of 6' \
    plan job.yaml --topo 'cpu:9' --ranks-per-line 6 --decode-ranks 2
has 'speeds     estimated' plan job.yaml
has 'latency: ' plan job.yaml --topo "$gpus" --for latency
has 'rank  1       idle      there is only 1 clip' plan job.yaml --topo 'cpu:2' --ranks-per-line 1 --decode-ranks 0
sed 's|config.json|marked.json|' model/card.yaml >model/marked.yaml
{ printf '\357\273\277' && cat model/config.json; } >model/marked.json
sed 's|model/card|model/marked|' job.yaml >marked.yaml
has 'latency: ' plan marked.yaml --topo "$gpus" --for latency # a config with a byte order mark
has '"frames_per_second"' plan job.yaml --topo "$gpus" --json
has '"role": "decode"' plan job.yaml --topo "$gpus" --ranks-per-line 6 --decode-ranks 4 --json

# What --json says of every rank is what its arenas sum up to.
plan job.yaml --topo "$gpus" --json 2>/dev/null >plan.json
awk -F '[:,]' '
    /"bytes": \{/ { sum = 0; inside = 1; next }
    inside && /\}/ { inside = 0 }
    inside { sum += $2 }
    /"role": "idle"/ { idle++ }
    /"all_bytes"/ { ranks++; if ($2 + 0 != sum) bad++; if (sum == 0) empty++ }
    END { exit !(ranks == 16 && bad == 0 && empty == idle && idle < ranks) }' plan.json || wrong "bytes of a rank do not sum up"

# A line's clean rank keeps more clean blocks than the first.
plan job.yaml --topo "$gpus" --ranks 6 --ranks-per-line 6 --decode-ranks 0 --json 2>/dev/null >plan.json
sed -n 's/.*"cache": \([0-9]*\).*/\1/p' plan.json >cache.txt
first=$(head -n 1 cache.txt)
clean=$(tail -n 1 cache.txt)
[ "${clean:-0}" -gt "${first:-0}" ] || wrong "the clean rank's cache is $clean, the first's $first"

# In batch a rank's work is as large as its stages are many; on a rank with one, all is as it was.
scratch() { # DETERMINISM RANKS
    plan job.yaml --topo "$gpus" --determinism "$1" --ranks "$2" --ranks-per-line "$2" --decode-ranks 0 \
        --json 2>/dev/null | sed -n 's/.*"scratch": \([0-9]*\).*/\1/p' | head -n 1
}
strict=$(scratch strict 1)
batch=$(scratch batch 1)
[ "${batch:-0}" -gt "${strict:-0}" ] || wrong "scratch is $strict strict, $batch in batch"
strict=$(scratch strict 6)
batch=$(scratch batch 6)
[ "${batch:-0}" -eq "${strict:-1}" ] || wrong "on six ranks scratch is $strict strict, $batch in batch"
has ', strict' plan job.yaml
has '"determinism": "batch"' plan job.yaml --determinism batch --json

# Keys and values in 8 bits: a byte for each number of two, and a scale to each row.
sent() { # OPTION...
    plan job.yaml --topo "$gpus" --ranks 6 --ranks-per-line 6 --decode-ranks 0 "$@" --json 2>/dev/null |
        sed -n 's/.*"send_bytes_per_tick": \([0-9]*\).*/\1/p' | head -n 1
}
wide=$(sent)
narrow=$(sent --wire fp8)
[ "${narrow:-0}" -gt $((wide / 2)) ] && [ "$narrow" -lt $((wide * 6 / 10)) ] ||
    wrong "$narrow bytes are sent in 8 bits, else $wide"

# By heads a line of two sends as much as it receives, and keeps half of the cache on each rank.
held() { # OPTION...
    plan job.yaml --topo "$gpus" --ranks 2 --ranks-per-line 2 --decode-ranks 0 "$@" --json 2>/dev/null |
        sed -n 's/.*"cache": \([0-9]*\).*/\1/p' | tail -n 1
}
all=$(held)
half=$(held --exchange heads)
[ "${half:-0}" -gt 0 ] && [ "$half" -eq $((all / 2)) ] || wrong "by heads the cache has $half bytes, else $all"
has ', exchange by heads, keys' plan job.yaml --exchange heads --wire fp8
has 'MiB of queries, keys, values and results' plan job.yaml --topo "$gpus" --ranks 2 --ranks-per-line 2 \
    --decode-ranks 0 --exchange heads
has '"exchange": "heads"' plan job.yaml --exchange heads --json
has 'rank 0: predicted' plan job.yaml --topo 'cpu:2' --ranks-per-line 2 --decode-ranks 0 --exchange heads --wire fp8 --try 0
expect 2 'by heads 3 ranks cannot share a line: the model has 2 heads; 1, 2 ranks are allowed' \
    plan job.yaml --topo "$gpus" --ranks 3 --ranks-per-line 3 --exchange heads
has ', strict, keys and values in fp8' plan job.yaml --wire fp8
has '"wire": "fp8"' plan job.yaml --wire fp8 --json

# For real: the prediction holds once a model is larger than the program's own pages.
has 'rank 0: predicted' plan job.yaml --topo 'cpu:2' --try 0
SIZE=512x384 job big.yaml b 2s
plan big.yaml --topo 'cpu:1' --ranks 8 --ranks-per-line 6 --decode-ranks 2 --try 7 >out.txt 2>err.txt ||
    wrong "--try: $(tail -n 3 err.txt)"
plan job.yaml --topo 'cpu:1' --ranks 4 --ranks-per-line 1 --decode-ranks 1 --try 3 >serves.txt 2>err.txt ||
    wrong "--try of a rank that serves three lines: $(tail -n 3 err.txt)"
off=$(sed -n 's/^rank 7: .*off by \([-+][0-9.]*\) %$/\1/p' out.txt)
echo "a decode rank's bytes are off by ${off:-?} %"
awk -v off="${off:-99}" 'BEGIN { exit !(off > -5 && off < 5) }' || wrong "more than 5 %"

# Speeds of this machine, and of another.
"$rollmill" bench --for job.yaml --threads 1 --json >speed.json 2>err.txt ||
    wrong "bench --for: $(tail -n 3 err.txt)"
has 'speeds     measured, speed.json' plan job.yaml --topo 'cpu:2 threads:1' --bench speed.json
"$rollmill" bench --for job.yaml --json >as_is.json 2>err.txt || wrong "bench --for: $(tail -n 3 err.txt)"
has 'speeds     measured, as_is.json' plan job.yaml --bench as_is.json
has ', 1 thread a rank' plan job.yaml --topo 'cpu:4' --bench speed.json
expect 2 'measured for threads `1`; this plan is for `2`' \
    plan job.yaml --topo 'cpu:2 threads:2' --bench speed.json
expect 2 'measured for size `64x48`; this plan is for `512x384`' \
    plan big.yaml --topo 'cpu:2 threads:1' --bench speed.json
expect 2 'measured for precision' \
    plan job.yaml --topo 'cpu:2 threads:1' --bench speed.json --precision f32
sed 's/"noise_seconds": .*,/"noise_seconds": -1,/' speed.json >bad.json
expect 2 'bad.json: noise_seconds: a number above 0 is allowed' \
    plan job.yaml --topo 'cpu:2 threads:1' --bench bad.json
expect 2 'not what `rollmill bench --for JOB --json` prints' plan job.yaml --bench job.yaml
expect 2 'none.json' plan job.yaml --bench none.json

# Refusals.
expect 2 'column 8: `gpus:8`' plan job.yaml --topo 'node:2 gpus:8'
expect 2 '9 ranks for 8 GPUs' plan job.yaml --topo 'gpu:8' --ranks 9
expect 2 'there are 4 ranks in all; 1 to 4 are allowed' \
    plan job.yaml --topo 'gpu:4' --ranks-per-line 6
expect 2 'it does not fit' plan big.yaml --topo 'gpu:8 mem:1MiB'
expect 2 '--try 9: 0 to 1 are allowed' plan job.yaml --topo 'cpu:2' --try 9
expect 2 '--backend cpu: machines with GPUs compute with cuda' plan job.yaml --backend cpu --topo gpu:2
if plan job.yaml --backend cuda --topo gpu:2 >/dev/null 2>&1; then
    expect 2 '--backend cuda: the machines have no GPUs' plan job.yaml --backend cuda --topo cpu:2
    "$rollmill" doctor 2>&1 | grep -q '^ok *card' ||
        expect 1 '--try: cuda-2 opens what it holds for real, and here it cannot' \
            plan job.yaml --topo gpu:2 --try 0
fi

# However many prompts there are, few of their embeddings are held at one time.
prompts() {
    job many.yaml many 9f "sweep: {axes: {n: {range: \"10000-$1\"}}}"
    sed -i 's/^prompt:.*/prompt: "boat {n}"/' many.yaml
    plan many.yaml --topo cpu:1 --json 2>/dev/null | sed -n 's/.*"prompts": \([0-9]*\),*/\1/p' | head -n 1
}
few=$(prompts 10009) some=$(prompts 11999) many=$(prompts 15999)
[ "${few:-0}" -gt 0 ] && [ "$some" -gt "$few" ] && [ "$many" -lt $((some + some / 10)) ] ||
    wrong "10, 2000 and 6000 prompts hold ${few:-nothing}, $some and $many bytes"

# The text encoder is large and only its size counts: without its file it is taken as the one of
# the released models, whose vectors these are not.
encoder=$(sed -n 's/.*encoder: *//p' model/card.yaml)
mv "model/$encoder" away
expect 2 'text.encoder: ' plan job.yaml --topo cpu:2
mv away "model/$encoder"
expect 2 'one size, precision' plan job.yaml big.yaml
expect 2 'at least one JOB.yaml' plan
exit $fail
