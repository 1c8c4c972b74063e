#!/bin/sh
# cli_mistakes.sh - what a wrong program would make of the recorded clips is found: each case with a
# number of its rule changed must differ. ROLLMILL: the program.
set -u
rollmill=$(realpath "${ROLLMILL:-./rollmill}") || exit 1
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
golden=$(pwd)/tests/golden
fail=0 names=

# The case as it is but for case.json.
while IFS='|' read -r name case change; do
    mkdir "$tmp/$name" && ln -s "$golden/$case"/* "$tmp/$name" && rm "$tmp/$name/case.json" || exit 1
    rm -f "$tmp/$name/slots.json" "$tmp/$name/trace.safetensors" # the latents alone must tell
    sed -e "$change" "$golden/$case/case.json" >"$tmp/$name/case.json" || exit 1
    cmp -s "$golden/$case/case.json" "$tmp/$name/case.json" && echo "$name: changes nothing" && fail=1
    names="$names $name"
done <<'TABLE'
window-longer|self-forcing-21|s/"attention_frames": 21/"attention_frames": 24/
window-shorter|self-forcing-21|s/"attention_frames": 21/"attention_frames": 18/
window-longer-sink|longlive-switch-relative|s/"attention_frames": 12/"attention_frames": 15/
window-shorter-frames|framewise-4-step|s/"attention_frames": 21/"attention_frames": 20/
window-longer-fixed|longlive-lora|s/"attention_frames": 12/"attention_frames": 15/
window-shorter-fixed|longlive-lora|s/"attention_frames": 12/"attention_frames": 9/
window-longer-average|ema-sink|s/"attention_frames": 9/"attention_frames": 12/
no-sink|longlive-switch-relative|s/"sink_frames": 3/"sink_frames": 0/; s/"sink_blocks": 1/"sink_blocks": 0/; s/"policy": "sink"/"policy": "window"/
no-sink-fixed|longlive-lora|s/"sink_frames": 3/"sink_frames": 0/; s/"sink_blocks": 1/"sink_blocks": 0/; s/"policy": "sink"/"policy": "window"/
sink-stays|longlive-switch-relative|s/"relative"/"absolute"/
sink-moves|longlive-lora|s/"absolute"/"relative"/
average-fixed|ema-sink|s/"ema_alpha": 0.999/"ema_alpha": 1/
adapter-factor|longlive-lora|s/"alpha": 16/"alpha": 8/
adapter-left-out|longlive-lora|s/"alpha": 16/"alpha": 0.0001/
usual-steps-first|framewise-1-step|/"first_block_steps"/,/\]/d
recache-early|longlive-switch-relative|s/"from_frame": 18/"from_frame": 15/
no-recache|longlive-switch-relative|s/"recache": true/"recache": false/
sink-renewed|longlive-switch-relative|s/"keep_sink_on_switch": true/"keep_sink_on_switch": false/
switch-early|infinity-rope|s/"from_frame": 12/"from_frame": 9/
no-cut|infinity-rope|s/"cut": true/"cut": false/
reuse-unlimited|deep-forcing|s/"max_reuse": 7/"max_reuse": 0/
recent-without-own|deep-forcing|s/"recent_frames": 4/"recent_frames": 6/; s/"budget_frames": 16/"budget_frames": 18/
no-compression|deep-forcing|s/"policy": "deep-forcing"/"policy": "deep-sink"/; s/"sink_frames": 10,/"sink_frames": 10/; /"budget_frames"/d; /"recent_frames"/d; /"max_reuse"/d
no-replay|rolling-sink|s/"policy": "rolling-sink"/"policy": "window"/; /"replay_frames"/d; s/"sink_frames": 0,/"sink_frames": 0/; s/"absolute, replayed blocks moved"/"absolute"/
walk-short|rolling-sink|s/"replay_frames": 18/"replay_frames": 15/
no-memory|memrope|s/"policy": "memrope"/"policy": "sink"/; s/"sink_frames": 3,/"sink_blocks": 1, "sink_frames": 3/; /"memory_frames"/d; /"alpha_/d; /"adaptive"/d
mean-by-place|memrope|s/"adaptive": false/"adaptive": true/
mean-of-all|memrope-adaptive|s/"adaptive": true/"adaptive": false/
no-redundancy|relax-forcing|s/"redundancy": 2.0/"redundancy": 0/
fewer-candidates|relax-forcing|s/"candidates": 4/"candidates": 3/
ring-short|echo-forcing|s/"history_frames": 21/"history_frames": 18/
no-gate|echo-forcing|s/"gate": 3.0/"gate": null/
no-magnitudes|echo-forcing|s/"amplitude_term": true/"amplitude_term": false/
chunks-larger|forcing-kv|s/"chunks_per_frame": 6/"chunks_per_frame": 3/
split-later|forcing-kv|s/"first_split_block": 2/"first_split_block": 3/
other-head|forcing-kv|s/^   0$/   3/
fewer-distances|echo-forcing|/^ *8,$/d; s/^\( *\)4,$/\14/; /^ *16$/d
window-alone|deep-forcing-limit|s/"policy": "deep-forcing"/"policy": "sink"/; s/"sink_frames": 8,/"sink_frames": 8/; /"budget_frames"/d; /"recent_frames"/d; /"max_reuse"/d; s/"absolute, sink moved"/"absolute"/
heads-alike|lol|s/"jitter": 0.8/"jitter": 0/
jitter-less|lol|s/"jitter": 0.8/"jitter": 0.79/
other-draws|lol|s/"jitter_seed": 0/"jitter_seed": 1/
recache-late-fixed|switch-absolute|s/"from_frame": 6/"from_frame": 9/
recache-early-fixed|switch-absolute|s/"from_frame": 15/"from_frame": 12/
sink-renewed-fixed|switch-absolute|s/"keep_sink_on_switch": true/"keep_sink_on_switch": false/
sink-kept|switch-new-sink|s/"keep_sink_on_switch": false/"keep_sink_on_switch": true/
TABLE
ln -s "$golden/block-21" "$golden/longlive-switch-relative" "$tmp" || exit 1 # what some of them share

cd "$tmp" || exit 1
# shellcheck disable=SC2086 # names without blanks
"$rollmill" verify --backend cpu $names >out 2>err
rc=$?
[ $rc -eq 1 ] || { echo "exit $rc, wanted 1" && cat err && fail=1; }
for name in $names; do
    grep -q "^$name\[.* latents .*OVER" out || { echo "$name is taken" && grep "^$name" out && fail=1; }
done
exit $fail
