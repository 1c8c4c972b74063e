#!/bin/sh
# demo.sh - a short clip at once: makes a tiny model of random weights in release
# form, a job, and renders it. What it shows is noise; that it plays is the point.
set -eu
rollmill=${ROLLMILL:-./rollmill}
make_model=${MAKE_MODEL:-build/release/make_model}
dir=${1:-build/demo}

mkdir -p "$dir"
[ -e "$dir/model/Wan2.1_VAE.pth" ] || "$make_model" "$dir/model" --size tiny
cp tools/tiny-random.yaml "$dir/model/card.yaml"
cat >"$dir/job.yaml" <<'END'
render: 1
name: lighthouse
model: model/card.yaml
prompts:
  - {at: 0s, text: "an old lighthouse above a stormy sea, slow aerial shot"}
  - {at: 3s, text: "the storm clears over the lighthouse", blend: 1s}
clip: {size: 320x176, fps: 16, length: 6s}
sweep: {axes: {seed: {range: "1-2"}}}
output:
  dir: out
  name: "{name}-s{seed}"
  on_exists: version
  formats:
    - {file: clip.mp4, codec: h264}
  preview: {file: contact.png, columns: 3}
END
"$rollmill" check "$dir/job.yaml"
"$rollmill" render "$dir/job.yaml"
echo "clips, contact sheets and clip.json are in $dir/out"
