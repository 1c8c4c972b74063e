#!/bin/sh
# cli_doctor.sh - `rollmill doctor` finds a sound folder sound and a bad one not, and
# leaves nothing behind. ROLLMILL: the program.
set -u
rollmill=${ROLLMILL:-./rollmill}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
fail=0

out=$("$rollmill" doctor --dir "$dir") || { echo "exit $?" && fail=1; }
for what in libraries cpu memory output commit; do
    printf '%s\n' "$out" | grep -qE "^(ok|warn)  *$what " || { echo "nothing about $what" && fail=1; }
done
[ -z "$(ls -A "$dir")" ] || { echo "left behind: $(ls -A "$dir")" && fail=1; }

out=$("$rollmill" doctor --dir "$dir/none" 2>/dev/null)
[ $? -eq 1 ] || { echo "a missing folder is not exit 1" && fail=1; }
[ "$(printf '%s\n' "$out" | grep -c '^FAIL ')" = 2 ] || { echo "not two FAIL: $out" && fail=1; }
"$rollmill" doctor extra 2>/dev/null
[ $? -eq 2 ] || { echo "an argument is not exit 2" && fail=1; }
exit $fail
