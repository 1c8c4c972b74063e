#!/bin/sh
# cli_policies.sh - clips with every cache policy, by cards: the same to the bit for any ranks, what
# a policy alone takes from a job, and what docs/policies.md says of its memory. ROLLMILL,
# MAKE_MODEL: programs.
. "$(dirname "$0")/world.sh"
SIZE=48x32 # many renders; a latent frame has 4x6 places of 16 channels, and 6 tokens
block=$((3 * 16 * 4 * 6 * 4))

# with_window NAME WINDOW: a card
with_window() {
    sed "s/kind: rolling, attention_frames: 21, sink_frames: 3/$2/" model/card.yaml >"model/$1.yaml"
}

# clip NAME LENGTH [LINES]: a job of a clip with the card of this name
clip() {
    job "$1.yaml" "$1" "$2" "output: {dir: out, latents: {file: l.safetensors, dtype: f32}}
${3:-}"
    sed -i "s|model/card|model/$1|" "$1.yaml"
}

# Windows so short that every rule is at work in six blocks.
names=
while read -r name window; do
    with_window "$name" "kind: block, $window"
    clip "$name" 72f
    names="$names $name"
done <<'TABLE'
block attention_frames: 9, sink_frames: 3
deep-sink attention_frames: 12, sink_frames: 5, policy: deep-sink
deep-forcing attention_frames: 12, sink_frames: 3, policy: deep-forcing, budget_frames: 9
ema-sink attention_frames: 9, sink_frames: 3, policy: ema-sink
rolling-sink attention_frames: 9, sink_frames: 0, policy: rolling-sink, replay_frames: 6
infinity-rope attention_frames: 6, sink_frames: 1, policy: infinity-rope
memrope attention_frames: 12, sink_frames: 3, policy: memrope
adaptive attention_frames: 12, sink_frames: 3, policy: memrope, adaptive: 1
relax-forcing attention_frames: 7, sink_frames: 2, policy: relax-forcing, reservoir_frames: 12
echo-forcing attention_frames: 12, sink_frames: 3, policy: echo-forcing, history_frames: 9, calibration_frames: 9
forcing-kv attention_frames: 6, sink_frames: 1, policy: forcing-kv, static_heads: [[], [1]]
lol attention_frames: 9, sink_frames: 3, policy: lol
TABLE
# A window without a policy, with a recache at block 4 of 6.
while read -r name window; do
    with_window "$name" "kind: block, $window"
    clip "$name" 72f
    sed -i 's/^prompt: .*/prompts: [{at: 0s, text: sea}, {at: 45f, text: fog, change: recache}]/' "$name.yaml"
    names="$names $name"
done <<'TABLE'
recache attention_frames: 9, sink_frames: 3, sink_positions: moving
renewed attention_frames: 9, sink_frames: 3, renew_sink: 1
TABLE
# shellcheck disable=SC2086 # names without blanks
jobs=$(printf '%s.yaml ' $names)
for ranks in 1 3 5; do
    rm -rf out
    # shellcheck disable=SC2086 # the same
    expect 0 'render: 14 clips made' render $jobs --ranks $ranks --ranks-per-line $ranks
    for name in $names; do
        [ $ranks -gt 1 ] || cp "out/$name/l.safetensors" "$name.1"
        cmp -s "$name.1" "out/$name/l.safetensors" || wrong "$name: other bits on $ranks ranks"
    done
done
for name in $names; do
    for other in $names; do
        [ "$name" = "$other" ] || ! cmp -s "$name.1" "$other.1" || wrong "$name: the clip of $other"
    done
done

# A job's window over the card's is the same clip, and a line of its own.
job asked.yaml asked 72f "output: {dir: out, latents: {file: l.safetensors, dtype: f32}}
window: {kind: block, attention_frames: 9, policy: ema-sink}"
job plain.yaml plain 72f 'output: {dir: out}'
rm -rf out
expect 0 'group: 1 clips of 48x32, tiny-random' render asked.yaml plain.yaml
cmp -s ema-sink.1 out/asked/l.safetensors || wrong "a job's window: not the card's clip"
grep -q '"policy": *"ema-sink"' out/asked/clip.json || wrong "clip.json says nothing of a job's policy"
sed 's/policy: ema-sink/policy: ema-sink, gate: 1/' asked.yaml >bad.yaml
expect 2 'bad.yaml:7:62: window.gate: gate is no key of the policy ema-sink' render bad.yaml

# A cut sets the block at which it is apart, and nothing before.
scenes() { # NAME CHANGE
    sed "s/^prompt: .*/prompts: [{at: 0s, text: sea}, {at: 33f, text: fog$2}]/" infinity-rope.yaml >"$1.yaml"
    sed -i "s/^name: .*/name: $1/" "$1.yaml"
}
latents() { # CLIP FIRST: from this byte of the numbers on, a block's
    head=$(od -An -tu8 -N8 "out/$1/l.safetensors" | tr -d ' ')
    tail -c +$((9 + head + $2)) "out/$1/l.safetensors" | head -c $block
}
scenes flush ''
scenes cut ', change: cut'
expect 0 'render: 2 clips made' render flush.yaml cut.yaml
latents flush $((2 * block)) >flush.before && latents cut $((2 * block)) >cut.before
cmp -s flush.before cut.before || wrong "a cut changes what is before it"
latents flush $((3 * block)) >flush.at && latents cut $((3 * block)) >cut.at
cmp -s flush.at cut.at && wrong "a cut changes nothing"
grep -q '"change": *"cut"' out/cut/clip.json || wrong "clip.json says nothing of a cut"
sed -e 's|model/infinity-rope|model/block|' cut.yaml >no-cut.yaml
expect 2 'has no rule for a cut; infinity-rope has' render no-cut.yaml
rm -rf out
expect 2 'goes by all heads of a layer together' render adaptive.yaml --ranks 2 --exchange heads

# A profile of another model is found before anything is loaded, and so are chunks that do not fit.
with_window other 'kind: block, attention_frames: 6, sink_frames: 1, policy: forcing-kv, static_heads: [[]]'
clip other 72f
expect 2 'static_heads: of 1 layers; the model has 2' "$rollmill" check other.yaml
with_window chunks 'kind: block, attention_frames: 6, sink_frames: 1, policy: forcing-kv, static_heads: [[], []], chunks_per_frame: 4, retention: 0.34'
clip chunks 72f
expect 2 'chunks_per_frame: 4; what divides 6' "$rollmill" plan chunks.yaml --topo 'cpu:1 threads:1' --ranks 1

# What a rank keeps, at the released settings: keys and values of so many frames, as the table of
# docs/policies.md has them. A frame of this model: 6 tokens of 128, bf16, in two layers.
frame=$((2 * 6 * 128 * 2 * 2))
while read -r frames name window; do
    with_window "$name" "$window"
    clip "$name" 1800s
    "$rollmill" plan "$name.yaml" --topo 'cpu:1 threads:1' --ranks 1 --json >plan.json 2>err.txt || wrong "$name: $(cat err.txt)"
    cache=$(sed -n 's/.*"cache": \([0-9]*\),.*/\1/p' plan.json | head -n 1)
    [ "$cache" = $((frames * frame)) ] || wrong "$name: a cache of $cache bytes, wanted $frames frames of $frame"
done <<'TABLE'
24 rolling kind: rolling, attention_frames: 21, sink_frames: 3
24 block kind: block, attention_frames: 21, sink_frames: 0
24 deep-sink kind: block, attention_frames: 21, sink_frames: 10, policy: deep-sink
29 deep-forcing kind: block, attention_frames: 21, sink_frames: 10, policy: deep-forcing
21 ema-sink kind: block, attention_frames: 9, sink_frames: 3, policy: ema-sink
24 rolling-sink kind: block, attention_frames: 21, sink_frames: 0, policy: rolling-sink
9 infinity-rope kind: block, attention_frames: 6, sink_frames: 1, policy: infinity-rope
12 lol kind: block, attention_frames: 12, sink_frames: 3, policy: lol
21 memrope kind: block, attention_frames: 12, sink_frames: 3, policy: memrope
123 relax-forcing kind: block, attention_frames: 7, sink_frames: 2, policy: relax-forcing
10 forcing-kv kind: block, attention_frames: 6, sink_frames: 1, policy: forcing-kv, static_heads: [[], [1]]
39 echo-forcing kind: block, attention_frames: 21, sink_frames: 12, policy: echo-forcing
TABLE
exit $fail
