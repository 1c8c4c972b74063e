#!/bin/sh
# Every C file as .clang-format says. Other versions of the tool lay out some
# lines in another way, so only version 14 is asked.
set -u
cd "$(dirname "$0")/../.." || exit 1
for tool in clang-format-14 clang-format; do
    "$tool" --version 2>/dev/null | grep -q 'version 14\.' && break
    tool=
done
[ -n "$tool" ] || { echo "clang-format 14 is not installed" && exit 77; }
find base kernels comm cluster jobs pipeline cmd tools tests -name '*.[ch]' -o -name '*.cc' -o -name '*.cu' -o -name '*.cuh' |
    xargs "$tool" --dry-run -Werror
