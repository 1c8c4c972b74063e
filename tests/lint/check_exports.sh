#!/bin/bash
# check_exports.sh - what an object exports, somebody else needs: else it is static, or dead.
#
#   tests/lint/check_exports.sh OBJECTS     a file with the program's objects, one on each line
#
# A function or variable that no other object refers to must at least be named in another source:
# of the tests or tools, or of what this build leaves out (CUDA, NCCL).
set -u
cd "$(dirname "$0")/../.." || exit 1
objects=${1:?a file with the names of objects, one on each line}
[ -s "$objects" ] || { echo "$objects: no such list; \`make lint\` makes it" && exit 1; }

# NAME REASON: what nobody refers to by name. A name that ends in * stands for all that begin so.
exceptions='
main          the system calls it
program_*     what bench_recorder.c has: one for each operation, whether a case has it or not
__odr_asan.*  the address sanitizer makes one for each variable
'

# 'source name' of what is exported and no other object refers to.
lonely=$(xargs nm -A -P -g <"$objects" | awk -v exceptions="$exceptions" '
BEGIN {
    for (i = split(exceptions, line, "\n"); i > 0; i--)
        if (split(line[i], word, " ")) excused[word[1]] = 1
}
function is_excused(name,    e) {
    for (e in excused)
        if (name == e || (sub(/\*$/, "", e) && index(name, e) == 1)) return 1
    return 0
}
{
    sub(/:$/, "", $1)
    sub(/^build\/[^\/]*\//, "", $1)
    sub(/(\.cu)?\.o$/, "", $1)
    files[$1] = 1
    if ($3 ~ /^[TDBRCGSi]$/) home[$2] = $1
    else if ($3 == "U") used[$2] = 1
}
END {
    if (length(files) < 50) print "check_exports: only " length(files) " objects"
    for (name in home)
        if (!(name in used) && name !~ /^_Z/ && !is_excused(name)) print home[name], name
}' | sort)
case $lonely in
"") exit 0 ;;
*"check_exports: "*) echo "$lonely" && exit 1 ;;
esac

# 'source:name' of all places that name one.
places=$(find . \( -path ./.git -o -path ./build \) -prune -o \
    -type f -regex '.*\.\(c\|cc\|cuh?\)' -print0 |
    xargs -0 grep -owFf <(cut -d' ' -f2 <<<"$lonely") | sed 's|^\./||' | sort -u)
awk '
NR == FNR {
    split($0, at, ":")
    sub(/\.(c|cc|cuh?)$/, "", at[1])
    place[at[2]] = place[at[2]] " " at[1]
    next
}
{
    n = split(place[$2], at, " ")
    for (i = 1; i <= n; i++) if (at[i] != $1) next
    print $1 ": " $2 " is used here alone: static, or nothing"
    bad = 1
}
END { exit bad }' <(echo "$places") <(echo "$lonely")
