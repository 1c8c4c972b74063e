#!/bin/bash
# What every text file of the tree keeps to, and that each header stands alone.
set -u
cd "$(dirname "$0")/../.." || exit 1
bad=0

complain() { # WHAT LINES
    [ -n "$2" ] || return 0
    printf '%s:\n' "$1"
    printf '%s\n' "$2" | head -n 20 | sed 's/^/    /'
    bad=1
}

text() { # files, by name pattern, without data and what was built
    find . -path ./.git -prune -o -path ./build -prune -o -path ./tests/golden -prune -o \
        -path '*/corpus' -prune -o -type f \( "$@" \) -print | sort
}

mapfile -t code < <(text -name '*.[ch]' -o -name '*.cc' -o -name '*.cu' -o -name '*.cuh')
mapfile -t scripts < <(text -name '*.sh' -o -path ./tests/run -o -path ./.ci/run)
mapfile -t rest < <(text -name '*.md' -o -name 'Makefile' -o -name '*.yaml' -o -name '*.py' \
    -o -name '.clang-*' -o -name .gitignore)
all=("${code[@]}" "${scripts[@]}" "${rest[@]}")

complain "tab" "$(grep -nP '\t' "${code[@]}" "${scripts[@]}")"
complain "space at the end of a line" "$(grep -nE '[[:blank:]]+$' "${all[@]}")"
complain "carriage return" "$(grep -lP '\r' "${all[@]}")"
complain "invisible character" \
    "$(LC_ALL=C.UTF-8 grep -nP '[\x{AD}\x{200B}-\x{200F}\x{202A}-\x{202E}\x{2060}-\x{2064}\x{FEFF}]' "${all[@]}")"
complain "no newline at the end" \
    "$(for f in "${all[@]}"; do [ -z "$(tail -c 1 "$f")" ] || echo "$f"; done)"
complain "two files of one name" "$(printf '%s\n' "${code[@]}" | sed 's|.*/||' | sort | uniq -d)"
complain "a path of one machine" "$(grep -nE '(^|[^a-z./])/(home|root|work|mnt|Users|tmp/[a-z]+)/' \
    "${code[@]}" "${rest[@]}")"
complain "work left to do" "$(grep -nE '\b(TO''DO|FIX''ME|XX''X)\b' "${all[@]}")"
complain "first line names another file" "$(for f in "${code[@]}"; do
    head -n 2 "$f" | grep -oE '^(/\*| \*) [a-z_0-9]+\.(c|h|cc|cu|cuh) - ' | grep -vF " ${f##*/} - " |
        sed "s|^|$f: |"
done)"
complain "header without its first line, 'name.h - what it is'" "$(for f in "${code[@]}"; do
    case $f in *.h | *.cuh) head -n 2 "$f" | grep -qF " ${f##*/} - " || echo "$f" ;; esac
done)"
complain "over 100 columns, and no string by itself" \
    "$(LC_ALL=C.UTF-8 grep -nP '^(?! *u?").{101}' "${code[@]}")"
mapfile -t product < <(printf '%s\n' "${code[@]}" | grep -vE '^\./(tests|tools)/')
mapfile -t linked < <(printf '%s\n' "${product[@]}" | grep -E '\.cu?$')
words='(inline|const|struct|enum|unsigned|__(device|global|host|forceinline)__|__launch_bounds__\(\w+\)) '
name='\w+[ *]+(const )?\**\K[a-z]\w*(?=\()'
statics=$(grep -oHP "^(template <[^>]*> )?static ($words)*$name" "${product[@]}" | sort -u) # FILE:NAME
complain "a static function's name in three files or more" "$(cut -d: -f2 <<<"$statics" | sort |
    uniq -c | awk '$1 > 2 { print $2 ": " $1 }')"
complain "a static function has the name of one that is exported" "$(awk -F: '
    NR == FNR { exported[$1] = 1; next }
    $2 in exported { print $1 ": " $2 }' \
    <(grep -ohP "^(?!static |extern |typedef )($words)*$name" "${linked[@]}") <(echo "$statics"))"
complain "a comment names a file that is not there" "$(awk '
    NR == FNR { there[$0]; sub(/.*\//, ""); there[$0]; next }
    match($0, /(^ ?\*|\/\*) .*/) {
        n = split(substr($0, RSTART), word, /[^a-z_0-9.\/]+/)
        for (i = 1; i <= n; i++)
            if (word[i] ~ /^[a-z][a-z_0-9\/]+\.(h|c|cc|cu|cuh)\.?$/ && sub(/\.?$/, "", word[i]) && !(word[i] in there))
                print FILENAME ":" FNR ": " word[i]
    }' <(printf '%s\n' "${code[@]#./}") "${code[@]}")"
read -ra mpi < <(pkg-config --cflags ompi-c)
complain "header that does not compile alone" "$(for f in "${code[@]}"; do
    case $f in *.h)
        printf '#include "%s"\n' "${f#./}" |
            "${CC:-gcc}" -std=c11 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Wpedantic -Werror -I. "${mpi[@]/#-I/-isystem}" \
                -fsyntax-only -x c - 2>&1 | grep -m 1 error
        ;;
    esac
done)"
complain "source file over 800 lines" "$(for f in "${code[@]}"; do
    n=$(wc -l <"$f") && [ "$n" -le 800 ] || echo "$f: $n"
done)"
exit $bad
