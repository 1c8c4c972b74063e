#!/bin/sh
# cli_prompt.sh - one sentence, without a job file: its job, its model, its folder.
. "$(dirname "$0")/world.sh"

prompt() { render --length 1s "$@"; }

# The whole of it is the job one would have written.
sentence='A "calm" harbour, {before} sunrise \o/'
expect 0 'render: 1 clips made' prompt --prompt "$sentence" --model model/card.yaml --size 64x48 --seed 5
made=out/a-calm-harbour-before-sunrise-o
for file in clip.mp4 contact.png clip.json; do
    [ -s "$made/$file" ] || wrong "$made/$file is missing"
done
cat >same.yaml <<'END'
render: 1
name: same
model: model/card.yaml
prompt: 'A "calm" harbour, {{before}} sunrise \o/'
clip: {size: 64x48, length: 1s, seed: 5}
END
expect 0 'render: 1 clips made' render same.yaml
pictures() { grep '"planes_sha256"' "$1/clip.json"; }
[ -n "$(pictures out/same)" ] && [ "$(pictures $made)" = "$(pictures out/same)" ] ||
    wrong "another clip than the job's: $(pictures $made) $(pictures out/same)"

# Again is another folder; the card says the size, the environment the card.
sed 's/^license/size: 32x16\nlicense/' model/card.yaml >model/sized.yaml
expect 0 'render: 1 clips made' env ROLLMILL_MODEL=model/sized.yaml \
    "$rollmill" render --no-prompt-cache --prompt "$sentence" --length 1s
grep -q '"width": 32' "$made-v2/clip.json" || wrong "the card's size is not taken"

# Where nobody says which, it is the demo model here, or that of the program.
mkdir -p models && cp -r model models/demo && cp models/demo/sized.yaml models/demo/card.yaml
expect 0 'render: 1 clips made' prompt --prompt '...' --out elsewhere
grep -q '"width": 32' elsewhere/clip/clip.json || wrong "the demo model here is not taken"
rm -r models/demo
mkdir -p prefix/bin prefix/share/rollmill/models
cp "$rollmill" prefix/bin && cp -r model prefix/share/rollmill/models/demo
expect 0 'render: 1 clips made' prefix/bin/rollmill render --no-prompt-cache --prompt 'of the prefix' --length 1s --size 32x16
rm -r prefix/share
expect 2 'prefix/bin/../share/rollmill/models/demo/card.yaml; allowed: --model CARD' prefix/bin/rollmill render --prompt x

# What is wrong is said as of a job.
expect 2 '--prompt:6:11: clip.length: found "soon"' render --prompt x --model model/card.yaml --length soon
expect 2 '--prompt:8:9: clip.size: found "7x7"' prompt --prompt x --model model/card.yaml --size 7x7
expect 2 '--seed goes with --prompt' render same.yaml --seed 3
expect 2 'at least one JOB.yaml, or --prompt' render same.yaml --prompt x
expect 2 'no/such.yaml' prompt --prompt x --model no/such.yaml

# Every rank of a world has the same sentence.
expect 0 'render: 1 clips made' prompt --prompt 'two ranks' --model model/card.yaml --size 64x48 --ranks 2
exit $fail
