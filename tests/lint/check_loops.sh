#!/bin/sh
# check_loops.sh - no loop of files: what a file calls must not, over others or not, call it back.
#
#   tests/lint/check_loops.sh OBJECTS     a file with the program's objects, one on each line
#
# File a needs file b where a's object refers to a function or variable that b's object
# defines. Files that need one another in a circle are named, with what each uses of the
# other: as a rule one of them holds a table beside a helper that the rows of the table
# call, and the helper belongs in a file of its own below both.
#
# A build has only the objects it is made of: lint looks at this one, check also at the stand-in's
# (CUDA and NCCL in the place of their stubs, and tests/standin/) and at its bare one.
set -u
cd "$(dirname "$0")/../.." || exit 1
objects=${1:?a file with the names of objects, one on each line}
[ -s "$objects" ] || { echo "$objects: no such list; \`make lint\` makes it" && exit 1; }

# 'build/release/base/arena.o: arena_open T 0 12', from all objects but C++'s templates,
# which every object that uses one defines (weakly: V, W).
xargs nm -A -P -g <"$objects" | awk '
function source(object,    name) { # build/MODE/base/arena.o -> base/arena
    name = object
    sub(/^build\/[^\/]*\//, "", name)
    sub(/\.o$/, "", name)
    return name
}
{
    sub(/:$/, "", $1)
    file = source($1)
    if (!(file in number)) { number[file] = ++files; name[files] = file }
    at = number[file]
    if ($3 ~ /^[TDBRCGSAi]$/) home[$2] = at
    else if ($3 == "U") { use_of[++uses] = at; used[uses] = $2 }
}
# Walk from `from` along needs; mark what is reached.
function walk(from,    top, at, i) {
    stack[top = 1] = from
    while (top > 0) {
        at = stack[top--]
        for (i = 1; i <= degree[at]; i++)
            if (!((from, next_of[at, i]) in reached)) {
                reached[from, next_of[at, i]] = 1
                stack[++top] = next_of[at, i]
            }
    }
}
END {
    if (files < 50) { print "check_loops: only " files " objects"; exit 1 }
    for (u = 1; u <= uses; u++) {
        a = use_of[u]
        if (!(used[u] in home) || home[used[u]] == a) continue
        b = home[used[u]]
        if (!((a, b) in by)) next_of[a, ++degree[a]] = b
        by[a, b] = by[a, b] (by[a, b] == "" ? "" : ", ") used[u]
    }
    for (a = 1; a <= files; a++) walk(a)
    for (a = 1; a <= files; a++) {
        if (a in told || !((a, a) in reached)) continue
        printf "loop %d:\n", ++loops
        for (b = a; b <= files; b++) {
            if (b != a && !(((a, b) in reached) && ((b, a) in reached))) continue
            told[b] = 1
            for (i = 1; i <= degree[b]; i++) {
                c = next_of[b, i]
                if (((a, c) in reached) && ((c, a) in reached))
                    printf "    %s -> %s by %s\n", name[b], name[c], by[b, c]
            }
        }
    }
    if (loops) print loops " loops of files"
    exit loops > 0
}'
