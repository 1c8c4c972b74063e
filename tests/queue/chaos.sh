#!/bin/bash
# chaos.sh [sqlite|postgres] - worlds on one queue that are killed, stopped for longer than their
# lease, and told to stop, while jobs keep coming; of PostgreSQL the server loses its power too. Then
# an audit: every clip is there once, to the byte that of an undisturbed render, and no row, folder
# or file is left over. The worlds: one rank, two as threads, two under mpirun where there is one.
#
# FAULTS: how many (6; make torture: 500); SEED: which; SEEDS, LENGTH: clips of a job, and theirs.
. "$(dirname "$0")/../cli/world.sh"
SIZE=32x16 # many renders
store=${1:-sqlite} faults=${FAULTS:-6} seed=${SEED:-1}
RANDOM=$seed
lease=2 # seconds
[ "$faults" -ge 50 ] && many=1 || many=''
seeds=${SEEDS:-${many:+6}} length=${LENGTH:-${many:+3s}}
seeds=${seeds:-3} length=${length:-1s}

# ---- the store ----
server() { "$top/tests/queue/postgres.sh" "$@"; }
pg=''
if [ "$store" = postgres ]; then
    pg=$(mktemp -d /tmp/pg.XXXXXX)
    ROLLMILL_QUEUE=$(FSYNC=on server start "$pg")
    rc=$?
    [ $rc != 77 ] || { echo "$ROLLMILL_QUEUE" && rm -rf "$pg" && exit 77; }
    [ $rc = 0 ] || { echo "no server: $ROLLMILL_QUEUE" && exit 1; }
else
    ROLLMILL_QUEUE=sqlite:$dir/q.db
fi
export ROLLMILL_QUEUE XDG_CACHE_HOME="$dir/cache"
sql() { # QUERY: rows by lines, columns by |
    if [ -n "$pg" ]; then
        PGOPTIONS='-c search_path=rollmill' psql -qAtX -c "$1" "$ROLLMILL_QUEUE"
    else
        python3 - "$dir/q.db" "$1" <<'END'
import sqlite3, sys
for row in sqlite3.connect(sys.argv[1], timeout=20).execute(sys.argv[2]): print(*row, sep="|")
END
    fi
}

# ---- the clips, undisturbed ----
formats='formats: [{file: master.mkv, codec: ffv1}, {file: clip.mp4, codec: h264, preset: ultrafast}],
  latents: {file: latents.safetensors, dtype: bf16}, preview: {file: contact.png, columns: 3}}'
files='master.mkv clip.mp4 latents.safetensors contact.png'
write_job() { # NAME OUT
    job "$1.yaml" "$1" $length "output: {dir: $2, $formats
run: {checkpoint: 0.75s, retries: {error: 0, crash: 1000, preempt: 1000, backoff: 0s}}
sweep: {axes: {seed: {range: \"0-$((seeds - 1))\"}}}"
}
write_job reference reference
render reference.yaml --backend cpu --threads 1 >log.txt 2>&1 || wrong "undisturbed: $(tail -n 3 log.txt)"

# ---- worlds ----
declare -a pid kind stopped
worlds=2 started=0
case $(ldd "$rollmill") in
*libmpi*) [ -z "$many" ] || worlds=3 ;;
esac
at_end() {
    # shellcheck disable=SC2046 # several numbers
    for i in $(seq $worlds); do kill -9 $(ranks_of "$i") "${pid[$i]}" 2>/dev/null; done
    [ -z "$pg" ] || server stop "$pg"
    rm -rf "$dir"
}
trap at_end EXIT
"$rollmill" queue make >/dev/null || wrong "queue make"

below() { # PID: the programs under it
    local child
    # shellcheck disable=SC2013 # numbers
    for child in $(cat "/proc/$1"/task/*/children 2>/dev/null); do
        [ "$(cat "/proc/$child/comm" 2>/dev/null)" != rollmill ] || echo "$child"
        below "$child"
    done
}
ranks_of() { if [ "${kind[$1]}" = 3 ]; then below "${pid[$1]}"; else echo "${pid[$1]}"; fi; }
start_world() { # I
    local how=(work --no-prompt-cache --backend cpu --threads 1 --stay --lease "$lease" --stall 600)
    started=$((started + 1))
    kind[$1]=$1 stopped[$1]=''
    case $1 in
    1) "$rollmill" "${how[@]}" >"w$started.log" 2>&1 & ;;
    2) "$rollmill" "${how[@]}" --ranks 2 --ranks-per-line 2 >"w$started.log" 2>&1 & ;;
    3) (BUILT=$rollmill exec "$top/tests/mpirun.sh" 2 "$rollmill" "${how[@]}" --ranks-per-line 2) >"w$started.log" 2>&1 & ;;
    esac
    pid[$1]=$!
    log[$1]=w$started.log
}
# A dead world's code is a kill's, a stop's, or of ranks that lost one of theirs. A second signal, or
# one before the first line of the program, ends it as signals do; one that comes while there is no
# server is refused.
reap_world() { # I
    wait "${pid[$1]}"
    local rc=$? may='0 75 137 143'
    [ "${kind[$1]}" != 3 ] || may="$may 71 138"
    ! grep -q 'connect: .*Is the server running' "${log[$1]}" || may="$may 2"
    case " $may " in *" $rc "*) ;; *) wrong "a world ended with $rc: $(tail -n 5 "${log[$1]}")" ;; esac
    ends[rc]=$((${ends[rc]:-0} + 1))
}
declare -a log ends
is_dead() { ! kill -0 "${pid[$1]}" 2>/dev/null; }

# ---- faults ----
kills=0 stops=0 terms=0 crashes=0
now() { date +%s%N; }
inject_fault() { # I
    local ranks rank
    mapfile -t ranks < <(ranks_of "$1")
    [ ${#ranks[@]} -gt 0 ] || return 1
    rank=${ranks[RANDOM % ${#ranks[@]}]}
    case $((RANDOM % 20)) in
    [0-7]) kill -9 "$rank" 2>/dev/null && kills=$((kills + 1)) ;;
    [89] | 1[0-3])
        [ -z "${stopped[$1]}" ] && kill -STOP "$rank" 2>/dev/null || return 1
        stopped[$1]=$rank resume_at[$1]=$(($(now) + lease * (1100 + RANDOM % 1000) * 1000000))
        stops=$((stops + 1))
        ;;
    *)
        if [ -n "$pg" ] && [ $((RANDOM % 4)) = 0 ]; then
            server restart "$pg" && crashes=$((crashes + 1))
        else
            if [ "${kind[$1]}" = 3 ]; then kill -USR1 "${pid[$1]}"; else kill -TERM "$rank"; fi 2>/dev/null &&
                terms=$((terms + 1))
        fi
        ;;
    esac
}
declare -a resume_at
resume_world() { # I: one that was stopped for long enough goes on
    [ -n "${stopped[$1]}" ] && [ "$(now)" -ge "${resume_at[$1]}" ] || return
    kill -CONT "${stopped[$1]}" 2>/dev/null
    stopped[$1]=''
}

jobs=0
submit_next() {
    jobs=$((jobs + 1))
    write_job "j$jobs" out
    # A world may be stopped inside a transaction, for longer than a submit waits.
    is_submitted() { "$rollmill" submit "j$jobs.yaml" >said.txt 2>&1; }
    await is_submitted
    is_submitted || wrong "submit j$jobs: $(cat said.txt)"
}
left_to_do() { sql 'SELECT count(*) FROM clips WHERE state < 2'; }

for i in $(seq $worlds); do start_world "$i"; done
injected=0 turn=0 limit=$(($(date +%s) + ${LIMIT:-7200}))
while [ $injected -lt "$faults" ] || [ "$(left_to_do)" != 0 ]; do
    for i in $(seq $worlds); do
        resume_world "$i"
        ! is_dead "$i" || { reap_world "$i" && start_world "$i"; }
    done
    if [ $injected -lt "$faults" ]; then
        [ $((turn % 5)) != 0 ] || [ "$(left_to_do)" -gt $worlds ] || submit_next
        [ $((turn % 3)) != 2 ] || { inject_fault $((1 + RANDOM % worlds)) && injected=$((injected + 1)); }
    fi
    turn=$((turn + 1))
    sleep 0.$((1 + RANDOM % 5))
    [ "$(date +%s)" -lt $limit ] || { wrong "not over in time: $("$rollmill" queue status)" && break; }
done
for i in $(seq $worlds); do kill -CONT "${stopped[$i]}" 2>/dev/null; done
"$rollmill" queue drain >/dev/null || wrong drain
for i in $(seq $worlds); do reap_world "$i"; done

# ---- the audit ----
clips=$((jobs * seeds))
[ "$("$rollmill" queue status --json | grep -c '"state": "done"')" = $jobs ] || wrong "jobs: $("$rollmill" queue status)"
[ "$(sql 'SELECT state, worker, count(*) FROM clips GROUP BY state, worker')" = "2|0|$clips" ] ||
    wrong "clips: $(sql 'SELECT job, idx, state, worker, errors, crashes FROM clips WHERE state <> 2')"
[ "$(sql 'SELECT count(*) FROM attempts WHERE ended = 0')" = 0 ] || wrong "attempts that did not end"
[ "$(sql 'SELECT count(*) FROM workers WHERE state = 0')" = 0 ] || wrong "worlds: $(sql 'SELECT * FROM workers WHERE state = 0')"
[ "$(sql 'SELECT count(*) FROM jobs WHERE n_done <> clips OR n_ready + n_running + n_failed + n_canceled <> 0')" = 0 ] ||
    wrong "counts: $(sql 'SELECT * FROM jobs')"
twice=$(sql "SELECT job, idx, count(*) FROM attempts WHERE class = 'done' GROUP BY job, idx HAVING count(*) <> 1")
[ -z "$twice" ] || wrong "done more than once: $twice"
[ "$(sql "SELECT count(*) FROM attempts WHERE class = 'done'")" = $clips ] || wrong "not each clip has an attempt that is done"
bad=$(sql "SELECT job, idx, attempt, class, message FROM attempts WHERE class IN ('error', 'spec', 'host')")
[ -z "$bad" ] || wrong "attempts that failed: $bad"
[ "$(find out -mindepth 1 -maxdepth 1 -not -name '.*' | wc -l)" = $clips ] || wrong "folders: $(ls out)"
"$rollmill" queue clean >said.txt 2>&1 || wrong "clean: $(cat said.txt)"
# Killed before it could say whose it is, or when all else was removed: nobody may judge that.
[ -n "$(find out -path '*/.attempts/*' -type f ! -name 'owner*')" ] || "$rollmill" sweep --all out >/dev/null
left=$(find out -path '*/.attempts/*')
[ -z "$left" ] || wrong "left over: $left"
resumed=0
while IFS='|' read -r folder task; do
    wanted=reference/reference-${folder##*-}
    grep -q "\"task_id\": \"$task\"" "$folder/clip.json" || wrong "$folder is not its task"
    for file in $files; do cmp -s "$folder/$file" "$wanted/$file" || wrong "$folder/$file differs from $wanted/$file"; done
    [ "$(ls "$folder")" = "$(ls "$wanted")" ] || wrong "$folder has $(ls "$folder")"
    ! grep -q '"resumed_from": [1-9]' "$folder/clip.json" || resumed=$((resumed + 1))
done < <(sql 'SELECT folder, task FROM clips')
grep -hE 'Sanitizer|runtime error' w*.log && wrong "a sanitizer reported an error"
echo "$store, seed $seed: $kills killed, $stops stopped for longer than their lease, $terms told to stop, $crashes power cuts of the server;" \
    "$started worlds, $jobs jobs, $clips clips, $resumed of them gone on with by another attempt," \
    "$(sql 'SELECT count(*) FROM attempts') attempts ($(sql 'SELECT class, count(*) FROM attempts GROUP BY class ORDER BY class' | tr '\n' ' '));" \
    "worlds' codes: $(for rc in "${!ends[@]}"; do printf '%s: %s ' "$rc" "${ends[$rc]}"; done)"
exit $fail
