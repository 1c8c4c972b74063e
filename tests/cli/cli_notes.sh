#!/bin/bash
# cli_notes.sh - what programs are told of a render: --events, --openjd and --metrics-file, by render
# and by a world that works on a queue.
. "$(dirname "$0")/world.sh"
export ROLLMILL_QUEUE=sqlite:q.db
calm=(--no-prompt-cache --backend cpu --threads 1)

job two.yaml two 1s 'sweep: {axes: {n: {list: [1, 2]}}}
output: {dir: out, formats: [{file: master.mkv, codec: ffv1}]}'
sed -i 's/sunrise/sunrise {n}/' two.yaml

"$rollmill" render "${calm[@]}" --events e.jsonl --openjd --metrics-file m.prom two.yaml >out.txt 2>err.txt || wrong "$(cat err.txt)"
python3 - <<'END' || wrong "events: $(cat e.jsonl)"
import json, re

lines = [json.loads(line) for line in open("e.jsonl")]
assert lines[0]["event"] == "begin" and lines[0]["version"] == 1 and lines[0]["clips"] == 2
assert lines[-1]["event"] == "end" and (lines[-1]["done"], lines[-1]["failed"]) == (2, 0)
assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["t"]) for line in lines)
for clip in {line["clip"] for line in lines[1:-1]}:
    mine = [line for line in lines[1:-1] if line["clip"] == clip]
    told = [line["block"] for line in mine[:-1]]  # several blocks may be told of in one line
    assert [line["event"] for line in mine] == ["clip_begun"] + ["clip_blocks"] * (len(told) - 1) + ["clip_done"], mine
    assert told == sorted(set(told)) and told[0] == 0 and told[-1] == mine[-1]["block"] == mine[0]["blocks"], mine
    assert json.load(open(mine[0]["folder"] + "/clip.json"))["identity"]["task_id"] == mine[0]["task"]
assert len({line["clip"] for line in lines[1:-1]}) == 2
said = [line.split(": ", 1) for line in open("out.txt").read().splitlines()]
share = [float(value) for kind, value in said if kind == "openjd_progress"]
assert share == sorted(set(share)) and share[-1] == 100, share
assert sum(kind == "openjd_status" for kind, value in said) == len(share) and len(said) == 2 * len(share)
END
[ ! -e m.prom ] || wrong "metrics are left behind"

# What is finished is not told of; a clip that fails has one line.
"$rollmill" render "${calm[@]}" --events e.jsonl two.yaml 2>err.txt || wrong "$(cat err.txt)"
tail -n 2 e.jsonl | grep -c '"event":"\(begin\|end\)"' | grep -qx 2 || wrong "a render without work: $(tail -n 3 e.jsonl)"
rm -r out
out_of_space() { (ulimit -f 1 && trap '' XFSZ && "$rollmill" render "${calm[@]}" --openjd "$@"); }
out_of_space two.yaml >out.txt 2>err.txt && wrong "no disk, and exit 0"
grep -q '^openjd_fail: two' out.txt || wrong "no openjd_fail: $(cat out.txt err.txt)"
grep -vq '^openjd_' out.txt && wrong "other lines on stdout: $(cat out.txt)"

# Files that cannot be written are known before anything is rendered.
expect 1 'nowhere/e.jsonl: No such file' "$rollmill" render "${calm[@]}" --events nowhere/e.jsonl two.yaml
expect 1 'nowhere/m.prom' "$rollmill" render "${calm[@]}" --metrics-file nowhere/m.prom two.yaml
[ ! -e out/two-00000 ] || wrong "rendered all the same"

# A world: it does not know how many there will be; its metrics are there while it waits.
"$rollmill" submit two.yaml >/dev/null || wrong "no job"
"$rollmill" work "${calm[@]}" --stay --events w.jsonl --metrics-file w.prom >/dev/null 2>work.log &
work=$!
trap 'kill -9 $work 2>/dev/null; rm -rf "$dir"' EXIT
made_two() { grep -qx 'rollmill_world_clips_done_total 2' w.prom 2>/dev/null; }
await made_two
made_two || wrong "metrics: $(cat w.prom) $(tail -n 3 work.log)"
if command -v promtool >/dev/null; then promtool check metrics <w.prom || wrong "promtool: $(cat w.prom)"; fi
"$rollmill" queue drain >/dev/null
wait $work || wrong "a drained world: $(tail -n 3 work.log)"
[ ! -e w.prom ] || wrong "metrics of a world that is gone"
grep -c '"event":"clip_done"' w.jsonl | grep -qx 2 || wrong "a world's events: $(cat w.jsonl)"
head -n 1 w.jsonl | grep -q '"clips":null' || wrong "a world knows its clips: $(head -n 1 w.jsonl)"
exit $fail
