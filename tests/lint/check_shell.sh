#!/bin/sh
# Every script through shellcheck; a sourced one may use what it does not set, and the reverse.
set -u
cd "$(dirname "$0")/../.." || exit 1
command -v shellcheck >/dev/null || { echo "shellcheck is not installed" && exit 77; }
find .ci tests tools -type f \( -name '*.sh' -o -name run \) -print | xargs shellcheck -x -P SCRIPTDIR --severity=warning --exclude=SC2034,SC2038
