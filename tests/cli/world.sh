#!/bin/sh
# world.sh - sourced by the scripts that render: a folder with a tiny model of
# random weights, its card, and a way to write jobs. ROLLMILL, MAKE_MODEL: programs. SIZE: of
# the pictures.
set -u
rollmill=$(realpath "${ROLLMILL:-./rollmill}") || exit 1
make_model=$(realpath "${MAKE_MODEL:-build/release/make_model}") || exit 1
top=$(pwd)
card=$(realpath tools/tiny-random.yaml) || exit 1
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
fail=0
SIZE=${SIZE:-64x48}

"$make_model" model --size tiny >/dev/null 2>&1 || exit 1
cp "$card" model/card.yaml

# job FILE NAME LENGTH [LINES]: a job of one small clip of SIZE, with further lines of YAML
job() {
    cat >"$1" <<END
render: 1
name: $2
model: model/card.yaml
prompt: "a harbour before sunrise"
clip: {size: $SIZE, fps: ${fps:-16}, length: $3, seed: 5}
${4:-}
END
}

# world N COMMAND...: as N ranks of mpirun
world() { BUILT=$rollmill "$top/tests/mpirun.sh" "$@"; }

render() { "$rollmill" render --no-prompt-cache "$@"; }

wrong() {
    echo "$*"
    fail=1
}

# await COMMAND...: until it holds; two minutes at most, on a machine with much else to do
await() {
    n=0
    while ! "$@" && [ $n -lt 1200 ]; do sleep 0.1 && n=$((n + 1)); done
}

# expect CODE WORDS COMMAND...: exit code, and words that stderr must hold
expect() {
    code=$1 words=$2
    shift 2
    "$@" >out.txt 2>err.txt
    rc=$?
    [ "$rc" -eq "$code" ] || wrong "$*: exit $rc, wanted $code: $(tail -n 3 err.txt)"
    grep -qF -- "$words" err.txt || wrong "$*: no \`$words\` in: $(cat err.txt)"
}
