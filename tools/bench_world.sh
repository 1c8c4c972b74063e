#!/bin/bash
# bench_world.sh NAME - sourced by the scripts that time worlds of ranks: the programs, and a
# folder build/bench/NAME, which becomes the current one, with a model and its card.
set -eu
rollmill=$(realpath "${ROLLMILL:-./rollmill}")
make_model=$(realpath "${MAKE_MODEL:-build/release/make_model}")
mpirun=$(realpath tests/mpirun.sh)
card=$(realpath tools/tiny-random.yaml)

command -v mpirun >/dev/null || { echo "$1: not measured; mpirun is not installed" && exit 0; }
mkdir -p "build/bench/$1"
cd "build/bench/$1"
[ -e model/Wan2.1_VAE.pth ] || "$make_model" model --size bench-small --dim 1024 --ffn 4096 \
    --vae-width 8 --dtype bf16 >/dev/null
cp "$card" model/card.yaml

# write_job SIZE LENGTH SEEDS: clips of seed 1 to SEEDS into out/
write_job() {
    cat >job.yaml <<JOB
render: 1
name: bench
model: model/card.yaml
prompt: "a harbour before sunrise"
clip: {size: $1, fps: 16, length: $2}
sweep: {axes: {seed: {range: "1-$3"}}}
output:
  dir: out
  name: "s{seed}"
JOB
}

# measure RANKS OPTION...: a render of job.yaml, and report.json of it
measure() {
    rm -rf out
    "$mpirun" "$1" "$rollmill" render job.yaml --no-prompt-cache --threads 1 --report report.json "${@:2}" >/dev/null
}

# The one in the middle of the numbers on stdin.
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# column KEY KEY EXPRESSION: its median over the lines of runs.txt that begin with the keys
column() { awk -v first="$1" -v second="$2" "\$1 == first && \$2 == second { print $3 }" runs.txt | median; }
