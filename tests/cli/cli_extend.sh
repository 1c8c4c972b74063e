#!/bin/sh
# cli_extend.sh - a finished clip is extended: the longer one is, byte for byte, what its job would
# have made, on any number of ranks, and the shorter one stays as it is. What cannot be is refused.
. "$(dirname "$0")/world.sh"
SIZE=32x32 # many renders
die_at=$(realpath "$top/${SHIMS:-build/release}/die_at.so") || exit 1
files='clip.mp4 master.mkv latents.safetensors contact.png'

extend() { "$rollmill" extend --no-prompt-cache "$@"; }

# make NAME LENGTH CHECKPOINT CARD: the clip NAME/clip
make() {
    job "$1.yaml" clip "$2" "run: {checkpoint: $3}
output:
  dir: $1
  extendable: true
  formats:
    - {file: clip.mp4, codec: h264, preset: ultrafast}
    - {file: master.mkv, codec: ffv1, pix: yuv420p10}
  latents: {file: latents.safetensors, dtype: bf16}
  preview: {file: contact.png, columns: 3}"
    sed -i "s|model/card.yaml|model/$4|" "$1.yaml"
    render "$1.yaml" >out.txt 2>&1 || wrong "$1: $(tail -n 3 out.txt)"
}

# same CLIP WANTED: all files, those too that it is extended by, and what clip.json says of them
same() {
    for file in $files $(cd "$2" && echo extend/*); do
        cmp -s "$2/$file" "$1/$file" || wrong "$1: $file is not that of $2"
    done
    python3 - "$1" "$2" <<'END' || wrong "$1: clip.json is not that of $2"
import json, os, sys
a, b = (json.load(open(d + "/clip.json")) for d in sys.argv[1:])
for c in a, b:
    for key in "attempt", "world", "created":
        del c["identity"][key]
    for key in "hosts", "ranks":
        del c["provenance"][key]
    files = c["provenance"]["model_files"]
    c["provenance"]["model_files"] = {os.path.realpath(f): files[f] for f in files}
    del c["run"]
sys.exit(a != b)
END
}
number() { sed -n "s/.*\"$2\": \([0-9]*\).*/\1/p" "$1/clip.json"; }
sum() { find "$1" -type f -exec sha256sum {} + | sort | sha256sum; }

# The window is whole behind block 6 of 10, the last checkpoint behind block 4: what is between has
# its pictures made again of its latents.
make short 7.3s 3s card.yaml
make long 11s 3s card.yaml
before=$(sum short)
DIE_COUNT=$dir/count LD_PRELOAD=$die_at extend short/clip --length 11s 2>err.txt || wrong "extend: $(tail -n 3 err.txt)"
same short/clip-v2 long/clip
[ "$(number short/clip-v2 resumed_from)" = 6 ] || wrong "it went on behind block $(number short/clip-v2 resumed_from)"
expect 0 'is that clip already' extend short/clip --length 11s
"$rollmill" verify short/clip-v2 >out.txt || wrong "verify: $(cat out.txt)"

# On three ranks, killed on its way and given again: it goes on from what it left itself.
left_at() {
    DIE_AT=$2 LD_PRELOAD=$die_at "$rollmill" extend short/clip --length 11s --to far/clip --no-prompt-cache >out.txt 2>&1
    expect 0 "$3" extend short/clip --length 11s --to far/clip// --ranks "$1" --ranks-per-line "$1"
    same far/clip long/clip
    rm -r far/clip
}
calls=$(cat count)
left_at 3 $((calls * 70 / 100)) 'resumes after block'

# Block by block there is no window, and all blocks stay but the last: the longer clip may have no
# more of them, with what the policy chose for each. Without a checkpoint on its way all pictures are made again.
policy='kind: block, attention_frames: 12, sink_frames: 3, policy: echo-forcing, history_frames: 9, calibration_frames: 9'
sed "s/kind: rolling, attention_frames: 21, sink_frames: 3/$policy/" model/card.yaml >model/block.yaml
make part 4s 20s block.yaml
make all 6s 20s block.yaml
expect 0 'extended after block 5 to 9' extend part/clip --length 6s --ranks 3 --ranks-per-line 3
same part/clip-v2 all/clip
make full 69f 20s block.yaml
expect 0 'extended after block 5 to 6' extend part/clip --length 69f
same part/clip-v3 full/clip

if [ "${TORTURE:-0}" = 1 ]; then
    extend part/clip --length 96f --to one 2>err.txt || wrong "block by block: $(tail -n 3 err.txt)"
    same one all/clip
    make first 5s 20s card.yaml
    make last 9s 20s card.yaml
    extend first/clip --length 144f 2>err.txt || wrong "no checkpoint: $(tail -n 3 err.txt)"
    same first/clip-v2 last/clip
    at=1
    while [ $at -le "$calls" ]; do
        left_at $((at % 3 + 1)) $at ''
        at=$((at + ${STRIDE:-7}))
    done
    # The clip itself may have been gone on with behind where it can be extended.
    at=20
    while [ $at -le 100 ]; do
        sed 's/dir: short/dir: again/; s/checkpoint: 3s/checkpoint: 0.75s/' short.yaml >again.yaml
        sed 's/dir: long/dir: whole/; s/checkpoint: 3s/checkpoint: 0.75s/' long.yaml >whole.yaml
        render whole.yaml >out.txt 2>&1 || wrong "whole: $(tail -n 3 out.txt)"
        DIE_AT=$((calls * at / 100)) LD_PRELOAD=$die_at "$rollmill" render again.yaml --no-prompt-cache >out.txt 2>&1
        render again.yaml >out.txt 2>&1 || wrong "again: $(tail -n 3 out.txt)"
        extend again/clip --length 11s 2>err.txt || wrong "again: $(tail -n 3 err.txt)"
        same again/clip-v2 whole/clip
        rm -r again
        at=$((at + 10))
    done
fi

# What cannot be.
expect 2 'allowed: more' extend short/clip --length 7s
expect 2 'allowed: a time up to 24h' extend short/clip --length soon
expect 2 '2000000f: allowed: 1 picture to 24h' extend short/clip --length 2000000f
expect 2 'needs --length' extend short/clip
expect 2 'is there already, and is another clip' extend short/clip --length 11s --to long
expect 2 'allowed: a path that ends in the new folder' extend short/clip --length 11s --to none/..
[ ! -e none ] || wrong 'a folder of no use is made'
expect 2 "\`mode strict\` there, \`mode strict, keys and values in fp8\` now" extend short/clip --length 12s --wire fp8
# All ranks end with the same code, and one says why.
world 2 sh -c '"$0" "$@"; echo $? >>codes' "$rollmill" extend short/clip --length 12s --wire fp8 \
    --no-prompt-cache >out.txt 2>err.txt
if [ $? -ne 77 ]; then
    [ "$(paste -sd " " codes)" = "2 2" ] || wrong "two ranks refuse with $(paste -sd " " codes): $(cat err.txt)"
    [ "$(grep -c 'the longer clip was not made' err.txt)" = 1 ] || wrong "not said once: $(cat err.txt)"
fi
job plain.yaml plain 1s 'output: {dir: plain}'
render plain.yaml 2>err.txt || wrong "plain: $(cat err.txt)"
expect 2 'output.extendable: true' extend plain/plain --length 2s
cp -r short/clip damaged
printf x | dd of=damaged/extend/latents bs=1 seek=500 conv=notrunc 2>dd.txt
expect 2 'extend/latents: its bytes have changed' extend damaged --length 11s
sed 's/checkpoint: 3s/checkpoint: 0s/' short.yaml >never.yaml
expect 2 'never.yaml:6:19: run.checkpoint' "$rollmill" check never.yaml
# Where whole paths cannot be kept that is known before the first block.
odd=$(printf 'caf\351')
mkdir "$odd"
cd "$odd" || exit 1
ln -s ../model model
job odd.yaml odd 1s "output: {dir: $dir/odd, extendable: true}"
sed -i 's|model/card|model/block|' odd.yaml
expect 1 "the working folder's name is not UTF-8" render odd.yaml
grep -q 'block 0' err.txt && wrong "a block was made: $(cat err.txt)"
cd ..
[ "$(sum short)" = "$before" ] && wrong 'the sum sees no new folder'
rm -r short/clip-v2
[ "$(sum short)" = "$before" ] || wrong 'the shorter clip has changed'
[ -z "$(find . -path '*/.attempts/*')" ] || wrong "left over: $(find . -path '*/.attempts/*')"
exit $fail
