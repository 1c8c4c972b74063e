#!/bin/sh
# cli_faults.sh - ranks that die, hang or are told to stop, in every role: the world
# ends in time, with the right code, names the culprit and leaves no process.
. "$(dirname "$0")/world.sh"

world 1 "$rollmill" doctor >/dev/null 2>&1
[ $? -ne 77 ] || { echo "no mpirun, or built without MPI" && exit 77; }
ranks=5 # a line of three, a decode chain of two
roles='--ranks-per-line 3 --decode-ranks 2'
deadline=4
through= # what the launcher is started by

# begin NAME [OPTION...]: a long clip over ranks, in the background; waits until it runs
begin() {
    name=$1
    shift
    job "$name.yaml" "$name" 10m "output: {dir: out}
run: {checkpoint: 0s}" # a stop leaves nothing then, however fast the machine
    : >err.txt
    # shellcheck disable=SC2086 # several words
    $through "$top/tests/mpirun.sh" $ranks "$rollmill" render --no-prompt-cache "$dir/$name.yaml" --threads 1 $roles \
        --deadline 60 --stall $deadline "$@" >out.txt 2>err.txt &
    launcher=$!
    await grep -q '^line: ' err.txt
    sleep 1
}

# running: of this job, here. Other tests may run jobs of the same name.
running() { pgrep -f "render --no-prompt-cache $dir/$name.yaml"; }

# pid_of RANK
pid_of() {
    for pid in $(running); do
        tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | grep -qx "OMPI_COMM_WORLD_RANK=$1" && echo "$pid" && return
    done
}

# finish CODE SECONDS WORDS: how the world ends
finish() {
    start=$(date +%s)
    wait $launcher
    rc=$?
    took=$(($(date +%s) - start))
    [ "$1" = any ] && [ $rc -ne 0 ] || [ "$rc" = "$1" ] || wrong "$name: exit $rc, wanted $1: $(cat err.txt)"
    [ $took -le "$2" ] || wrong "$name: took $took s to end"
    grep -q -- "$3" err.txt || wrong "$name: no \`$3\` in: $(cat err.txt)"
    sleep 0.3
    left=$(running)
    [ -z "$left" ] || wrong "$name: processes are left: $left"
    [ ! -e "out/$name" ] || wrong "$name: an unfinished clip appeared"
}

for rank in 0 1 2 3 4; do
    begin "kill$rank"
    kill -9 "$(pid_of $rank)"
    finish any 40 'exited on signal 9\|Killed'

    begin "hang$rank"
    kill -STOP "$(pid_of $rank)"
    finish 71 $((2 * deadline + 40)) "rank $rank sent no heartbeat for"
done

# A rank that hangs while the others have nothing left to do: the encoder is slow.
SIZE=512x384 job drain.yaml drain 3s 'output: {dir: out, formats: [{file: clip.mkv, codec: h264, preset: placebo, crf: 1}]}'
name=drain
: >err.txt
"$top/tests/mpirun.sh" 4 "$rollmill" render --no-prompt-cache "$dir/drain.yaml" --threads 1 --ranks-per-line 3 \
    --decode-ranks 1 --deadline 60 --stall $deadline >out.txt 2>err.txt &
launcher=$!
await grep -q '^line: ' err.txt
sleep 2
kill -STOP "$(pid_of 3)"
finish 71 $((2 * deadline + 40)) 'rank 3 sent no heartbeat for'

# While a rank loads: the prompts of many clips take their time.
seq -f '{"w": "word %.0f"}' 3000 >words.jsonl
job load.yaml load 1s 'sweep: {axes: {word: {file: words.jsonl, field: w}}, max_clips: 4000}
output: {dir: out, name: "load-{index}"}'
sed -i 's/a harbour before sunrise/{word} at sea/' load.yaml
for signal in USR1 KILL; do
    name=load
    : >err.txt
    "$top/tests/mpirun.sh" 4 "$rollmill" render --no-prompt-cache "$dir/load.yaml" --threads 1 --ranks-per-line 3 \
        --decode-ranks 1 --backend ref --deadline 60 --stall $deadline >out.txt 2>err.txt &
    launcher=$!
    await grep -q 'prompts: 64' err.txt
    if [ $signal = KILL ]; then kill -KILL "$(pid_of 2)"; else kill -USR1 $launcher; fi
    if [ $signal = KILL ]; then finish any 40 'signal 9\|Killed'; else finish 75 40 'render: stopped'; fi
done

# A stop asked by Ctrl-C, which a terminal sends to all of its foreground, of the launcher; of any one rank.
through="env --default-signal=INT setsid $top/tools/run_world.sh"
begin usr1
kill -INT -$launcher
finish 75 40 'Give the same command again'
through=
for rank in 0 2 4; do
    begin "stop$rank"
    kill -TERM "$(pid_of $rank)"
    finish 75 40 'Give the same command again'
done

# Of a rank that has nothing to do; of one whose line has no clip left.
roles='--ranks-per-line 4 --decode-ranks 0'
begin stopidle
kill -TERM "$(pid_of 4)"
finish 75 40 'Give the same command again'
job brief.yaml brief 1s 'output: {dir: out}'
roles='--ranks-per-line 2 --decode-ranks 1'
begin stopover "$dir/brief.yaml" # one group: the same path of its card
await test -e out/brief
sleep 1
kill -TERM "$(pid_of 2)"
finish 75 40 'Give the same command again'
[ -e out/brief/clip.json ] || wrong "stopover: the clip that was finished is gone"
roles='--ranks-per-line 3 --decode-ranks 2'
for left in out/.attempts/usr1* out/.attempts/stop*; do
    [ ! -e "$left" ] || wrong "a stopped clip left $left"
done

# All ranks are suspended, longer than one alone may be silent, and go on.
begin pause
pids=$(running | grep -vx "$launcher")
# shellcheck disable=SC2086 # several numbers
kill -STOP $pids && sleep $((2 * deadline + 2)) && kill -CONT $pids
sleep 2
kill -USR1 $launcher
finish 75 40 'Give the same command again'

# A disk that is full: the decode rank's own error, said once, with its code.
begin full
prlimit --fsize=8192 --pid "$(pid_of 4)" || wrong "prlimit"
finish 1 40 'File too large'
[ "$(grep -c 'rollmill: .*File too large' err.txt)" -eq 1 ] || wrong "full: said more than once: $(cat err.txt)"

# A file that one role cannot read, that two cannot, that one rank alone has not got: the
# others wait for it in vain and end; what is wrong is said once by each that saw it.
job broken.yaml broken 1s 'output: {dir: out}'
broken() { # CODE WORDS TIMES COMMAND...
    code=$1 words=$2 times=$3
    shift 3
    expect "$code" "$words" timeout 60 "$top/tests/mpirun.sh" "$@" --no-prompt-cache --threads 1 \
        --ranks-per-line 3 --decode-ranks 2
    [ "$(grep -c "rollmill: .*$words" err.txt)" -le "$times" ] || wrong "$*: said more than $times times: $(cat err.txt)"
    [ ! -e out/broken ] || wrong "$*: a clip appeared"
}
cp model/Wan2.1_VAE.pth vae.pth
truncate -s 20000 model/Wan2.1_VAE.pth
broken 2 Wan2.1_VAE.pth 2 5 "$rollmill" render broken.yaml
cp model/rolling_forcing_dmd.pt kept.pt
truncate -s 20000 model/rolling_forcing_dmd.pt
broken 2 model/ 5 5 "$rollmill" render broken.yaml
cp vae.pth model/Wan2.1_VAE.pth
broken 2 rolling_forcing_dmd.pt 3 5 "$rollmill" render broken.yaml
cp kept.pt model/rolling_forcing_dmd.pt
for before in 1 2 4; do
    broken 2 'No such file' 1 $before "$rollmill" render broken.yaml --no-prompt-cache --threads 1 --ranks-per-line 3 \
        --decode-ranks 2 : -n 1 sh -c 'cd / && exec "$0" "$@"' "$rollmill" render broken.yaml --no-prompt-cache \
        --threads 1 --ranks-per-line 3 --decode-ranks 2 : -n $((5 - before)) "$rollmill" render broken.yaml
done
exit $fail
