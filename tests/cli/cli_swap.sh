#!/bin/sh
# cli_swap.sh - a model's file that is replaced or cut while a render begins, or whose name leads to
# another for one open alone: no clip says that the old file has made it.
#
# TORTURE=1: each open of a file; else those of one alone are a sample.
. "$(dirname "$0")/world.sh"

shim=$(realpath "$top/${SHIMS:-build/release}/shim_swap.so") || exit 1
job one.yaml one 9f 'output: {dir: out}'
expect 0 'render: 1 clips made' render one.yaml
id() { grep -o '"content_id": "[0-9a-f]*"' "$1/clip.json"; }
pictures() { sed -n '/"frames": {/,$s/.*"sha256": "\([0-9a-f]*\)".*/\1/p' "$1/clip.json" | head -n 1; }
old_id=$(id out/one) old_pictures=$(pictures out/one)

# judge WHAT FILE RC: refused by its name, or made of the file that the record names
judge() {
    if [ "$3" -eq 0 ]; then
        [ "$(id out/one)" != "$old_id" ] || [ "$(pictures out/one)" = "$old_pictures" ] ||
            wrong "$1: other pictures under the old id"
    else
        [ "$3" -eq 1 ] && grep -q "$2: chang" err.txt || wrong "$1: exit $3, wanted 1 and the name: $(tail -n 2 err.txt)"
        [ ! -e out/one ] || wrong "$1: a clip appeared"
    fi
}

# Each file, replaced by another of its kind before each time it is opened. Other weights are those
# of another seed.
cp -r model kept
"$make_model" other --size tiny --seed 77 >/dev/null 2>&1 || exit 1
swapped=0
for file in rolling_forcing_dmd.pt Wan2.1_VAE.pth models_t5_umt5-xxl-enc-bf16.pth spiece.model config.json; do
    path=$(cd model && find . -name "$file")
    n=0
    while n=$((n + 1)) && [ $n -le 12 ]; do
        rm -rf out && cp "kept/$path" "model/$path" && cp "other/$path" new
        [ $file = config.json ] && sed 's/"text_len"/ "text_len"/' "kept/$path" >new
        LD_PRELOAD=$shim SWAP_PATH="$file" SWAP_N=$n SWAP_BY=new "$rollmill" render --no-prompt-cache one.yaml \
            >out.txt 2>err.txt
        rc=$?
        [ ! -e new ] || break # it is not opened that often
        swapped=$((swapped + 1))
        judge "$file, open $n" $file $rc
    done
    cp "kept/$path" "model/$path"
done
[ $swapped -ge 10 ] || wrong "only $swapped files were replaced"

# The name is a link, which leads to the other file for one open and back again: nothing of the file
# itself shows it.
turned=0
for file in rolling_forcing_dmd.pt Wan2.1_VAE.pth models_t5_umt5-xxl-enc-bf16.pth spiece.model config.json; do
    path=$(cd model && find . -name "$file")
    [ $file = config.json ] && sed 's/"text_len"/ "text_len"/' "kept/$path" >"other/$path"
    n=0
    while n=$((n + 1)) && [ $n -le 12 ]; do
        [ "${TORTURE:-0}" = 0 ] && [ $(((n + turned) % 3)) -ne 0 ] && [ $n -gt 1 ] && continue
        rm -rf out && ln -sf "$dir/kept/$path" "model/$path"
        ln -sf "$dir/other/$path" turn && ln -sf "$dir/kept/$path" back
        LD_PRELOAD=$shim SWAP_PATH="$file" SWAP_N=$n SWAP_BY=turn SWAP_BACK=back \
            "$rollmill" render --no-prompt-cache one.yaml >out.txt 2>err.txt
        rc=$?
        [ ! -L back ] || break # it is not opened that often
        turned=$((turned + 1))
        judge "$file, another at open $n" $file $rc
    done
    rm "model/$path" && cp "kept/$path" "model/$path"
done
rm -f turn back
[ $turned -ge 8 ] || wrong "only $turned links were turned"

# Cut before it is opened again: an error that names it, whatever reads it and however.
file=rolling_forcing_dmd.pt
for n in 2 3 4; do
    rm -rf out && cp kept/$file model/$file
    LD_PRELOAD=$shim SWAP_PATH=$file SWAP_N=$n SWAP_SIZE=5000 "$rollmill" render --no-prompt-cache one.yaml >out.txt 2>err.txt
    rc=$?
    [ "$(stat -c %s model/$file)" -eq 5000 ] || wrong "$file is not opened $n times"
    case $rc in 1 | 2) ;; *) wrong "$file cut at open $n: exit $rc: $(tail -n 2 err.txt)" ;; esac
    grep -q $file err.txt || wrong "$file cut at open $n: not named: $(tail -n 2 err.txt)"
    [ ! -e out/one ] || wrong "$file cut at open $n: a clip appeared"
done
exit $fail
