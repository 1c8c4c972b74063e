#!/bin/sh
# A build with MEDIA=0 MPI=0 needs the C library, the compiler's own headers and the
# card's libraries, nothing else: what it includes and what it is linked with is looked
# through, and it runs golden cases and a benchmark. No package is found meanwhile.
set -u
cd "$(dirname "$0")/../.." || exit 1
command -v dpkg-query >/dev/null || { echo "dpkg-query is not there to say which headers are the C library's" && exit 77; }
cuda=${CUDA:-0}
built=build/release-bare
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
bad=0

bare() { PKG_CONFIG_LIBDIR="$work" make --no-print-directory MODE=release MEDIA=0 MPI=0 CUDA="$cuda" "$@"; }
# By name: `all` would put ./rollmill in the place of the full one.
bare -j2 "$built/rollmill" "$built/make_model" "$built/make_case" >"$work/log" 2>&1 || { tail -n 30 "$work/log" && exit 1; }
grep -i 'warning' "$work/log" && bad=1

# Whose headers: files of the repository come without a leading slash.
dpkg-query -L libc6-dev linux-libc-dev >"$work/libc"
find "$(gcc -print-file-name=include)" -name '*.h' >>"$work/libc"
bare print-bare | tr ' ' '\n' | grep '\.c$' >"$work/sources"
[ "$(wc -l <"$work/sources")" -gt 50 ] || { echo "sources: $(cat "$work/sources")" && bad=1; }
while read -r file; do
    gcc -M -std=c11 -D_POSIX_C_SOURCE=200809L -DVERSION_COMMIT='""' -DVERSION_FLAGS='""' -I. "$file"
done <"$work/sources" | tr -d '\\' | tr ' ' '\n' | grep '^/' | sort -u >"$work/headers"
while read -r header; do
    real=$(realpath "$header")
    grep -qxF -e "$header" -e "$real" "$work/libc" || { echo "includes $header" && bad=1; }
done <"$work/headers"

for program in rollmill make_model make_case; do
    ldd "$built/$program" | awk '{print $1}' |
        grep -vE '^(linux-vdso|lib(c|m|dl|rt|pthread)|/lib.*/ld-linux.*)\.so|^lib(cublas|cudnn|nccl)' |
        sed "s|^|$program needs |" >"$work/needs"
    [ ! -s "$work/needs" ] || { cat "$work/needs" && bad=1; }
done

"$built/rollmill" verify --backend ref tests/golden/rolling-short tests/golden/vae-odd tests/golden/text-small >"$work/log" 2>&1 ||
    { tail -n 5 "$work/log" && bad=1; }
"$built/rollmill" verify --backend ref tests/golden/tokenizer-small >"$work/log" 2>&1 && { echo "a tokenizer is there" && bad=1; }
grep -q 'MEDIA=0' "$work/log" || { cat "$work/log" && bad=1; }
"$built/make_model" "$work/model" --size tiny >/dev/null || bad=1
"$built/rollmill" bench --backend ref --size tiny --model "$work/model" dit.layer vae.head tick tick-rank vae-block film text >"$work/log" 2>&1 || { tail -n 5 "$work/log" && bad=1; }
grep -q '^film ' "$work/log" || { cat "$work/log" && bad=1; }
"$built/rollmill" doctor --dir "$work" >"$work/log" 2>&1 || { cat "$work/log" && bad=1; }
exit $bad
