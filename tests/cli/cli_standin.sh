#!/bin/sh
# cli_standin.sh - the program on the stand-in of a card: render by every level of cuda's kernels,
# on one rank and on several. (That six ranks give the bits of one, by each level and in each
# precision, is a part of tools/gpu_check.sh.) ROLLMILL: a program of MODE=standin.
ROLLMILL=${ROLLMILL:-build/standin/rollmill}
[ -x "$ROLLMILL" ] || { echo "$ROLLMILL is not built: it needs CUDA's headers" && exit 77; }
. "$(dirname "$0")/world.sh"

# tells FILE FIELD WORDS: in what the clip says of itself
tells() {
    grep -q "\"$2\": \"$3" "$1" || wrong "$1: $2 is not $3: $(grep "\"$2\":" "$1")"
}

# clip NAME BACKEND DETERMINISM OPTION...
clip() {
    name=$1 backend=$2 determinism=$3
    shift 3
    job "$name.yaml" "$name" 1s 'output: {dir: out}'
    expect 0 'render: 1 clips made' render --backend cuda "$@" "$name.yaml"
    grep -q "^backend: $backend, $determinism,.* on stand-in" err.txt || wrong "$name: $(grep '^backend:' err.txt)"
    about=out/$name/clip.json
    [ -s "out/$name/clip.mp4" ] && [ -s "$about" ] || { wrong "$name: no clip" && return; }
    tells "$about" backend "$backend"
    tells "$about" kernels 'stand-in 0 on the host'
    tells "$about" device 'stand-in 0 on the host'
    tells "$about" determinism "$determinism"
}
expect 2 'computes in FP8 beside bf16' "$rollmill" verify --backend cuda --kernels 3 --precision f32 "$top/tests/golden/rolling-one-block"
SIZE=16x16 fps=9 # a block
clip plain cuda-1 batch --kernels 1
clip fast cuda-2 batch --kernels 2
clip fp8 cuda-4 batch --kernels 4
clip two cuda-2 strict --ranks 2 --determinism strict
clip words cuda-2 batch --kernels 2 --text-backend cpu
tells out/words/clip.json text_backend cpu
export STANDIN_DEVICES=2
clip two-cards cuda-2 batch --ranks 2 --ranks-per-line 2
clip two-heads cuda-2 batch --ranks 2 --ranks-per-line 2 --exchange heads --wire fp8
tells out/two-heads/clip.json exchange heads
# A rank that cannot load its part ends the others now, not at their deadline.
mkdir bad
cp -r model/* bad
sed -i 's/decoder.head.2.bias/decoder.head.2.bixs/g' bad/Wan2.1_VAE.pth # its checksum is wrong now
job bad.yaml bad 1s 'output: {dir: out}'
sed -i 's|model/card|bad/card|' bad.yaml
begin=$(date +%s)
expect 2 'CRC error' render --backend cuda --ranks 2 --ranks-per-line 2 --deadline 600 bad.yaml
[ $(($(date +%s) - begin)) -lt 120 ] || wrong "a bad VAE: $(($(date +%s) - begin)) s until all had ended"
exit $fail
