#!/bin/sh
# cli_threads.sh - a world of ranks that are threads, small enough for a sanitizer: every
# role, stops at any time, a full disk, a file that one role alone cannot read. PAUSES: how many
# seconds behind the line's beginning it is stopped.
. "$(dirname "$0")/world.sh"

roles='--ranks 8 --ranks-per-line 6
--ranks 4 --ranks-per-line 1 --decode-ranks 1
--ranks 5 --ranks-per-line 3 --decode-ranks 2
--ranks 2 --ranks-per-line 2 --decode-ranks 0'

# each COMMAND...: with the options of every role map
each() {
    while read -r options; do
        # shellcheck disable=SC2086 # several words
        "$@" $options </dev/null
    done <<END
$roles
END
}

sweep='sweep: {axes: {seed: {range: "1-4"}}}'
threads() { render "$@" --threads 2 --deadline 200; }

whole() {
    rm -rf out
    job whole.yaml whole 1s "$sweep
output: {dir: out, name: \"s{seed}\"}"
    expect 0 'render: 4 clips made' threads whole.yaml "$@" --trace trace.json
    [ "$(find out -name clip.mp4 | wc -l)" -eq 4 ] || wrong "$*: clips are missing"
}
each whole

# A stop while it loads, while the line fills, in the middle, while a clip is committed:
# what is there is whole, nothing else is left, and the same command goes on with it.
stops() {
    rm -rf out
    job stop.yaml stop 1s "$sweep
output: {dir: out, name: \"s{seed}\"}"
    for pause in ${PAUSES:-0.05 0.3 0.6 1}; do
        : >err.txt # of the run before
        "$rollmill" render --no-prompt-cache stop.yaml --threads 2 "$@" >out.txt 2>err.txt &
        pid=$!
        n=0
        while kill -0 $pid 2>/dev/null && ! grep -q '^line: ' err.txt && [ $n -lt 600 ]; do
            sleep 0.05 && n=$((n + 1))
        done
        sleep $pause
        kill -TERM $pid 2>/dev/null
        wait $pid
        rc=$?
        [ $rc -eq 75 ] || [ $rc -eq 0 ] || wrong "$*: stopped after $pause s: exit $rc: $(cat err.txt)"
        for clip in out/s*; do
            [ ! -e "$clip" ] || [ -e "$clip/clip.json" ] || wrong "$*: $clip is not whole"
        done
        [ -z "$(ls out/.attempts 2>/dev/null)" ] || wrong "$*: a stop left $(ls out/.attempts)"
    done
    expect 0 "clip" threads stop.yaml "$@"
    [ "$(find out -name clip.json | wc -l)" -eq 4 ] || wrong "$*: clips are missing"
}
each stops

full() {
    rm -rf out
    job full.yaml full 2s 'output: {dir: out}'
    expect 1 'File too large' limited "$@"
    [ "$(grep -c 'rollmill: .*File too large' err.txt)" -eq 1 ] || wrong "$*: full: $(cat err.txt)"
    [ ! -e out/full ] || wrong "$*: an unfinished clip appeared"
}
limited() (
    ulimit -f 16
    threads full.yaml "$@"
)
each full

# One role fails while it opens, then two at once; the others wait for it meanwhile.
broken() {
    rm -rf out
    expect "$code" "$words" threads broken.yaml "$@"
    [ ! -e out/broken ] || wrong "$*: a clip appeared"
}
cut_short() { # FILE
    cp "model/$1" kept
    truncate -s 20000 "model/$1"
}
job broken.yaml broken 1s 'output: {dir: out}'
code=2 words='Wan2.1_VAE.pth'
cut_short Wan2.1_VAE.pth
each broken
mv kept model/Wan2.1_VAE.pth
words=rolling_forcing_dmd.pt
cut_short rolling_forcing_dmd.pt
each broken
words=model/
truncate -s 20000 model/Wan2.1_VAE.pth
each broken
exit $fail
