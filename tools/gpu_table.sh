#!/bin/bash
# gpu_table.sh - the figures of a card beside their floors and targets.
#
#   tools/gpu_table.sh DIR      DIR: bf16.json, fp8.json and fp8-attention.json, of `rollmill bench --json`;
#                               pytorch.json, of tools/bench_torch.py --json
#
# A figure is the median over the lines of its case. The exit code is how many are missing or
# below their floor.
set -u
export LC_ALL=C
dir=${1:?DIR is needed}
failed=0

# Lines of JSON: {"name": NAME, ... "ms": N, "gflop": N, ... "card_mib": N}
field() { # FILE NAME FIELD
    grep "\"name\": \"$2\"" "$dir/$1.json" 2>/dev/null | sed -n "s/.*\"$3\": \\([0-9.eE+-]*\\).*/\\1/p" | sort -g |
        awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)] }'
}
over() { [ -n "$2" ] && [ -n "$3" ] && awk -v s="$1" -v a="$2" -v b="$3" 'BEGIN { if (b > 0) print s * a / b }'; }

# row FIGURE MEASURED FLOOR TARGET [less]: `less`: smaller is better
row() {
    awk -v what="$1" -v m="$2" -v floor="$3" -v target="$4" -v less_is_better="${5:-}" 'BEGIN {
        met = "not measured"
        if (m != "") {
            sign = less_is_better ? -1 : 1
            met = floor == "-" ? "" : sign * m < sign * floor ? "below the floor" : "floor"
            if (target != "-" && sign * m >= sign * target) met = "target"
        }
        printf "| %s | %s | %s | %s | %s |\n", what, m == "" ? "-" : sprintf("%.4g", m), floor, target, met
        exit met == "not measured" || met == "below the floor" }' || failed=$((failed + 1))
}

# A tick and a block of the VAE are 12 pictures.
tick=$(field bf16 tick ms)
fp8_tick=$(field fp8-attention tick ms)
memory=$(field bf16 film card_mib | grep -vx 0) # 0: not looked at
echo "| figure | measured | floor | target | met |"
echo "|---|---|---|---|---|"
row "DiT only, frames/s" "$(over 12000 1 "$tick")" 28 32
row "DiT only, times PyTorch" "$(field pytorch tick ratio)" 1.5 -
row "DiT only with FP8 products (kernels 3), times bf16" "$(over 1 "$tick" "$(field fp8 tick ms)")" 1.1 -
row "DiT only with FP8 attention too (kernels 4), times bf16" "$(over 1 "$tick" "$fp8_tick")" 1.3 -
row "DiT only with FP8 attention too (kernels 4), frames/s" "$(over 12000 1 "$fp8_tick")" - 45
row "attention 28,080 x 32,760 x 12, TFLOP/s" \
    "$(over 1 "$(field bf16 dit.attention-all gflop)" "$(field bf16 dit.attention-all ms)")" 600 690
row "attention in FP8 (kernels 4), with its conversions, TFLOP/s" \
    "$(over 1 "$(field fp8-attention dit.attention-all gflop)" "$(field fp8-attention dit.attention-all ms)")" - -
row "VAE decode, frames/s" "$(over 12000 1 "$(field bf16 vae-block ms)")" 74 130
row "VAE decode, times PyTorch" "$(field pytorch vae-block ratio)" 1.4 -
row "tick and decode in turns, frames/s (end to end but for prompt and x264)" "$(over 12000 1 "$(field bf16 film ms)")" 20 24
row "one of six ranks' tick, ms" "$(field bf16 tick-rank ms)" 80 72 less
row "card memory taken, GiB" "$(over 0.0009765625 "$memory" 1)" 24 16 less
exit $failed
