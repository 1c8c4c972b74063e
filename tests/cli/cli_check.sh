#!/bin/sh
# cli_check.sh - what `rollmill check` prints, to the letter, and that it writes nothing.
# ROLLMILL: the program.
set -u
rollmill=$(realpath "${ROLLMILL:-./rollmill}") || exit 1
make_model=$(realpath "${MAKE_MODEL:-build/release/make_model}") || exit 1
inputs=$(realpath tests/golden/text-small/inputs.safetensors) || exit 1
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
fail=0

cat >card.yaml <<'END'
card: 1
name: tiny
family: wan2.1-t2v
weights: w
config: c
text: {encoder: e, tokenizer: t}
vae: v
steps: [1000, 500]
warp: true
shift: 5
frames_per_block: 3
window: {kind: rolling, attention_frames: 21, sink_frames: 3}
license: none
END
fresh() { # the model's files, under the card's names
    for pair in w=rolling_forcing_dmd.pt c=config.json e=models_t5_umt5-xxl-enc-bf16.pth \
        t=google/umt5-xxl/spiece.model v=Wan2.1_VAE.pth; do
        cp "model/${pair#*=}" "${pair%%=*}"
    done
}
"$make_model" model --size tiny >/dev/null 2>&1 && fresh || exit 1

cat >job.yaml <<'END'
render: 1
name: least
model: card.yaml
prompt: "sea"
clip: {size: 64x96, length: 2s}
---
render: 1
name: harbour
model: {path: card.yaml, precision: f32}
clip: {size: 64x96, fps: 24000/1001, length: 40f, seed: 3}
prompts:
  - {at: 0s, text: "fog over {place}"}
  - {at: 0.5s, text: "sun", blend: 4f}
sweep:
  axes: {place: {list: [Lisbon, "Hong Kong"]}}
output:
  dir: /out
  name: "{name}-{place}"
  formats:
    - {file: clip.mp4, codec: h264, crf: 20}
    - {file: edit.mov, codec: prores, profile: lt}
  latents: {file: latents.safetensors}
  preview: {file: contact.png, columns: 4}
END

# expect EXIT STDOUT STDERR ARGUMENTS...
expect() {
    code=$1 want=$2 want_err=$3
    shift 3
    got=$("$rollmill" check "$@" 2>err)
    rc=$?
    [ "$rc" -eq "$code" ] && [ "$got" = "$want" ] && [ "$(cat err)" = "$want_err" ] && return
    echo "check $*: exit $rc, wanted $code"
    printf '%s\n' "$got" | sed 's/^/  got   /'
    printf '%s\n' "$want" | sed 's/^/  want  /'
    sed 's/^/  err   /' err
    fail=1
}

all() { find . ! -name err -type f -printf '%p %s %T@\n' | sort; }
before=$(all)
expect 0 'job.yaml: least, 1 clip, model tiny in bf16, priority 50, on_exists skip
  model.sha256 49952dbfcff0925c8e157671cd1d552bda224207afaef7a7b549165040cb6fb5
  clip 0  least
    video    64x96, 16 fps, 32 pictures in 3 blocks, seed 0
    prompt   from block 0, picture 0: sea
    output   out/least/clip.mp4  h264 crf 18 preset medium yuv420p
    ids      content 594bccfc643e741a, task 6fe485ea6ec70127
job.yaml: harbour, 2 clips, model tiny in f32, priority 50, on_exists skip
  model.sha256 49952dbfcff0925c8e157671cd1d552bda224207afaef7a7b549165040cb6fb5
  clip 0  harbour-Lisbon
    video    64x96, 24000/1001 fps, 40 pictures in 4 blocks, seed 3
    prompt   from block 0, picture 0: fog over Lisbon
    prompt   from block 2, picture 21 (asked for 0.5s), blended over 1 block: sun
    output   /out/harbour-Lisbon/clip.mp4  h264 crf 20 preset medium yuv420p
    output   /out/harbour-Lisbon/edit.mov  prores profile lt yuv422p10
    latents  /out/harbour-Lisbon/latents.safetensors  bf16
    preview  /out/harbour-Lisbon/contact.png  4 columns
    ids      content c00c0f29b0995b72, task 5c45e6b19ed57584
  clip 1  harbour-Hong-Kong
    video    64x96, 24000/1001 fps, 40 pictures in 4 blocks, seed 3
    prompt   from block 0, picture 0: fog over Hong Kong
    prompt   from block 2, picture 21 (asked for 0.5s), blended over 1 block: sun
    output   /out/harbour-Hong-Kong/clip.mp4  h264 crf 20 preset medium yuv420p
    output   /out/harbour-Hong-Kong/edit.mov  prores profile lt yuv422p10
    latents  /out/harbour-Hong-Kong/latents.safetensors  bf16
    preview  /out/harbour-Hong-Kong/contact.png  4 columns
    ids      content 50eb7903ddd06f35, task 5126674cc851557f' 'warning: job.yaml:13:10: prompts[1].at: "0.5s" is inside a block; the prompt begins at 21f' job.yaml
expect 2 '' 'rollmill: arg: check needs at least one JOB.yaml; see --help'
expect 2 '' 'rollmill: format: none.yaml: No such file or directory' none.yaml
[ "$before" = "$(all)" ] || { echo "check wrote files" && fail=1; }

"$rollmill" check --json job.yaml >plan.json || fail=1
[ "$(grep -c '"content_id": "[0-9a-f]\{16\}"' plan.json)" = 3 ] || { echo "--json: not 3 ids" && fail=1; }
"$rollmill" check --json --no-files job.yaml >plan.json || fail=1
[ "$(grep -c '"content_id": null' plan.json)" = 3 ] || { echo "--no-files: ids" && fail=1; }

# An encoder on a card: refused in its own words where it does not open, and auto is then the
# processor's, with the ids of a job that says nothing.
cat >card-job.yaml <<'END'
render: 1
name: least
model: card.yaml
prompt: "sea"
clip: {size: 256x256, length: 2s}
output: {formats: [{file: clip.mp4, codec: h264, encoder: auto}]}
END
if "$rollmill" doctor | grep -q 'nvenc .*h264_nvenc opens'; then
    echo "h264_nvenc opens here: that it is refused is not tested"
else
    "$rollmill" check card-job.yaml >auto.txt 2>err || { echo "auto: $(cat err)" && fail=1; }
    grep -q '^encoder auto is cpu: clip.mp4: encoder: nvenc: .*h264_nvenc' err || { echo "auto: $(cat err)" && fail=1; }
    sed 's/, encoder: auto//' card-job.yaml >cpu-job.yaml
    "$rollmill" check cpu-job.yaml | tail -n +2 >cpu.txt
    tail -n +2 auto.txt | cmp -s - cpu.txt || { echo "auto is not cpu: $(cat auto.txt)" && fail=1; }
    sed -i 's/auto/nvenc/' card-job.yaml
    "$rollmill" check card-job.yaml >/dev/null 2>err
    [ $? -eq 1 ] || { echo "nvenc is not exit 1" && fail=1; }
    grep -q 'clip.mp4: encoder: nvenc: .*h264_nvenc' err || { echo "nvenc: $(cat err)" && fail=1; }
fi
sed -i 's/256x256/64x96/; s/encoder: auto/encoder: nvenc/' card-job.yaml
expect 2 '' 'rollmill: format: card-job.yaml:6:20: output.formats[0]: found h264 with clip.size 64x96; allowed: h264 by nvenc from 160x160 on' card-job.yaml

# A disk that is full, or a reader that has gone: exit 1 of every command, however much it prints.
full() {
    "$rollmill" "$@" >/dev/full 2>err
    rc=$?
    [ $rc -eq 1 ] && grep -q 'cannot write all of the output' err && return
    echo "$* to a full disk: exit $rc: $(cat err)" && fail=1
}
{
    sed 's/prompt: .*/prompt: "sea {seed}"/; /^---/,$d' job.yaml
    echo 'sweep: {axes: {seed: {range: "1-5000"}}}'
} >many.yaml
full check many.yaml
full check --json many.yaml
full check job.yaml
full check --help
full inspect "$inputs"
full inspect --json "$inputs"
full doctor
full --version
full --help
("$rollmill" check many.yaml && echo 0 >code || echo $? >code) 2>err | head -n 1 >/dev/null
[ "$(cat code)" = 1 ] || { echo "a reader that has gone: exit $(cat code)" && fail=1; }

# What the files plainly are, each with its card and key.
echo '<!DOCTYPE html>' >c
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n' >w
: >e
echo '{}' >t
printf '\037\213' >v
expect 2 '' 'warning: job.yaml:13:10: prompts[1].at: "0.5s" is inside a block; the prompt begins at 21f
rollmill: format: card.yaml: weights: w: a Git LFS pointer in place of the file; `git lfs pull` fetches the file
card.yaml: config: c: a web page; the download failed or needs a login
card.yaml: text.encoder: e: an empty file
card.yaml: text.tokenizer: t: a JSON text
card.yaml: vae: v: a gzip archive; unpack it first' job.yaml

# Another model's file in each place, and a prompt that cannot be: all of it at once.
fresh
cp model/Wan2.1_VAE.pth w
cp model/rolling_forcing_dmd.pt v
cp model/diffusion_pytorch_model.safetensors e
sed 's/"sea"/"sea {x}"/; /^---/,$d' job.yaml >wrong.yaml
"$rollmill" check wrong.yaml >/dev/null 2>err
[ $? -eq 2 ] || { echo "wrong files: not exit 2" && fail=1; }
for line in 'card.yaml: weights: w: tensors: 69 missing, .*it seems to be a VAE' \
    'card.yaml: vae: v: no decoder.conv1.weight, .*it seems to be a video transformer' \
    'card.yaml: text.encoder: e: no matrix token_embedding.weight, .*a video transformer' \
    'wrong.yaml:4:9: prompt: found "{x}"'; do
    grep -q "$line" err || { echo "wrong files: no $line: $(cat err)" && fail=1; }
done
fresh
sed 's/vae: v/vae: v\nlora: [{file: w}]/' card.yaml >lora.yaml
sed 's/card.yaml/lora.yaml/; /^---/,$d' job.yaml >wrong.yaml
"$rollmill" check wrong.yaml >/dev/null 2>err
grep -q 'lora.yaml: lora: w: as an adapter of w: .*it seems to be no LoRA' err || { echo "no adapter: $(cat err)" && fail=1; }

# A path that is not UTF-8 could not stand in clip.json.
latin=$(printf 'caf\351')
if mkdir "$latin" 2>err; then
    cp card.yaml job.yaml w c e t v "$latin"
    expect 2 '' "warning: $PWD/$latin/job.yaml:13:10: prompts[1].at: \"0.5s\" is inside a block; the prompt begins at 21f
rollmill: format: $PWD/$latin/card.yaml: the card's path is not UTF-8
$PWD/$latin/job.yaml: output.dir: $PWD/$latin/out: the path is not UTF-8, as clip.json must be" "$PWD/$latin/job.yaml"
    sed "s|model: card|model: $PWD/card|; s|{path: card|{path: $PWD/card|" job.yaml >"$latin/job.yaml"
    expect 2 '' "warning: $PWD/$latin/job.yaml:13:10: prompts[1].at: \"0.5s\" is inside a block; the prompt begins at 21f
rollmill: format: $PWD/$latin/job.yaml: output.dir: $PWD/$latin/out: the path is not UTF-8, as clip.json must be" "$PWD/$latin/job.yaml"
    rm -r "$latin"
fi

rm t v
expect 2 '' 'warning: job.yaml:13:10: prompts[1].at: "0.5s" is inside a block; the prompt begins at 21f
rollmill: format: card.yaml: text.tokenizer: t: No such file or directory
card.yaml: vae: v: No such file or directory' job.yaml
fresh
sed 's/length: 2s/lenght: 2s/' job.yaml >bad.yaml
expect 2 '' 'rollmill: format: bad.yaml:5:21: clip.lenght: unknown key (did you mean length?); allowed: size, fps, length, seed' bad.yaml
sed 's/model: card/model: cart/' job.yaml >bad.yaml
expect 2 '' 'warning: bad.yaml:13:10: prompts[1].at: "0.5s" is inside a block; the prompt begins at 21f
rollmill: format: bad.yaml:3:8: model: cart.yaml: no such file; allowed: the path of a model card' bad.yaml
exit $fail
