#!/bin/sh
# demo.sh - the films of jobs/examples/demo.yaml, by the demo model, on two ranks of this process.
# RANKS: others. Says where films and contact sheets lie.
set -eu
cd "$(dirname "$0")/.."
rollmill=${ROLLMILL:-./rollmill}
job=jobs/examples/demo.yaml

mkdir -p build/demo
stamp=$(mktemp build/demo/.began.XXXXXX)
trap 'rm -f "$stamp"' EXIT
"$rollmill" render "$job" --ranks "${RANKS:-2}"
echo "films, and contact sheets of them (one picture a block, in rows):"
find build/demo -name .attempts -prune -o \( -name '*.mp4' -o -name contact.png \) -newer "$stamp" -print | sort
