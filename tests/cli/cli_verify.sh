#!/bin/sh
# cli_verify.sh - every golden case with every backend and precision; the rolling
# ones also with several ranks, bit for bit. ROLLMILL: the program.
set -u
rollmill=${ROLLMILL:-./rollmill}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
fail=0

# expect EXIT ARGUMENTS...
expect() {
    code=$1
    shift
    "$rollmill" verify "$@" >"$tmp/out" 2>&1
    rc=$?
    [ "$rc" -eq "$code" ] && return
    echo "verify $*: exit $rc, wanted $code"
    tail -n 5 "$tmp/out" | sed 's/^/    /'
    fail=1
}

cases=$(dirname tests/golden/*/case.json)
[ "$(echo "$cases" | wc -l)" -ge 5 ] || { echo "golden cases are missing" && exit 1; }
for backend in ref cpu; do
    for precision in f32 bf16; do
        # shellcheck disable=SC2086 # a list of folders without blanks
        expect 0 --backend $backend --precision $precision $cases
    done
done

# A rank's blocks in one batch come to the same but for rounding.
rolling=$(dirname tests/golden/rolling-*/case.json)
for ranks in 1 2 3; do
    for precision in f32 bf16; do
        # shellcheck disable=SC2086 # a list of folders without blanks
        expect 0 --backend cpu --determinism batch --ranks $ranks --precision $precision $rolling
    done
done

short=tests/golden/rolling-short
expect 0 --out "$tmp/1" $short
for ranks in 2 3 4 5 6; do
    expect 0 --ranks $ranks --out "$tmp/$ranks" $short
    cmp "$tmp/1" "$tmp/$ranks" || { echo "other bits with $ranks ranks" && fail=1; }
done

# Blocks of other levels, and given ones.
for case in framewise-1-step:5 framewise-image:5 causvid-continue:4; do
    ranks=${case#*:} case=${case%:*}
    expect 0 --out "$tmp/given" "tests/golden/$case"
    for n in 2 "$ranks"; do
        expect 0 --ranks "$n" --out "$tmp/given-$n" "tests/golden/$case"
        cmp "$tmp/given" "$tmp/given-$n" || { echo "$case: other bits with $n ranks" && fail=1; }
    done
done

# Every policy: the same bits for any ranks, and all alike in what they attend to.
for case in longlive-switch-relative deep-forcing-limit ema-sink rolling-sink infinity-rope memrope-adaptive relax-forcing echo-forcing forcing-kv lol; do
    for ranks in 1 2 3 4 5; do
        expect 0 --ranks $ranks --out "$tmp/$case-$ranks" tests/golden/$case
        cmp "$tmp/$case-1" "$tmp/$case-$ranks" || { echo "$case: other bits with $ranks ranks" && fail=1; }
    done
done
expect 2 --ranks 2 --exchange heads tests/golden/deep-forcing
grep -q 'goes by all heads of a layer' "$tmp/out" || { echo "heads are not refused" && fail=1; }

# The bound that was judged by is said.
expect 0 tests/golden/lol
grep -q 'all within 2e-05$' "$tmp/out" || { echo "block by block: its tolerance is not said" && fail=1; }
expect 0 tests/golden/lol tests/golden/rolling-one-block
grep -q 'all within 2e-05 to 0.0001, each by its own$' "$tmp/out" || { echo "two tolerances are not said" && fail=1; }

# A model is shared with a case beside, by its name alone.
mkdir "$tmp/shares" && sed 's|"block-21"|"../block-21"|' tests/golden/lol/case.json >"$tmp/shares/case.json"
expect 2 "$tmp/shares"
grep -q 'shares: the name of a case beside it is expected' "$tmp/out" || { echo "a path to share is taken" && fail=1; }

# An unknown key, and a row that was attended to elsewhere.
cp -r tests/golden/rolling-sink "$tmp/strange" && chmod -R u+w "$tmp/strange" || exit 1
sed -i 's/"replay_frames"/"replay_framez"/' "$tmp/strange/case.json"
expect 2 "$tmp/strange"
grep -q 'replay_framez: unknown key' "$tmp/out" || { echo "a strange key is taken" && fail=1; }
sed -i 's/"replay_framez": 18/"replay_frames": 15/' "$tmp/strange/case.json"
expect 1 "$tmp/strange"
grep -q DIFFERS "$tmp/out" || { echo "rows attended to are not compared" && fail=1; }

# Positions of another policy, a policy that is none, and an adapter where a model is expected.
refuses() { # CASE SED WORDS
    rm -rf "$tmp/strange" && cp -r "tests/golden/$1" "$tmp/strange" && chmod -R u+w "$tmp/strange" || exit 1
    sed -i "$2" "$tmp/strange/case.json"
    expect 2 "$tmp/strange"
    grep -qF "$3" "$tmp/out" || { echo "no \`$3\` in: $(tail -n 3 "$tmp/out")" && fail=1; }
}
refuses ema-sink 's/"positions": "relative"/"positions": "absolute"/' 'positions: `absolute` are not those of ema-sink'
refuses longlive-lora 's/"positions": "[a-z]*"/"positions": "sideways"/' 'positions: `sideways` are not those of a window without a policy'
refuses ema-sink 's/"policy": "ema-sink"/"policy": "ema-sing"/' 'policy: `ema-sing` is unknown'
refuses longlive-lora '/"lora": {/,/}/d' 'lora.pt: has no dict under the outer key `generator`; allowed as outer key: generator_lora'
refuses longlive-lora 's/"alpha": 16/"alpha": 16, "beta": 1/' 'lora.beta: unknown key'

# An average with another factor, roundings that are not the release's, another text of a prompt.
altered() { # CASE FILE SED
    rm -rf "$tmp/altered" && cp -r "tests/golden/$1" "$tmp/altered" && chmod -R u+w "$tmp/altered" || exit 1
    LC_ALL=C sed -i "$3" "$tmp/altered/$2"
    expect 1 --backend cpu "$tmp/altered"
}
altered ema-bf16 case.json 's/0.999/0.998/'
altered ema-bf16 expected.safetensors 's|"bf16/1"|"bf16/2"|'
altered tokenizer-small case.json '0,/"clean": "/s//"clean": "a /'

# Keys and values in 8 bits: near what was recorded, and the same for any ranks.
# shellcheck disable=SC2086 # a list of folders without blanks
for precision in f32 bf16; do expect 0 --backend cpu --wire fp8 --precision $precision $rolling; done
grep -q 'all within 0.051$' "$tmp/out" || { echo "--wire fp8: its tolerance is not said" && fail=1; }
for ranks in 1 2 6; do
    expect 0 --ranks $ranks --wire fp8 --out "$tmp/fp8-$ranks" $short
    cmp "$tmp/fp8-1" "$tmp/fp8-$ranks" || { echo "--wire fp8: other bits with $ranks ranks" && fail=1; }
done
# By heads the same bits as by blocks, in bf16 and in 8 bits too.
expect 0 --ranks 2 --exchange heads --out "$tmp/heads" $short
cmp "$tmp/1" "$tmp/heads" || { echo "--exchange heads: other bits" && fail=1; }
expect 0 --ranks 2 --exchange heads --wire fp8 --out "$tmp/heads" $short
cmp "$tmp/fp8-1" "$tmp/heads" || { echo "--exchange heads --wire fp8: other bits" && fail=1; }
two_heads=$(echo "$rolling" | grep -v one-block)
for determinism in strict batch; do
    # shellcheck disable=SC2086 # a list of folders without blanks
    expect 0 --backend cpu --ranks 2 --exchange heads --precision bf16 --determinism $determinism $two_heads
done
cmp -s "$tmp/1" "$tmp/fp8-1" && echo "--wire fp8 changes nothing" && fail=1

# A recorded number that is off, and one that is none, are found.
spoil() { # BYTES: the last four of the expected tensors
    rm -rf "$tmp/spoilt" && cp -r $short "$tmp/spoilt" && chmod -R u+w "$tmp/spoilt" || exit 1
    file=$tmp/spoilt/expected.safetensors
    size=$(wc -c <"$file")
    printf '%b' "$1" | dd of="$file" bs=1 seek=$((size - 4)) conv=notrunc 2>/dev/null
    expect 1 "$tmp/spoilt"
}
spoil '\000\000\310\102'
spoil '\000\000\300\177'

# What a case is about must be among what it expects.
cp tests/golden/text-small/inputs.safetensors "$tmp/spoilt/expected.safetensors"
expect 2 "$tmp/spoilt"

# What computes is what was asked for, or an error that says why.
says() { # WORDS OPTION...
    words=$1
    shift
    "$rollmill" verify "$@" $short >"$tmp/out" 2>&1 && echo "verify $*: no error" && fail=1
    grep -q -e "$words" "$tmp/out" || { echo "verify $*: nothing of \`$words\`" && tail -n 2 "$tmp/out" && fail=1; }
}
says 'by heads 3 ranks cannot share a line: the model has 2 heads; 1, 2 ranks are allowed' \
    --ranks 3 --exchange heads
says 'is of the cuda backend; this is cpu' --backend cpu --kernels 1
says 'one of 1|2|3|4 is allowed' --kernels 5
says 'one of ref|cpu|cuda is allowed' --backend gpu
if ! "$rollmill" doctor --dir "$tmp" 2>/dev/null | grep -q '^ok *card'; then
    says 'CUDA' --backend cuda
    says 'CUDA' --kernels 1
fi

expect 2 tests/golden/no-such-case
expect 2
rm "$tmp/spoilt/expected.safetensors"
expect 2 "$tmp/spoilt"
exit $fail
