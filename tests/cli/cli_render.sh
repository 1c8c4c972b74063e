#!/bin/sh
# cli_render.sh - the main job: a YAML job and release-form weights to finished clips.
. "$(dirname "$0")/world.sh"

# A clip of 3 s is 48 pictures; ffprobe sees them, their rate and their colours.
job one.yaml one 3s 'output:
  dir: out
  formats:
    - {file: clip.mp4, codec: h264}
    - {file: master.mkv, codec: ffv1, pix: yuv444p}
  latents: {file: latents.safetensors, dtype: f32}
  preview: {file: contact.png, columns: 3}'
expect 0 'render: 1 clips made' render one.yaml
facts=$(ffprobe -v error -count_frames -show_entries \
    stream=nb_read_frames,r_frame_rate,duration,width,height,color_space,color_primaries,color_transfer,color_range \
    -of default=nw=1 out/one/clip.mp4 | sort | tr '\n' ' ')
[ "$facts" = "color_primaries=bt709 color_range=tv color_space=bt709 color_transfer=bt709 duration=3.000000 height=${SIZE#*x} nb_read_frames=48 r_frame_rate=16/1 width=${SIZE%x*} " ] ||
    wrong "clip.mp4: $facts"
for file in clip.mp4 master.mkv latents.safetensors contact.png clip.json; do
    [ -s "out/one/$file" ] || wrong "out/one/$file is missing"
done
"$rollmill" inspect out/one | awk '/^latent (mean|deviation) / { n++ } /^brightness / { n++ } END { exit n != 3 }' ||
    wrong "inspect: $("$rollmill" inspect out/one)"
[ -z "$(ls -A out/.attempts 2>/dev/null)" ] || wrong "an attempt was left behind"
want=$(ffmpeg -v error -i out/one/master.mkv -f rawvideo - | sha256sum | cut -d' ' -f1)
grep -q "\"planes_sha256\": \"$want\"" out/one/clip.json || wrong "master.mkv is not what was sent"

# Given again it has nothing to do; with on_exists: error it says so.
before=$(sha256sum out/one/*)
expect 0 '1 clips already exist, skipped' render one.yaml
[ "$before" = "$(sha256sum out/one/*)" ] || wrong "a finished clip was touched"
job again.yaml one 3s 'output: {dir: out, on_exists: error}'
expect 2 'out/one: already exists' render again.yaml
job version.yaml one 1s 'output: {dir: out, on_exists: version}'
expect 0 'render: 1 clips made' render version.yaml
[ -s out/one-v2/clip.mp4 ] || wrong "no second version"

# What is stored and told beside: the embeddings of both prompts, the same for any ranks; key frames
# and the transfer function as asked for; and no other files than those that the job pins.
id=$("$rollmill" check one.yaml | sed -n 's/^  model.sha256 //p')
cat >extra.yaml <<END
render: 1
name: extra
model: {path: model/card.yaml, sha256: $id}
prompts: [{at: 0s, text: "a harbour"}, {at: 1s, text: "the sun rises, slowly"}]
clip: {size: 64x48, length: 2s}
output:
  dir: out
  formats: [{file: clip.mp4, codec: h264, gop: 4f}]
  colour: {transfer: srgb}
  embeddings: {file: e.safetensors, dtype: f32}
END
expect 0 'render: 1 clips made' render extra.yaml
"$rollmill" inspect out/extra/e.safetensors >list.txt || wrong "embeddings: no safetensors"
[ "$(grep -c 'prompt\.[01] ' list.txt)" = 2 ] || wrong "embeddings: $(cat list.txt)"
sed 's/dir: out/dir: out3/' extra.yaml >extra3.yaml
expect 0 'render: 1 clips made' render --ranks 3 --ranks-per-line 2 --decode-ranks 1 extra3.yaml
cmp out/extra/e.safetensors out3/extra/e.safetensors || wrong "embeddings: other on 3 ranks"
facts=$(ffprobe -v error -show_entries frame=key_frame:stream=color_transfer -of csv=p=0 out/extra/clip.mp4 |
    tr -d ',' | tr '\n' ' ')
case $facts in
    *iec61966-2-1*) ;;
    *) wrong "transfer: $facts" ;;
esac
[ "$(echo "$facts" | tr ' ' '\n' | grep -cx 1)" -ge 8 ] || wrong "key frames: $facts"
sed "s/sha256: ./sha256: x/; s/sha256: x/sha256: 0/; s/name: extra/name: other/" extra.yaml >pinned.yaml
[ "$id" = "$(sed -n 's/.*sha256: \([0-9a-f]*\).*/\1/p' pinned.yaml)" ] && wrong "pin: the same"
expect 2 'pinned.yaml:3:40: model.sha256: found ' render pinned.yaml
expect 2 "the files of model/card.yaml are $id" render pinned.yaml

# A farm's tasks share a job's clips.
job many.yaml many 0.5s 'output: {dir: farm}
sweep: {axes: {seed: {range: "0-5"}}}'
expect 0 'render: 2 clips made' render --clips 1,4-90 --part 2/2 many.yaml
expect 0 'render: 1 clips made' render --clips 0-2 --part 1/3 many.yaml
[ "$(ls farm | tr '\n' ' ')" = "many-00000 many-00001 many-00005 " ] || wrong "farm: $(ls farm)"
expect 0 'render: 0 clips made' render --clips 6-9 many.yaml
expect 2 '--clips 3-1: ' render --clips 3-1 many.yaml
expect 2 '--clips 1,,2: ' render --clips 1,,2 many.yaml
expect 2 '--part 4/3: ' render --part 4/3 many.yaml

# Under skip, only this very clip counts as done: another seed is another clip.
sed 's/seed: 5/seed: 6/' one.yaml >other.yaml
expect 2 'exists and is not this clip' render other.yaml
mkdir out/empty
job empty.yaml empty 1s 'output: {dir: out}'
expect 2 'out/empty: exists and is not this clip' render empty.yaml

# A file that may not grow is an error that leaves nothing, not a signal.
job big.yaml big 3s 'output: {dir: out}'
expect 1 'File too large' sh -c "ulimit -f 8; '$rollmill' render --no-prompt-cache big.yaml"
[ ! -e out/big ] && [ -z "$(ls -A out/.attempts 2>/dev/null)" ] || wrong "a file too large left something"

# Without stderr the clip is the same: nothing printed gets into it.
sed 's|dir: out|dir: quiet|' one.yaml >quiet.yaml
render quiet.yaml 2>&- || wrong "no clip without stderr"
cmp -s out/one/master.mkv quiet/one/master.mkv || wrong "master.mkv differs without stderr"
ffprobe -v error quiet/one/clip.mp4 || wrong "clip.mp4 is damaged without stderr"

# auto is the processor's encoder where a card has none, or does not take the clip.
job auto.yaml auto 1s 'output: {dir: out, formats: [{file: clip.mp4, codec: h264, encoder: auto}]}'
expect 0 "encoder auto is cpu: clip.mp4: $SIZE; h264_nvenc takes width and height 160" render --ranks 2 auto.yaml
grep -q '"encoder": "libx264"' out/auto/clip.json || wrong "auto: $(grep '"encoder"' out/auto/clip.json)"
SIZE=256x256 job nvenc.yaml nvenc 1s 'output: {dir: out, formats: [{file: clip.mp4, codec: h264, encoder: nvenc}]}'
"$rollmill" doctor | grep -q 'nvenc .*h264_nvenc opens' ||
    expect 1 'clip.mp4: encoder: nvenc: probe.mp4: the encoder h264_nvenc refuses' render nvenc.yaml

# A folder that cannot be is said before a model is loaded.
echo >plain
job plain.yaml plain 1s 'output: {dir: plain}'
expect 1 'plain: not a folder' render plain.yaml

# A sheet of very wide pictures.
SIZE=4096x16 job wide.yaml wide 1s 'output: {dir: out, preview: {file: sheet.png, columns: 2}}'
expect 0 'render: 1 clips made' render wide.yaml

# The same latents and pictures for any number of ranks and threads.
planes() { grep -E '"(pictures|planes)_sha256"' "$1/clip.json"; }
for ranks in 2 3 4 5 6; do
    sed "s|dir: out|dir: ranks$ranks|" one.yaml >ranks.yaml
    expect 0 'render: 1 clips made' render ranks.yaml --ranks $ranks --ranks-per-line $ranks --threads $ranks
    for file in latents.safetensors master.mkv contact.png; do
        cmp -s "out/one/$file" "ranks$ranks/one/$file" || wrong "$file differs on $ranks ranks"
    done
    # What libx264 makes of the same pictures may differ from run to run.
    [ "$(planes out/one)" = "$(planes "ranks$ranks/one")" ] || wrong "other pictures on $ranks ranks"
done

# By heads the same again; in 8 bits another clip, and the record says so.
mode() { # DIR EXCHANGE WIRE
    grep -q "\"exchange\": \"$2\"" "$1/clip.json" && grep -q "\"wire\": \"$3\"" "$1/clip.json" ||
        wrong "$1/clip.json: not $2, $3: $(grep -E '"(exchange|wire)"' "$1/clip.json")"
}
mode out/one blocks act
sed "s|dir: out|dir: heads|" one.yaml >heads.yaml
expect 0 'strict, exchange by heads' render heads.yaml --ranks 2 --ranks-per-line 2 --exchange heads
cmp -s out/one/latents.safetensors heads/one/latents.safetensors || wrong "by heads latents.safetensors differs"
mode heads/one heads act
sed "s|dir: out|dir: fp8|" one.yaml >fp8.yaml
expect 0 'render: 1 clips made' render fp8.yaml --wire fp8
cmp -s out/one/latents.safetensors fp8/one/latents.safetensors && wrong "--wire fp8 changes nothing"
mode fp8/one blocks fp8
sed "s|dir: out|dir: three|" one.yaml >three.yaml
expect 2 'by heads 3 ranks cannot share a line: the model has 2 heads' \
    render three.yaml --ranks 3 --ranks-per-line 3 --exchange heads

# Several clips share the line; each is what it would be alone.
job sweep.yaml sweep 2s 'sweep: {axes: {seed: {range: "4-6"}}}
output: {dir: out, name: "s{seed}", latents: {file: l.safetensors, dtype: f32}}'
expect 0 'render: 3 clips made' render sweep.yaml
job alone.yaml alone 2s 'output: {dir: out, latents: {file: l.safetensors, dtype: f32}}'
expect 0 'render: 1 clips made' render alone.yaml
cmp -s out/s5/l.safetensors out/alone/l.safetensors || wrong "a clip differs in company"
cmp -s out/s4/l.safetensors out/s5/l.safetensors && wrong "two seeds, one clip"

# Block by block, on the oracle, at float32.
sed 's/kind: rolling, attention_frames: 21, sink_frames: 3/kind: block, attention_frames: 12, sink_frames: 3/' \
    model/card.yaml >model/block.yaml
job block.yaml block 1s 'output: {dir: out}'
sed -i 's|model/card.yaml|{path: model/block.yaml, precision: f32}|' block.yaml
expect 0 'render: 1 clips made' render block.yaml --backend ref

# Frame by frame, the first one with steps of its own: the same on any ranks.
sed -e 's/kind: rolling, attention_frames: 21, sink_frames: 3/kind: block, attention_frames: 21, sink_frames: 0/' \
    -e 's/^frames_per_block.*/frames_per_block: 1/' \
    -e 's/^steps.*/steps: [1000, 500]\nfirst_block_steps: [1000, 750, 500, 250]/' model/card.yaml >model/frame.yaml
job frame.yaml frame 2s 'output: {dir: out, latents: {file: l.safetensors, dtype: f32}}'
sed -i 's|model/card|model/frame|' frame.yaml
expect 0 'the first pictures come after 4 ticks' render frame.yaml
sed 's|dir: out|dir: frame3|' frame.yaml >frame3.yaml
expect 0 'render: 1 clips made' render frame3.yaml --ranks 3 --ranks-per-line 3
cmp -s out/frame/l.safetensors frame3/frame/l.safetensors || wrong "frame by frame: other bits on 3 ranks"

# What a clip begins with: a picture, the end of a video, latents. Given blocks are part of the clip,
# to the bit what was given, and the rest the same on any ranks.
latents() { # FILE FRAMES: the numbers of the first frames, behind the head
    head=$(od -An -tu8 -N8 "$1" | tr -d ' ')
    tail -c +$((9 + head)) "$1" | head -c $(($2 * 16 * (${SIZE%x*} / 8) * (${SIZE#*x} / 8) * 4))
}
ffmpeg -v error -y -f lavfi -i testsrc=size=96x80:rate=16:duration=2 -pix_fmt yuv420p source.mp4
ffmpeg -v error -y -i source.mp4 -frames:v 1 first.png
echo 'starts: [image, video, latents]' >>model/frame.yaml
echo 'starts: [video, latents, clip]' | cat model/card.yaml - >model/starts.yaml
start() { # FILE CARD LENGTH START [DIR]
    job "$1.yaml" "$1" "$3" "start: {$4}
output: {dir: ${5:-out}, latents: {file: l.safetensors, dtype: f32}}"
    sed -i "s|model/card|model/$2|" "$1.yaml"
}
start image frame 1s 'image: first.png'
expect 0 'render: 1 clips made' render image.yaml
start video starts 2s 'video: source.mp4, last: 1s'
expect 0 'render: 1 clips made' render video.yaml
grep -q '"blocks": 1,' out/video/clip.json || grep -q '"blocks": 1$' out/video/clip.json || wrong "clip.json: $(grep -A5 '"start"' out/video/clip.json)"
for ranks in 3 6; do
    start video starts 2s 'video: source.mp4, last: 1s' "start$ranks"
    expect 0 'render: 1 clips made' render video.yaml --ranks $ranks --ranks-per-line $ranks
    cmp -s out/video/l.safetensors "start$ranks/video/l.safetensors" || wrong "given blocks: other bits on $ranks ranks"
done
start more starts 3s 'latents: out/video/l.safetensors'
expect 0 'render: 1 clips made' render more.yaml
latents out/video/l.safetensors 9 >had.bin
latents out/more/l.safetensors 9 >has.bin
cmp -s had.bin has.bin || wrong "the latents that were given are not the clip's first ones"
[ "$(ffprobe -v error -count_frames -show_entries stream=nb_read_frames -of csv=p=0 out/more/clip.mp4)" = 48 ] ||
    wrong "a clip with given blocks has other pictures than its length"
sed -e 's/name: more/name: sweep-start/' -e 's/latents: out.video/latents: "{from}/; s/safetensors}/safetensors"}/' more.yaml >swept.yaml
printf 'sweep: {axes: {from: {list: [out/video]}}}\n' >>swept.yaml
expect 0 'render: 1 clips made' render swept.yaml
latents out/sweep-start-00000/l.safetensors 12 >has.bin
latents out/more/l.safetensors 12 >had.bin
cmp -s had.bin has.bin || wrong "another clip with the file from a sweep"
# Of a finished clip the first of its last pictures is encoded, and behind it are its own latents; of
# its video alone all are.
start ended starts 33f 'video: source.mp4, last: 1s'
expect 0 'render: 1 clips made' render ended.yaml
start clip starts 2s 'clip: out/ended, last: 9f'
expect 0 'render: 1 clips made' render clip.yaml
start film starts 2s 'video: out/ended/clip.mp4, last: 9f'
expect 0 'render: 1 clips made' render film.yaml
latents out/ended/l.safetensors 9 | tail -c "$(latents out/ended/l.safetensors 2 | wc -c)" >had.bin
latents out/clip/l.safetensors 3 | tail -c "$(wc -c <had.bin)" >has.bin
cmp -s had.bin has.bin || wrong "other latents than those of the clip that it goes on from"
latents out/clip/l.safetensors 1 >has.bin
latents out/film/l.safetensors 1 >had.bin
cmp -s had.bin has.bin || wrong "the first picture of a finished clip's end is another than its video's"
latents out/film/l.safetensors 3 >had.bin
latents out/clip/l.safetensors 3 | cmp -s - had.bin && wrong "a finished clip's latents are encoded"
# In the ids it stands by these bytes, not by its record, which says when it was made.
id_of() { "$rollmill" check --json "$1" | sed -n 's/.*"content_id": "\([0-9a-f]*\)".*/\1/p'; }
start ended starts 33f 'video: source.mp4, last: 1s' again
expect 0 'render: 1 clips made' render ended.yaml
cmp -s out/ended/clip.json again/ended/clip.json && wrong "two records alike"
start twice starts 2s 'clip: again/ended, last: 9f'
[ -n "$(id_of clip.yaml)" ] || wrong "no id in: $("$rollmill" check --json clip.yaml)"
[ "$(id_of clip.yaml)" = "$(id_of twice.yaml)" ] || wrong "another id with a source that was rendered again"
printf X | dd of=again/ended/l.safetensors bs=1 seek="$(($(wc -c <again/ended/l.safetensors) - 9))" conv=notrunc 2>/dev/null
[ "$(id_of clip.yaml)" = "$(id_of twice.yaml)" ] && wrong "the same id with other latents"
start wrong starts 2s 'clip: out/more, last: 9f' wrong
expect 1 'out/more/clip.json: found 48 pictures of 15 latent frames; allowed: all of them' render wrong.yaml
sed -i 's/"latents": {$/"latent": {/' out/ended/clip.json
start wrong starts 2s 'clip: out/ended, last: 9f' wrong
expect 2 'out/ended/clip.json: found no latents; allowed: a clip with video and latents' render wrong.yaml
start wrong starts 2s 'clip: nowhere, last: 9f'
expect 2 "start.clip: nowhere/clip.json: no such file; allowed: the path of a finished clip's folder" render wrong.yaml
# What is wrong with a start is said with its file; the model must be made for it, or forced.
start wrong card 2s 'video: source.mp4, last: 1s'
expect 2 'start.video: the model tiny-random was not made to go on from this; allowed: force: true' render wrong.yaml
start wrong card 2s 'video: source.mp4, last: 1s, force: true'
expect 0 'render: 1 clips made' render wrong.yaml
start wrong starts 2s 'image: first.png'
expect 2 'start.image: an image is one latent frame, a block of the model tiny-random has 3' render wrong.yaml
start wrong starts 2s 'video: source.mp4, last: 8f'
expect 2 'start.last: found 8 pictures; allowed: at least 9, a block' render wrong.yaml
start wrong starts 2s 'video: nowhere.mp4, last: 1s'
expect 2 'start.video: nowhere.mp4: no such file' render wrong.yaml
head -c 3000 source.mp4 >cut.mp4
start wrong starts 2s 'video: cut.mp4, last: 1s' wrong
expect 1 'start: cut.mp4: no picture or video can be read' render wrong.yaml
start wrong starts 5s 'video: source.mp4, last: 3s' wrong
expect 1 'start: source.mp4: found 32 pictures at 16/1 a second; 45 are wanted' render wrong.yaml
start wrong starts 1s 'latents: out/more/l.safetensors' wrong
expect 1 "found 15 latent frames; allowed: whole blocks of 3, fewer than the clip's 2 blocks" render wrong.yaml
start wrong starts 1s 'latents: model/Wan2.1_VAE.pth' wrong
expect 1 'start: model/Wan2.1_VAE.pth: found no tensor `latents`' render wrong.yaml
start wrong starts 1s 'video: source.mp4, last: 2s'
expect 2 'clip.length: found 2 blocks, of which 2 are given; allowed: more than are given' render wrong.yaml

# A stop ends at a block boundary, leaves nothing half done, and says how to go on. (No checkpoint
# either: a fast machine would come to one.)
job long.yaml long 10m 'run: {checkpoint: 0s}
output: {dir: out}'
: >err.txt
env --default-signal=INT "$rollmill" render long.yaml --no-prompt-cache >out.txt 2>err.txt &
pid=$!
await grep -q '^line: ' err.txt
sleep 1
kill -INT $pid
wait $pid
rc=$?
[ $rc -eq 75 ] || wrong "stopped: exit $rc, wanted 75"
grep -q 'Give the same command again' err.txt || wrong "stopped without a word: $(cat err.txt)"
[ ! -e out/long ] && [ -z "$(ls -A out/.attempts 2>/dev/null)" ] || wrong "a stopped clip left something"

# What is ignored from the start stays ignored: SIGHUP by nohup, SIGINT of what a script runs in
# the background. What is not, still stops it.
: >err.txt
nohup "$rollmill" render long.yaml --no-prompt-cache >out.txt 2>err.txt &
pid=$!
await grep -q '^line: ' err.txt
kill -HUP $pid
kill -INT $pid
sleep 2
kill -0 $pid || wrong "a signal that was ignored has ended it: $(cat err.txt)"
kill -TERM $pid
wait $pid
rc=$?
[ $rc -eq 75 ] || wrong "stopped under nohup: exit $rc, wanted 75"

# While the model is loaded a stop ends the process at once, with the same code.
job many.yaml many 1s 'sweep: {axes: {word: {file: words.jsonl, field: w}}, max_clips: 4000}
output: {dir: many, name: "{index}"}'
sed -i 's/"a harbour before sunrise"/"{word} at sea"/' many.yaml
i=0
while [ $i -lt 3000 ]; do echo "{\"w\": \"word$i\"}" && i=$((i + 1)); done >words.jsonl
: >err.txt
"$rollmill" render many.yaml --no-prompt-cache --backend ref >out.txt 2>err.txt &
pid=$!
await grep -q '^backend: ' err.txt
sleep 1
kill -TERM $pid
wait $pid
rc=$?
[ $rc -eq 75 ] || wrong "stopped while loading: exit $rc, wanted 75"

# A prompt of more tokens than the encoder takes: the words without effect are named, by check too,
# once for all clips that have it; or it is refused.
job wordy.yaml wordy 9f 'sweep: {axes: {seed: {range: "1-2"}}}
output: {dir: out}'
sed -i "s/a harbour before sunrise/$(seq -s' ' -f 'word%g' 1 200) heron/" wordy.yaml
for command in check 'render --no-prompt-cache'; do
    # shellcheck disable=SC2086 # several words
    expect 0 'wordy.yaml:4:9: prompt: clip wordy-00000: ' "$rollmill" $command wordy.yaml
    [ "$(grep -c 'the text encoder takes 64; without effect are "' err.txt)" -eq 1 ] || wrong "$command: $(cat err.txt)"
done
echo 'long_prompts: error' >>wordy.yaml
expect 2 'tokens; allowed with long_prompts: error: 64; too many are "' "$rollmill" check wordy.yaml
expect 2 'tokens; allowed with long_prompts: error: 64; too many are "' render wordy.yaml
sed -i 's/word[0-9]* //g' wordy.yaml
"$rollmill" check wordy.yaml >out.txt 2>err.txt && [ ! -s err.txt ] || wrong "a short prompt: $(cat err.txt)"

# Tasks of a step that nothing connects, as a plain srun starts them.
step='env SLURM_JOB_ID=1 SLURM_STEP_ID=0 SLURM_PROCID=0 SLURM_LOCALID=0'
job step.yaml step 9f 'output: {dir: out}'
# shellcheck disable=SC2086 # several words
expect 2 'srun has started 2 tasks and MPI connects none of them' $step SLURM_STEP_NUM_TASKS=2 "$rollmill" render step.yaml
# shellcheck disable=SC2086 # several words
expect 0 'render: 1 clips made' $step SLURM_STEP_NUM_TASKS=1 "$rollmill" render --no-prompt-cache step.yaml

# What cannot be is said before anything is rendered.
expect 2 'render needs at least one JOB.yaml' render
expect 2 'no.yaml: No such file' render no.yaml
expect 2 'one of ref|cpu|cuda is allowed' render one.yaml --backend gpu
job bad.yaml bad 1s 'output: {dir: out}'
expect 2 '7 ranks for a line of 6 stages; 1 to 6 are allowed' render bad.yaml --ranks 9 --ranks-per-line 7
cp -r model broken
head -c 100000 model/rolling_forcing_dmd.pt >broken/rolling_forcing_dmd.pt
sed -i 's|model/card|broken/card|' bad.yaml
expect 2 'broken/rolling_forcing_dmd.pt' render bad.yaml
# A model that cannot be opened costs its own clips alone, unless a stop is wanted then.
job whole.yaml whole 9f 'output: {dir: out}'
expect 1 'stopped at the first clip that was not made' render bad.yaml whole.yaml --fail-fast
[ ! -e out/whole ] || wrong "--fail-fast: the next group was begun"
expect 1 '1 of 2 clips were not made' render bad.yaml whole.yaml
grep -q 'not made: .*out/bad: broken/rolling_forcing_dmd.pt: ' err.txt || wrong "a broken model: $(cat err.txt)"
[ -e out/whole/clip.json ] || wrong "a broken model: the other clip is not there"
rm broken/Wan2.1_VAE.pth
expect 2 'broken/Wan2.1_VAE.pth' render bad.yaml
[ ! -e out/bad ] || wrong "a broken model left a clip"
# So does one whose file or card is not there; it is told before the others are made, and behind them.
job none.yaml none 9f 'output: {dir: out}'
sed -i 's|model/card|no/card|' none.yaml
expect 2 'no/card.yaml: no such file' render none.yaml
expect 2 'no/card.yaml: no such file' render whole.yaml none.yaml --fail-fast
rm -r out/whole
expect 1 'not made: all of job none: none.yaml:3:8: model: no/card.yaml: no such file' render none.yaml whole.yaml bad.yaml
grep -q 'not made: all of job bad: broken/card.yaml: vae: ' err.txt || wrong "a model without a VAE: $(cat err.txt)"
grep -q '0 of 1 clips were not made, and none of 2 jobs' err.txt || wrong "two jobs left out: $(cat err.txt)"
[ -e out/whole/clip.json ] || wrong "two jobs left out: the third is not made"
exit $fail
