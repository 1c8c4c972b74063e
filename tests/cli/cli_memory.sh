#!/bin/sh
# cli_memory.sh - memory does not grow with a clip: the peak of a 10-minute clip
# is that of a 1-minute one within 2 %.
. "$(dirname "$0")/world.sh"

# peak NAME LENGTH: the largest resident set of a render, in KiB
peak() {
    job job.yaml "$1" "$2" 'output: {dir: out, formats: [{file: clip.mp4, codec: h264, preset: ultrafast}]}'
    render job.yaml 2>err.txt || { cat err.txt >&2 && return; }
    sed -n 's/.*"peak_bytes": \([0-9]*\).*/\1/p' "out/$1/clip.json"
}

SIZE=16x16 fps=8
short=$(peak short 1m)
long=$(peak long 10m)
[ -n "$short" ] && [ -n "$long" ] || exit 1
echo "peak of 1 minute $short bytes, of 10 minutes $long bytes"
[ "$long" -le $((short + short / 50)) ] || wrong "it grew by more than 2 %"
frames=$(ffprobe -v error -count_packets -show_entries stream=nb_read_packets -of csv=p=0 out/long/clip.mp4)
[ "$frames" = 4800 ] || wrong "the long clip has $frames pictures"
exit $fail
