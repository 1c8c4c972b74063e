#!/bin/bash
# cli_signals.sh - a signal at a random moment: a render that is told to stop, or is killed, ends with
# a code that is true; what is published is the clip; the next render makes the rest, and leaves nothing.
#
# TRIALS=N: so many signals (2; TORTURE=1: 500). RANKS: of how many processes, one after the other (1;
# TORTURE=1: 1 2 1 3 1 4 1 5 1 6; where mpirun is, one rank has the signal). SEED. LOG: a file, one line a trial.
. "$(dirname "$0")/world.sh"
[ "${TORTURE:-0}" = 0 ] || TRIALS=${TRIALS:-500} RANKS=${RANKS:-1 2 1 3 1 4 1 5 1 6}
read -ra ranks <<<"${RANKS:-1}"
signals=(KILL TERM INT HUP)
declare -A span # microseconds that a render takes, by its number of ranks
RANDOM=${SEED:-1}
ended=0

world 1 "$rollmill" doctor >/dev/null 2>&1
[ $? -ne 77 ] || ranks=(1)
job both.yaml both 3s 'run: {checkpoint: 0.5s}
sweep: {axes: {seed: {range: 1-2}}}
output:
  dir: OUT
  name: "{seed}"
  latents: {file: latents.safetensors, dtype: bf16}'

# begin OUT RANKS: a render in the background, that hears signals whatever started this script
begin() {
    out=$1 launch=()
    [ "$2" -eq 1 ] || launch=("$top/tests/mpirun.sh" "$2")
    sed "s|dir: OUT|dir: $out|" both.yaml >"$out.yaml"
    BUILT=$rollmill env --default-signal=INT,TERM,HUP "${launch[@]}" "$rollmill" render --no-prompt-cache "$dir/$out.yaml" \
        --threads 1 >out.txt 2>err.txt &
    pid=$!
}

now() { date +%s%6N; }

# running: the processes of the render. Those that a launcher has killed may take their time.
running() { pgrep -f "^$rollmill render --no-prompt-cache $dir/$out.yaml"; }
is_over() { ! running >/dev/null; }

right() { # FOLDER
    cmp -s "whole/$(basename "$1")/clip.mp4" "$1/clip.mp4" &&
        cmp -s "whole/$(basename "$1")/latents.safetensors" "$1/latents.safetensors" || wrong "$what: $1 is not the clip"
    "$rollmill" verify "$1" >found.txt 2>&1 || wrong "$what: $(cat found.txt)"
}

# One that docs/exit-codes.md has for it.
true_code() { # SIGNAL RC RANKS
    case $1 in
    INT) [ "$2" -eq 75 ] || [ "$2" -eq 0 ] || [ "$2" -eq 130 ] ;;
    TERM) [ "$2" -eq 75 ] || [ "$2" -eq 0 ] || [ "$2" -eq 143 ] ;;
    HUP) [ "$2" -eq 75 ] || [ "$2" -eq 0 ] || [ "$2" -eq 129 ] ;;
    # A launcher that has hung does not say which rank was the first: the others were stopped.
    KILL) [ "$2" -eq 137 ] || [ "$2" -eq 0 ] || { [ "$2" -eq 75 ] && grep -q '^mpirun hung' err.txt; } ;;
    esac
}

trial() { # SIGNAL RANKS
    after=$((span[$2] * (RANDOM % 1000) / 900))
    what="$1 to one of $2 after $((after / 1000)) ms"
    begin out "$2"
    sleep "$(printf '%d.%06d' $((after / 1000000)) $((after % 1000000)))"
    mapfile -t there < <(running)
    [ "${#there[@]}" -eq 0 ] || kill -"$1" "${there[$((RANDOM % ${#there[@]}))]}" 2>/dev/null
    timeout 300 tail --pid=$pid -f /dev/null || { wrong "$what: does not end" && kill -KILL $pid; }
    wait $pid 2>/dev/null
    rc=$?
    [ $rc -eq 0 ] || ended=$((ended + 1))
    await is_over
    made=$(find out -mindepth 1 -maxdepth 1 ! -name '.*' 2>/dev/null | wc -l)
    [ $rc -ne 0 ] || [ "$made" -eq 2 ] || wrong "$what: exit 0 with $made clips"
    true_code "$1" $rc || wrong "$what: exit $rc: $(tail -n 3 err.txt)"
    for clip in out/*; do [ ! -d "$clip" ] || right "$clip"; done
    render out.yaml --threads 1 >out.txt 2>err.txt || wrong "$what: the next render: $(tail -n 3 err.txt)"
    from=$(grep -c 'resumes after' err.txt)
    right out/1
    right out/2
    "$rollmill" sweep --all out >found.txt || wrong "$what: sweep: $(cat found.txt)"
    [ "$(ls -A out)" = "$(printf '1\n2')" ] || wrong "$what: left: $(ls -A out)"
    rm -rf out
    echo "$what: exit $rc, $made clips, $from gone on with" >>"${LOG:-/dev/null}"
}

for n in "${ranks[@]}"; do
    [ -z "${span[$n]:-}" ] || continue
    start=$(now)
    begin whole "$n"
    wait $pid || { wrong "on $n ranks: $(tail -n 3 err.txt)" && exit 1; }
    span[$n]=$(($(now) - start))
    [ "$n" -eq "${ranks[-1]}" ] || rm -rf whole
done
# However fast the renders are: one at least has to be ended by its signal.
for ((i = 0; i < ${TRIALS:-2} || (ended == 0 && i < ${TRIALS:-2} + 10); i++)); do
    trial "${signals[$((i % 4))]}" "${ranks[$((i / 4 % ${#ranks[@]}))]}"
done
[ $ended -gt 0 ] || wrong "no render was ended by its signal"
echo "$i signals, $ended of them ended a render"
exit $fail
