#!/bin/sh
# cli_codes.sh - exit codes that every command has, as docs/exit-codes.md says.
. "$(dirname "$0")/world.sh"

commands=$("$rollmill" --help | sed -n 's/^  \([a-z]*\)  .*/\1/p')
[ "$(echo "$commands" | wc -w)" -gt 8 ] || wrong "few commands: $commands"
for command in $commands; do
    expect 2 'no-such-option' "$rollmill" "$command" --no-such-option
    "$rollmill" "$command" --help >out.txt 2>err.txt || wrong "$command --help: exit $?"
    "$rollmill" "$command" --help >/dev/full 2>err.txt
    rc=$?
    [ $rc -eq 1 ] && grep -q 'stdout is full' err.txt || wrong "$command --help >/dev/full: exit $rc: $(cat err.txt)"
done

# What they print when they have done their work.
job one.yaml one 2s 'output: {dir: out}'
render one.yaml 2>err.txt || wrong "render: exit $?: $(cat err.txt)"
printed() {
    "$rollmill" "$@" >out.txt 2>err.txt || wrong "$*: exit $?: $(cat err.txt)"
    "$rollmill" "$@" >/dev/full 2>err.txt
    rc=$?
    [ $rc -eq 1 ] || wrong "$* >/dev/full: exit $rc, wanted 1: $(cat err.txt)"
}
printed check one.yaml
printed check one.yaml --json
printed plan one.yaml --ranks 2
printed inspect model/Wan2.1_VAE.pth
printed inspect model/Wan2.1_VAE.pth --json
printed inspect out/one
printed inspect out/one --json
printed verify out/one
printed --version
for command in render check plan inspect verify sweep submit; do
    "$rollmill" $command nothing-here >out.txt 2>err.txt
    rc=$?
    [ $rc -eq 2 ] || wrong "$command nothing-here: exit $rc, wanted 2: $(cat err.txt)"
done
# A file that cannot be opened just now, whichever it is and whyever: 1, and it is named.
shim=$(realpath "$top/${SHIMS:-build/release}/shim_nth.so") || exit 1
printf '{"w": "sea"}\n' >words.jsonl
job reads.yaml reads 9f 'sweep: {axes: {w: {file: words.jsonl, field: w}}}
output: {dir: reads, name: "reads-{w}"}'
for pair in reads.yaml:5 card.yaml:116 config.json:24 rolling_forcing_dmd.pt:23 Wan2.1_VAE.pth:12 models_t5:11 \
    spiece.model:116 words.jsonl:5; do
    expect 1 "${pair%:*}" env LD_PRELOAD="$shim" NTH_BELOW="$dir" NTH_CALL=open NTH_FILE="${pair%:*}" NTH_AT=1 \
        NTH_LASTING=1 NTH_ERROR="${pair#*:}" "$rollmill" render reads.yaml --no-prompt-cache
done
# One that cannot be looked at just now is not missing: opening it decides.
for file in card.yaml rolling_forcing_dmd.pt; do
    LD_PRELOAD=$shim NTH_BELOW=$dir NTH_CALL=look NTH_FILE=$file NTH_AT=1 NTH_ERROR=5 "$rollmill" check reads.yaml \
        >out.txt 2>err.txt || wrong "$file cannot be looked at: exit $?: $(cat err.txt)"
done
[ ! -e reads/reads-sea ] || wrong "a clip appeared"

# Who stops is heard before a word is said: here the first one finds its pipe full.
caught() { mask=$(sed -n 's/^SigCgt:[^0-9a-f]*//p' "/proc/$pid/status") && [ $((0x$mask & 0x4203)) -eq $((0x4203)) ]; }
mkfifo pipe
exec 5<>pipe
dd if=/dev/zero bs=65536 count=1 >&5 2>/dev/null
env --default-signal=HUP,INT,USR1,TERM "$rollmill" render one.yaml --no-prompt-cache >out.txt 2>pipe &
pid=$!
await caught
caught || wrong "render: signals are not caught when the first line is printed: $(grep Sig /proc/$pid/status)"
kill -KILL $pid
wait $pid 2>/dev/null
exec 5>&-
expect 2 'no command' "$rollmill" nothing
"$rollmill" 2>err.txt
rc=$?
[ $rc -eq 2 ] || wrong "no command: exit $rc"
exit $fail
