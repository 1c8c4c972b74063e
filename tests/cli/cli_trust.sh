#!/bin/sh
# cli_trust.sh - a finished clip is what was made: damage is found, no clip is made twice, and a
# render that ends is not thrown away.
. "$(dirname "$0")/world.sh"

# A finished clip is looked at before it is skipped: its files, with --verify their bytes.
job one.yaml one 9f 'output: {dir: out, preview: {file: contact.png, columns: 2}}'
expect 0 'render: 1 clips made' render one.yaml
"$rollmill" verify out/one >out.txt || wrong "a clip just made is damaged: $(cat out.txt)"
grep -q 'out/one: 2 files, [0-9]* bytes, as they were made' out.txt || wrong "verify: $(cat out.txt)"
before=$(sha256sum <out/one/clip.mp4)
: >out/one/clip.mp4
expect 0 'out/one/clip.mp4: 0 bytes' render one.yaml
grep -q 'kept as .*out/one.damaged-1' err.txt || wrong "emptied: $(cat err.txt)"
[ "$(sha256sum <out/one/clip.mp4)" = "$before" ] || wrong "emptied: not the same clip again"
[ -f out/one.damaged-1/clip.json ] || wrong "emptied: the damaged clip is gone"
rm out/one/contact.png
expect 0 'out/one/contact.png: No such file' render one.yaml
printf x | dd of=out/one/clip.mp4 bs=1 seek=300 conv=notrunc 2>/dev/null
expect 1 '1 of 1 clips are damaged' "$rollmill" verify out/one
grep -q 'out/one/clip.mp4: its bytes have changed' out.txt || wrong "verify: $(cat out.txt)"
expect 0 '1 clips already exist' render one.yaml
expect 0 'kept as' render one.yaml --verify
[ "$(find out -maxdepth 1 -name 'one.damaged-*' | wc -l)" -eq 3 ] || wrong "not three damaged: $(ls out)"
expect 0 '1 clips already exist' render one.yaml --verify

# A clip of other numerics is kept, and said; or made again beside it.
numerics() { grep -o '"numerics_id": "[0-9a-f]*"' "$1/clip.json"; }
same() { grep -E '"(content|task)_id"' "$1/clip.json"; }
expect 0 'made with other numerics' render one.yaml --wire fp8
[ ! -e out/one-v2 ] || wrong "--wire fp8: made again unasked"
expect 0 'render: 1 clips made' render one.yaml --wire fp8 --same-numerics
expect 0 '1 clips already exist' render one.yaml --wire fp8 --same-numerics
[ "$(same out/one)" = "$(same out/one-v2)" ] || wrong "--wire fp8: another content"
[ "$(numerics out/one)" != "$(numerics out/one-v2)" ] || wrong "--wire fp8: the same numerics"
render one.yaml --ranks 2 >out.txt 2>err.txt
! grep -q 'other numerics' err.txt || wrong "two ranks have other numerics: $(cat err.txt)"

# A job that asks has clips of their own content, computed so whatever the options leave open, beside
# those of a job that does not; an option that says something else is refused.
job asks.yaml asks 9f 'numerics: {wire: fp8}'
cp one.yaml open.yaml
echo 'labels: {a: b}' >>open.yaml
sed -i 's/^name: one/name: open/' open.yaml
expect 0 'render: 2 clips made' render open.yaml asks.yaml --ranks 2 --report report.json
[ "$(grep -c '"wire": "fp8"' report.json)$(grep -c '"wire": "act"' report.json)" = 11 ] ||
    wrong "not a batch of each: $(cat report.json)"
grep -q '"wire": "fp8"' out/asks/clip.json && grep -q '"wire": "act"' out/open/clip.json ||
    wrong "numerics: fp8 is not of the job that asks alone"
[ "$(same out/asks)" != "$(same out/open)" ] || wrong "a job that asks: the same content"
[ "$(numerics out/asks)" = "$(numerics out/one-v2)" ] || wrong "asked and given: other numerics"
pictures() { sed -n 's/.*"sha256": "\([0-9a-f]*\)",$/\1/p' "$1/clip.json" | tail -n 1; }
[ "$(pictures out/asks)" = "$(pictures out/one-v2)" ] || wrong "asked and given: other pictures"
expect 0 '1 clips already exist' render asks.yaml --wire fp8
! grep -q 'other numerics' err.txt || wrong "asked and given alike: $(cat err.txt)"
expect 2 'asks.yaml:6:18: numerics.wire: found fp8, and --wire act was given' render asks.yaml --wire act
expect 2 'numerics.wire: found fp8, and --wire act was given' "$rollmill" plan asks.yaml --wire act
job card.yaml card 9f 'numerics: {kernels: 4}'
expect 2 'card.yaml:6:11: numerics: numerics.kernels: 4 is of the cuda backend; this is cpu' \
    render card.yaml --backend cpu
"$rollmill" check card.yaml >out.txt 2>err.txt || wrong "check without a card: $(cat err.txt)"
grep -q 'ids  ' out.txt || wrong "check without a card: no ids: $(cat out.txt)"

# Whole files in the ids: read once, remembered, in the record, the same for check, render and work.
hashed() { grep -c 'bytes are hashed' err.txt; }
full() { XDG_CACHE_HOME=$dir/cache ROLLMILL_LOG=debug "$rollmill" "$@" >out.txt 2>err.txt || wrong "$*: $(tail -n 3 err.txt)"; }
job full.yaml full 9f
full check full.yaml --hash full
[ "$(hashed)" -eq 5 ] || wrong "check --hash full: $(hashed) files read, not 5"
ids=$(sed -n 's/.*content \([0-9a-f]*\), task.*/\1/p' out.txt)
full render full.yaml --hash full --no-prompt-cache
[ "$(hashed)" -eq 0 ] || wrong "render --hash full: $(hashed) files read that check has read"
grep -q '"ids_of": "whole files"' out/full/clip.json || wrong "--hash full: not in the record"
grep -q "\"content_id\": \"$ids\"" out/full/clip.json || wrong "--hash full: not check's id, $ids"
grep -q '"ids_of": "whole files up to 64 MiB, of larger ones samples"' out/one/clip.json ||
    wrong "sampled: not in the record"
full submit full.yaml --hash full --queue sqlite:full.db
rm -r out/full
full work --queue sqlite:full.db --no-prompt-cache --backend cpu
[ "$(hashed)" -eq 0 ] || wrong "work: $(hashed) files read that are known"
grep -q '"ids_of": "whole files"' out/full/clip.json || wrong "work: not as it was submitted"
touch model/config.json
full render full.yaml --hash full --no-prompt-cache
[ "$(hashed)" -eq 1 ] || wrong "a file that was touched: $(hashed) files read, not 1"
grep -q '1 clips already exist' err.txt || wrong "a file that was touched: $(cat err.txt)"

# running: the process whose clip is in work here
begin() { # NAME: a long clip in the background, until its attempt is there
    : >err2.txt
    "$rollmill" render "$1.yaml" --no-prompt-cache >out2.txt 2>err2.txt &
    pid=$!
    await sh -c "ls -d $2/.attempts/$1.*.* >/dev/null 2>&1"
}

# What takes the name meanwhile stays, and so does the render: said, with code 1.
job late.yaml late 20s 'output: {dir: late}'
begin late late
echo mine >late/late
wait $pid
rc=$?
[ $rc -eq 1 ] || wrong "a name that was taken: exit $rc: $(cat err2.txt)"
grep -q 'appeared while the clip was rendered, and stays; this render is .*/late/late-v2' err2.txt ||
    wrong "a name that was taken: $(cat err2.txt)"
[ "$(cat late/late)" = mine ] && "$rollmill" verify late/late-v2 >out.txt || wrong "late-v2: $(ls -l late)"
[ ! -e late/.attempts ] || wrong "late: attempts are left: $(ls late/.attempts)"

# Two renders of one folder: each clip is made once; the one in work elsewhere is not waited for.
job share.yaml share 20s 'output: {dir: share}'
begin share share
expect 1 'in work by process' render share.yaml
grep -q '1 of 1 clips were not made' err.txt || wrong "share: $(cat err.txt)"
kill -9 $pid
wait $pid 2>/dev/null

# Its claim and its attempt are those of a process that is no more.
[ -n "$(ls -A share/.attempts)" ] || wrong "a killed render left nothing to sweep"
sed 's/20s/9f/' share.yaml >short.yaml
expect 0 '1 attempts of killed renders removed' render short.yaml
[ ! -e share/.attempts ] || wrong "share: attempts are left: $(ls share/.attempts)"
mkdir -p share/.attempts/x.1.abcdef/x
"$rollmill" sweep share >out.txt || wrong "sweep: exit $?"
grep -q '0 attempts removed; 0 of renders that run, 0 to go on from, 1 of other machines' out.txt || wrong "sweep: $(cat out.txt)"
# One that was killed before it said whose it is goes once it is older than a lease, and not before.
mkdir share/.attempts/y.1.abcdef
"$rollmill" sweep share >out.txt && [ -d share/.attempts/y.1.abcdef ] || wrong "blank and new: $(cat out.txt)"
: >share/.attempts/y.1.abcdef/owner.tmp.1
touch -d '10 minutes ago' share/.attempts/*.abcdef
"$rollmill" sweep share >out.txt || wrong "blank and old: exit $?"
grep -q '^share: 1 attempts removed; .* 1 of other machines' out.txt && [ -d share/.attempts/x.1.abcdef ] ||
    wrong "blank and old: $(cat out.txt)"
"$rollmill" sweep --all share >out.txt || wrong "sweep --all: exit $?"
grep -q '1 attempts removed' out.txt && [ ! -e share/.attempts ] || wrong "sweep --all: $(cat out.txt)"

# Versions: three at once, three folders.
job versions.yaml v 9f 'output: {dir: versions, on_exists: version}'
for i in 1 2 3; do
    "$rollmill" render versions.yaml --no-prompt-cache >/dev/null 2>"err$i.txt" &
    eval "pid$i=\$!"
done
# shellcheck disable=SC2154 # set by eval
for p in $pid1 $pid2 $pid3; do wait "$p" || wrong "a version failed: $(cat err[123].txt)"; done
[ "$(cd versions && echo *)" = "v v-v2 v-v3" ] || wrong "versions: $(ls versions)"

# What another user's killed render has left stands in nobody's way, and is named.
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
    mkdir -m 777 theirs
    job theirs.yaml theirs 20s 'output: {dir: theirs}'
    begin theirs theirs
    kill -9 $pid
    wait $pid 2>/dev/null
    sed 's/20s/9f/' theirs.yaml >short.yaml
    chmod -R a+rX "$dir"
    expect 0 "not removed: $dir/theirs/.attempts/theirs." setpriv --reuid=65534 --regid=65534 --clear-groups \
        "$rollmill" render short.yaml --no-prompt-cache
fi

# What the record could not name is refused before anything is rendered.
odd=$(printf 'm\377')
cp -r model "$odd"
job odd.yaml odd 9f 'output: {dir: odd}'
sed "s|^model: .*|model: card.yaml|; s|dir: odd|dir: $dir/odd|" odd.yaml >"$odd/odd.yaml"
expect 2 "the card's path is not UTF-8" render "$odd/odd.yaml"
[ ! -e odd ] || wrong "a path that is not UTF-8: $(ls -A odd)"

# In a folder that is open to all the attempts folder is as open.
mkdir -m 777 open
job open.yaml open 20s 'output: {dir: open}'
begin open open
[ "$(stat -c %a open/.attempts)" = 1777 ] || wrong "open: the attempts folder is $(stat -c %a open/.attempts)"
kill -TERM $pid
wait $pid
exit $fail
