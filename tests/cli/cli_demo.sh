#!/bin/sh
# cli_demo.sh - the demo model's film shows what its prompt says, and because of the prompt.
# ROLLMILL, DEMO_FILM: programs. Needs ffmpeg.
set -u
rollmill=$(realpath "${ROLLMILL:-./rollmill}") || exit 1
film=$(realpath "${DEMO_FILM:-build/release/tests/demo_film}") || exit 1
model=$(realpath models/demo) || exit 1
job=$(realpath jobs/examples/demo.yaml) || exit 1
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
fail=0

wrong() {
    echo "$*"
    fail=1
}

# render NAME LENGTH MODEL OPTIONS...: its pictures as NAME.rgb
render() {
    name=$1 length=$2 card=$3
    shift 3
    cat >"$name.yaml" <<END
render: 1
name: $name
model: $card
prompt: "an orange ball rolls over sand"
clip: {size: 96x96, length: $length, seed: 1}
output: {formats: [{file: clip.mkv, codec: ffv1, pix: yuv444p}]}
END
    "$rollmill" render --no-prompt-cache "$@" "$name.yaml" 2>err.txt || wrong "$name: $(tail -n 3 err.txt)"
    ffmpeg -v error -i "out/$name/clip.mkv" -f rawvideo -pix_fmt rgb24 - >"$name.rgb" || wrong "$name: cannot be read"
}

# Ten seconds: colour, ground and motion; with the encoder of the text gone, no longer.
render told 10s "$model/card.yaml"
said=$("$film" see orange sand 160 <told.rgb) || wrong "not the film of its prompt: $said"
cp -r "$model" untold
"$film" blank "$model/models_t5_umt5-xxl-enc-bf16.pth" untold/models_t5_umt5-xxl-enc-bf16.pth || wrong "no blank encoder"
render blank 4s untold/card.yaml
said=$("$film" see orange sand 64 <blank.rgb) && wrong "the film does not need its prompt: $said"

# The oracle in float32 and the processor in bfloat16: the same film for the eye.
render exact 2s "$model/card.yaml" --backend ref --precision f32
render quick 2s "$model/card.yaml" --backend cpu --precision bf16
psnr=$("$film" psnr exact.rgb quick.rgb) || wrong "no PSNR"
[ "$(printf '%.0f' "$psnr")" -ge 30 ] || wrong "f32 ref and bf16 cpu: $psnr dB, wanted 30"

"$rollmill" check "$job" >/dev/null || wrong "$job is not a valid job"
exit $fail
