#!/bin/sh
# cli_inspect.sh - what `rollmill inspect` prints, to the letter. ROLLMILL: the program.
set -u
rollmill=${ROLLMILL:-./rollmill}
make_model=${MAKE_MODEL:-build/release/make_model}
text=tests/golden/text-small
fail=0

# expect EXIT WANT ARGUMENTS...
expect() {
    code=$1 want=$2
    shift 2
    got=$("$rollmill" inspect "$@" 2>/dev/null)
    rc=$?
    [ "$rc" -eq "$code" ] && [ "$got" = "$want" ] && return
    echo "inspect $*: exit $rc, wanted $code"
    printf '%s\n' "$got" | sed 's/^/  got   /'
    printf '%s\n' "$want" | sed 's/^/  want  /'
    fail=1
}

expect 0 'ids      I64   [3, 24]                           576  befe1611190a4b21
lengths  I64   [3]                                24  165e04ebc4dc2a70
total: 2 tensors, 75 parameters, 600 bytes, hash ade03eed26cf3364' $text/inputs.safetensors
expect 0 'ids      I64   [3, 24]                           576
lengths  I64   [3]                                24
total: 2 tensors, 75 parameters, 600 bytes' --no-hash $text/inputs.safetensors
expect 2 '' $text/case.json
expect 2 '' $text/no-such-file
expect 2 '' --outer-key generator $text/inputs.safetensors
expect 2 ''

last() { "$rollmill" inspect "$@" | grep '^total: '; }
model=tests/golden/rolling-5-step/model
flat=$(last $model/diffusion_pytorch_model.safetensors)
ema=$(last $model/rolling_forcing_dmd.pt | sed 's/, outer key generator_ema//')
[ "$flat" = "$ema" ] || { echo "two forms of the same weights: $flat | $ema" && fail=1; }
count=$("$rollmill" inspect --json $text/inputs.safetensors | sed -n 's/^ "count": \([0-9]*\),$/\1/p')
[ "$count" = 2 ] || { echo "--json: count is '$count'" && fail=1; }

# Parts of a model by their tensors, in the forms that they come in: sizes, what is missing, the card.
part() { "$rollmill" inspect --no-hash "$@" | sed -n '/^total: /,$p' | tail -n +2; }
is() { # WANT ARGUMENTS...
    want=$1
    shift
    [ "$(part "$@")" = "$want" ] || { echo "$*: $(part "$@")" && fail=1; }
}
lora=tests/golden/longlive-lora/model
vae=tests/golden/vae-small/model/Wan2.1_VAE.pth
umt5=$text/model/models_t5_umt5-xxl-enc-bf16.pth
is "is:      transformer: 2 layers of 64, feed-forward 128, prompts of 64, latents of 16 channels
form:    safetensors
card:    weights: $model/diffusion_pytorch_model.safetensors" $model/diffusion_pytorch_model.safetensors
is "is:      transformer: 2 layers of 64, feed-forward 128, prompts of 64, latents of 16 channels
form:    torch, names such as model.blocks.0._fsdp_wrapped_module.self_attn.q.weight
card:    weights: $model/rolling_forcing_dmd.pt
         outer_key: generator_ema" $model/rolling_forcing_dmd.pt
is "is:      LoRA: 20 layers; its file says no alpha: the card must
form:    torch
card:    lora:
           - {file: $lora/lora.pt, outer_key: generator_lora}" $lora/lora.pt
is "is:      VAE: base width 4
form:    torch
card:    vae: $vae" $vae
is "is:      text encoder: UMT5 of 64, 384 words
form:    torch
card:    text: {encoder: $umt5}" $umt5
is '' $text/inputs.safetensors

# A card for a folder of files under other names is that of these files.
card=$(mktemp -d) || exit 1
mkdir "$card/parts"
cp $model/rolling_forcing_dmd.pt "$card/parts/a.pt" && cp $model/config.json "$card/" && cp $vae "$card/parts/b.pth" &&
    cp $umt5 "$card/c.pth" && touch "$card/spiece.model" || exit 1
"$rollmill" card "$card" --like models/longlive-1.3b.yaml >"$card/card.yaml" 2>"$card/err" || { cat "$card/err" && fail=1; }
for line in 'weights: parts/a.pt' 'outer_key: generator_ema' 'config: config.json' '  encoder: c.pth' \
    '  tokenizer: spiece.model' 'vae: parts/b.pth' 'steps: [1000, 750, 500, 250]' \
    'window: {kind: block, attention_frames: 12, sink_frames: 3}'; do
    grep -qxF "$line" "$card/card.yaml" || { echo "card: no '$line' in: $(cat "$card/card.yaml")" && fail=1; }
done
"$rollmill" card "$card" --like "$card/card.yaml" | tail -n +2 >"$card/again" || fail=1
tail -n +2 "$card/card.yaml" | cmp -s - "$card/again" || { echo "card: another by itself" && fail=1; }
cp $model/diffusion_pytorch_model.safetensors "$card/d.safetensors"
"$rollmill" card "$card" --like "$card/card.yaml" 2>&1 | grep -q 'are transformers; name the one' || { echo "card: of two" && fail=1; }
"$rollmill" card "$card/d.safetensors" --like "$card/card.yaml" | grep -qx 'weights: d.safetensors' || { echo "card: of a file" && fail=1; }
# Without another card: that of the release whose file has this name, else the plainest, which says so.
"$rollmill" card "$card/parts/a.pt" >"$card/plain" 2>"$card/err"
grep -q 'not in it: its config.json, a text encoder' "$card/err" || { echo "card: alone: $(cat "$card/err")" && fail=1; }
rm "$card/d.safetensors"
"$rollmill" card "$card" >"$card/plain" || fail=1
grep -q '^# No file says which release this is' "$card/plain" && grep -q ' longlive-1.3b, ' "$card/plain" &&
    grep -qx "name: $(basename "$card" | tr -c 'A-Za-z0-9._\n-' -)" "$card/plain" && grep -qx 'warp: true' "$card/plain" ||
    { echo "card: plain: $(cat "$card/plain")" && fail=1; }
mv "$card/parts/a.pt" "$card/parts/rolling_forcing_dmd.pt" && cp $lora/lora.pt "$card/parts/lora.pt" || exit 1
"$rollmill" card "$card" >"$card/told" || fail=1
for line in 'name: rolling-forcing-1.3b' 'window: {kind: rolling, attention_frames: 21, sink_frames: 3}' \
    '# a LoRA, for `lora`: parts/lora.pt'; do
    grep -qxF "$line" "$card/told" || { echo "card: told: no '$line' in: $(cat "$card/told")" && fail=1; }
done
# A path is one text of the card, whatever it is made of.
mkdir "$card/a, {b}" && mv "$card/parts/lora.pt" "$card/a, {b}" && "$rollmill" card "$card" --like longlive-1.3b >"$card/told" || fail=1
for line in '  - file: "a, {b}/lora.pt"' '    outer_key: generator_lora' '    rank: 256' '    alpha: 256'; do
    grep -qxF "$line" "$card/told" || { echo "card: its LoRA: no '$line' in: $(cat "$card/told")" && fail=1; }
done
mkdir "$card/c$(printf '\001')d" && mv "$card/a, {b}/lora.pt" "$card/c$(printf '\001')d" && "$rollmill" card "$card" --like longlive-1.3b | grep -qxF '  - file: "c\x01d/lora.pt"' ||
    { echo "card: a path with a control character" && fail=1; }
"$rollmill" card "$card" --like longlove 2>&1 | grep -q 'found longlove; allowed: the path of a card, or one of causal-forcing-chunkwise-1.3b, ' ||
    { echo "card: like what is not there" && fail=1; }

# The folder: each part, and what is missing.
for line in "is:      transformer: 2 layers of 64, feed-forward 128, prompts of 64, latents of 16 channels" 'is:      tokenizer' \
    "card:    vae: $card/parts/b.pth" "card:    config: $card/config.json" "card:    \`rollmill card $card\` writes one"; do
    "$rollmill" inspect "$card" | grep -qxF "$line" || { echo "folder: no '$line' in: $("$rollmill" inspect "$card")" && fail=1; }
done
echo '{"_class_name": "WanPipeline"}' >"$card/model_index.json"
rm "$card/spiece.model"
"$rollmill" inspect "$card" | grep -q "parts of diffusers' WanPipeline\$" || { echo "folder: no pipeline" && fail=1; }
"$rollmill" inspect "$card" | grep -qx 'missing: a tokenizer (spiece.model of google/umt5-xxl)' || { echo "folder: nothing missing" && fail=1; }
"$rollmill" inspect --json "$card" | tr -d '\n' | grep -q '"pipeline": "WanPipeline".*"missing": \[ *"a tokenizer' || { echo "folder: no JSON" && fail=1; }
echo '[[[[' >"$card/model_index.json"
"$rollmill" inspect "$card" | head -n 1 | grep -q ': 5 parts$' || { echo "folder: a broken index: $("$rollmill" inspect "$card" | head -n 1)" && fail=1; }

# A release as it comes, with its config.json and without: the card is one that check takes.
"$make_model" "$card/tiny" --size tiny >/dev/null 2>&1 && rm "$card/tiny/diffusion_pytorch_model.safetensors" || exit 1
printf 'render: 1\nname: x\nmodel: tiny/card.yaml\nprompt: x\nclip: {size: 64x48, length: 33f}\n' >"$card/job.yaml"
for config in config.json rolling_forcing_dmd.pt; do
    "$rollmill" card "$card/tiny" >"$card/told" || fail=1
    grep -qx "config: $config" "$card/told" || { echo "card: config: $(cat "$card/told")" && fail=1; }
    mv "$card/told" "$card/tiny/card.yaml"
    "$rollmill" check "$card/job.yaml" >/dev/null 2>"$card/err" || { echo "card: check: $(cat "$card/err")" && fail=1; }
    rm -f "$card/tiny/config.json"
done

# Names that begin as nobody knows.
python3 - $model/diffusion_pytorch_model.safetensors "$card/ema.safetensors" <<'END' || exit 1
import json, struct, sys
data = open(sys.argv[1], "rb").read()
n = struct.unpack("<Q", data[:8])[0]
head = {"ema.x." + k: v for k, v in json.loads(data[8:8 + n]).items() if k != "__metadata__"}
text = json.dumps(head).encode()
open(sys.argv[2], "wb").write(struct.pack("<Q", len(text)) + text + data[8 + n:])
END
part "$card/ema.safetensors" | grep -qx '         outer_key: ema.x' || { echo "prefix: $(part "$card/ema.safetensors")" && fail=1; }
rm "$card/parts/b.pth"
"$rollmill" card "$card/parts/rolling_forcing_dmd.pt" --like "$card/card.yaml" 2>&1 | grep -q 'not in it: its config.json, a text encoder, spiece.model, a VAE' || { echo "card: without a VAE" && fail=1; }
"$rollmill" card "$card/c.pth" --like "$card/card.yaml" 2>&1 | grep -q 'found text encoder; allowed: a transformer' || { echo "card: of an encoder" && fail=1; }
rm -r "$card"

# JSON is UTF-8, whatever the path is.
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
# A name that is not what it should be: said as a render would.
sed 's/blocks.1.ffn.0.weight/blocks.1.ffn.9.weight/' $model/diffusion_pytorch_model.safetensors >"$dir/less.safetensors"
part "$dir/less.safetensors" | grep -q '^ *missing *blocks.1.ffn.0.weight \[128, 64\]' || { echo "missing: $(part "$dir/less.safetensors")" && fail=1; }
"$rollmill" inspect --json --no-hash $vae | tr -d '\n' | grep -q '"model": { *"is": "VAE", *"detail": "base width 4"' ||
    { echo "--json: no model" && fail=1; }
latin=$dir/$(printf 'caf\351')
if cp $text/inputs.safetensors "$latin" 2>/dev/null; then
    "$rollmill" inspect --json "$latin" | grep -q '^ "file": ".*/caf?",$' || { echo "--json: no path" && fail=1; }
fi

# A clip: what changes shows, what does not does not. A fade from grey to black, in linear steps:
# the tenths of the clip differ by 0.1 k from the first, whose mean is 0.95 of the grey.
make_clip() { ffmpeg -v error -f lavfi -i "color=c=gray:s=64x48:r=16:d=20$1" -pix_fmt yuv444p -c:v ffv1 "$2" || exit 1; }
make_clip ,fade=t=out:st=0:d=20 "$dir/fade.mkv"
make_clip '' "$dir/still.mkv"
row() { "$rollmill" inspect "$1" | sed -n "s/^$2 *//p" | tr -s ' '; }
row "$dir/fade.mkv" brightness | awk '{ exit !($1 > 0.43 && $1 < 0.45 && $2 < 0.08 && $4 > 0.37 && $4 < 0.40) }' ||
    { echo "fade: $(row "$dir/fade.mkv" brightness)" && fail=1; }
row "$dir/still.mkv" brightness | grep -q ' +0.0000 0.0000$' || { echo "still: $(row "$dir/still.mkv" brightness)" && fail=1; }
"$rollmill" inspect --json "$dir/fade.mkv" | grep -q '^ "pictures": 320,$' || { echo "--json: no pictures" && fail=1; }
head -c 40 "$dir/fade.mkv" >"$dir/cut.mkv"
expect 2 '' "$dir/no-such.mp4"
expect 2 '' "$dir/cut.mkv"
expect 2 '' --no-hash "$dir/fade.mkv"

# A clip's folder: its first video file.
mkdir "$dir/clip"
cp "$dir/fade.mkv" "$dir/clip/clip.mkv"
record() { printf '{"video": {"streams": [{"file": "%s"}]}, "latents": %s}' "$1" "$2" >"$dir/clip/clip.json"; }
record clip.mkv null
row "$dir/clip" brightness | grep -q '^0.44' || { echo "a clip's folder: $("$rollmill" inspect "$dir/clip")" && fail=1; }
record ../fade.mkv null
expect 2 '' "$dir/clip"
exit $fail
