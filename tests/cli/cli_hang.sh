#!/bin/sh
# cli_hang.sh - a disk that does not answer while a render loads: whatever call it is and however
# the ranks run, the render ends in time with 71 and names the rank and the file.
. "$(dirname "$0")/world.sh"
shim=$(realpath "$top/${SHIMS:-build/release}/shim_nth.so") || exit 1
stall=4

job one.yaml one 9f 'output: {dir: out}'

# hangs CALL FILE COMMAND...: with the first such call never coming back
hangs() {
    call=$1 file=$2
    shift 2
    start=$(date +%s)
    timeout -k 5 120 "$@" env LD_PRELOAD="$shim" NTH_BELOW="$dir" NTH_CALL="$call" NTH_FILE="$file" NTH_AT=1 NTH_HANGS=1 \
        "$rollmill" render one.yaml --no-prompt-cache --threads 1 --stall $stall $options >out.txt 2>err.txt
    rc=$?
    took=$(($(date +%s) - start))
    [ $rc -eq 71 ] || wrong "$call of $file, $* $options: exit $rc after $took s, wanted 71: $(cat err.txt)"
    grep -q "rank [0-9]*: .*$file.*: the disk has not answered for [0-9]* s" err.txt ||
        wrong "$call of $file, $* $options: not named: $(cat err.txt)"
    [ ! -e out/one ] || wrong "$call of $file: a clip appeared"
}

options=
hangs open one.yaml
hangs look card.yaml
hangs read config.json
hangs read rolling_forcing_dmd.pt
hangs open Wan2.1_VAE.pth
hangs read models_t5
options='--ranks 3'
hangs open card.yaml
hangs read rolling_forcing_dmd.pt
hangs open Wan2.1_VAE.pth
hangs read models_t5
world 1 "$rollmill" doctor >/dev/null 2>&1
if [ $? -ne 77 ]; then
    options='--ranks-per-line 2 --decode-ranks 1'
    export BUILT="$rollmill"
    hangs look config.json "$top/tests/mpirun.sh" 3
    hangs read rolling_forcing_dmd.pt "$top/tests/mpirun.sh" 3
    hangs open Wan2.1_VAE.pth "$top/tests/mpirun.sh" 3
    hangs read models_t5 "$top/tests/mpirun.sh" 3
fi
exit $fail
