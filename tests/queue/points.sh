#!/bin/bash
# points.sh - a queue at each point where a process, a database or a disk can fail it, on purpose:
# killed in front of and behind each commit of a submit and of a world, around the rename that
# publishes a clip, while it takes over a dead world's clips; stopped inside a transaction; the power
# lost, the database restored from a copy that is old, or lost; a folder that is there and not yet
# seen; no room for the database. Then another world comes: every clip is done, by one rendering where
# one was published, with the bytes of an undisturbed one, and nothing is left over.
# On the store of QUEUE_TEST_URL, else on SQLite.
. "$(dirname "$0")/../cli/world.sh"
SIZE=32x16 # many renders
shim=$(realpath "$top/${SHIMS:-build/release}/shim_store.so") || exit 1
export ROLLMILL_QUEUE=${QUEUE_TEST_URL:-sqlite:q.db}
case $ROLLMILL_QUEUE in postgresql:*) pg=1 ;; *) pg='' ;; esac
queue() { "$rollmill" queue "$@"; }
busy='' stopped=''
# shellcheck disable=SC2086 # numbers, or nothing
trap 'kill -9 $busy $stopped 2>/dev/null; rm -rf "$dir"' EXIT
calm=(work --no-prompt-cache --backend cpu --threads 1)
at() { env LD_PRELOAD="$shim" FOLDER=/clip "$@"; } # VARIABLE=VALUE... COMMAND...

job clip.yaml clip 9f 'run: {retries: {backoff: 0s}}
output: {dir: out, name: clip, formats: [{file: master.mkv, codec: ffv1}]}'
sed 's/dir: out/dir: alone/' clip.yaml >alone.yaml
render alone.yaml >out.txt 2>&1 || exit 1
queue make >/dev/null || exit 1

nth=0
write_job() { nth=$((nth + 1)) && sed "s/name: clip$/name: c$nth/; s/dir: out/dir: o$nth/" clip.yaml >one.yaml; }
submit() { write_job && "$rollmill" submit one.yaml >said.txt || wrong "submit c$nth: $(cat said.txt)"; }
tries() { queue log --json "c$nth/0" | grep -c '"attempt"'; }
ends() { queue log --json "c$nth/0" | sed -n 's/.*"end":"\([a-z]*\)".*/\1/p' | sort | uniq -c | tr -s ' \n' ' '; }
state() { queue status --json "c$nth" | sed -n 's/.*"state": "\(.*\)".*/\1/p' | tail -n 1; }

# audit WHAT: the clip of the last job is done as it should be, once, and nothing is left of others
audit() {
    [ "$(state)" = 'done' ] || wrong "$1: $(state)"
    cmp -s "o$nth/clip/master.mkv" alone/clip/master.mkv || wrong "$1: other bytes"
    queue clean >/dev/null || wrong "$1: clean"
    # Killed before it could say whose it is, or when all else was removed: nobody may judge that.
    [ -n "$(find "o$nth" -path '*/.attempts/*' -type f ! -name 'owner*')" ] || "$rollmill" sweep --all "o$nth" >/dev/null
    [ "$(ls -A "o$nth")" = clip ] || wrong "$1: left over: $(find "o$nth")"
    [ "$(queue status --json | grep -c '"state": "running"')" = 0 ] || wrong "$1: $(queue status)"
}
finish() { # WHAT: by another world
    "$rollmill" "${calm[@]}" >out.txt 2>err.txt || wrong "$1: $(tail -n 3 err.txt)"
    audit "$1"
}
killed() { # COMMAND...: it ends as killed, or it is over
    "$@" >out.txt 2>err.txt
    rc=$?
    [ $rc = 137 ]
}

# ---- a submit: nothing, or the whole job ----
commit=1
while write_job && killed at POINT=commit:$commit "$rollmill" submit one.yaml; do
    queue status "c$nth" >out.txt 2>&1 && [ $commit = 1 ] && wrong "a job before the first commit"
    "$rollmill" submit one.yaml >said.txt || wrong "submit again: $(cat said.txt)"
    finish "submit killed in front of commit $commit"
    write_job
    killed at POINT=committed:$commit "$rollmill" submit one.yaml || wrong "not killed behind commit $commit"
    "$rollmill" submit one.yaml >said.txt || wrong "submit again: $(cat said.txt)"
    last=$(cat said.txt)
    finish "submit killed behind commit $commit"
    commit=$((commit + 1))
done
submits=$((commit - 1))
[ $submits -gt 0 ] || wrong "no submit was killed"
case $last in *'in the queue already'*) ;; *) wrong "behind the last commit: $last" ;; esac
[ $rc = 0 ] && finish "a submit" # the one that was not killed

# ---- a world: each commit, and the rename ----
declare -A met
for point in commit committed; do
    commit=1
    while submit && killed at POINT=$point:$commit "$rollmill" "${calm[@]}"; do
        met[$(state)]=1
        finish "a world killed at $point:$commit"
        commit=$((commit + 1))
    done
    audit "a world that was not killed at $point:$commit"
    [ $commit -gt 4 ] || wrong "only $commit commits"
done
[ "${#met[@]}" -ge 3 ] || wrong "states met: ${!met[*]}"
for point in publish published; do
    submit
    killed at POINT=$point "$rollmill" "${calm[@]}" || wrong "not killed at $point"
    [ "$(state)" = running ] || wrong "at $point: $(state)"
    before=$(stat -c %i "o$nth/clip" 2>/dev/null)
    # Whoever takes over is killed too, in front of each commit up to the one behind the claim.
    for commit in 1 2 3; do killed at POINT=commit:$commit "$rollmill" "${calm[@]}" || break; done
    finish "killed at $point"
    [ $point = publish ] || [ "$before" = "$(stat -c %i "o$nth/clip")" ] || wrong "a clip that was there is made again"
    [ "$(queue log --json "c$nth/0" | grep -c '"end":"crash"')" = 1 ] || wrong "$point: charged too often: $(ends)"
done

# ---- stopped inside a transaction ----
holds() { [ "$(state)" = running ]; }
write_job && sed -i 's/length: 9f/length: 20s/' one.yaml
"$rollmill" submit one.yaml >said.txt || wrong "submit: $(cat said.txt)"
"$rollmill" "${calm[@]}" --lease 900 >busy.txt 2>&1 &
busy=$!
await holds
LD_PRELOAD=$shim POINT=commit:1 STOP=1 "$rollmill" "${calm[@]}" --lease 900 >stopped.txt 2>&1 &
stopped=$!
is_stopped() { grep -q '^State:.T' "/proc/$stopped/status"; }
await is_stopped
queue status >out.txt 2>&1 || wrong "nobody can look while a world is stopped in a transaction: $(cat out.txt)"
if [ -n "$pg" ]; then
    ended() { PGOPTIONS='-c search_path=rollmill' psql -qAtX -c "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'" "$ROLLMILL_QUEUE" | grep -qx 0; }
    ended && wrong "stopped, and in no transaction"
    await ended
    ended || wrong "the server does not end a session that is stopped in a transaction"
else
    says() { grep -q 'queue: no answer' busy.txt; }
    await says
    says || wrong "a writer does not say that it waits: $(tail -n 3 busy.txt)"
fi
kill -CONT "$stopped"
for world in $busy $stopped; do wait "$world" || wrong "behind a stop: exit $?: $(tail -n 3 busy.txt stopped.txt)"; done
[ "$(state)" = 'done' ] && [ "$(tries)" = 1 ] || wrong "behind a stop: $(state) $(ends)"

# ---- the power is lost, an old copy comes back, or none ----
if [ -z "$pg" ]; then
    write_job
    killed at POINT=committed:$submits POWER=1 "$rollmill" submit one.yaml || wrong "the power was not lost"
    [ "$(state)" = ready ] || wrong "a job that is told from here on did not outlive the power"
    finish "power lost behind a submit"
fi
save() { python3 -c 'import sqlite3; sqlite3.connect("q.db").backup(sqlite3.connect("saved.db"))'; }
restore() { rm -f q.db-wal q.db-shm && mv saved.db q.db; }
lose() { rm -f q.db q.db-wal q.db-shm; }
if [ -n "$pg" ]; then
    save() { pg_dump -n rollmill "$ROLLMILL_QUEUE" >saved.sql; }
    lose() { psql -qAtX -c 'DROP SCHEMA rollmill CASCADE' "$ROLLMILL_QUEUE" >/dev/null 2>&1; }
    restore() { lose && psql -qAtX -f saved.sql "$ROLLMILL_QUEUE" >/dev/null; }
fi
submit
save || wrong "no copy"
finish "before an old copy"
before=$(stat -c %i "o$nth/clip")
restore || wrong "not restored"
[ "$(state)" = ready ] || wrong "an old copy: $(state)"
finish "an old copy of the database"
[ "$before" = "$(stat -c %i "o$nth/clip")" ] || wrong "an old copy: rendered again"
lose
queue make >/dev/null || wrong "queue make"
"$rollmill" submit one.yaml >said.txt || wrong "submit: $(cat said.txt)"
finish "a lost database"
[ "$before" = "$(stat -c %i "o$nth/clip")" ] || wrong "a lost database: rendered again"

# ---- a folder that is there and not seen; a disk without room ----
mv "o$nth/clip" aside
queue discard "c$nth/0" >out.txt 2>&1 || wrong "discard: $(cat out.txt)"
mv aside "o$nth/clip"
at HIDE=1 "$rollmill" "${calm[@]}" >out.txt 2>err.txt || wrong "not seen: $(tail -n 3 err.txt)"
grep -q 'another process has just made it' err.txt || wrong "not seen: it was: $(cat err.txt)"
[ "$before" = "$(stat -c %i "o$nth/clip")" ] || wrong "not seen: another folder stands there"
audit "a folder that is not seen"
if [ -z "$pg" ]; then
    submit
    LD_PRELOAD=$shim FULL=$dir/full "$rollmill" "${calm[@]}" --stay --lease 900 >busy.txt 2>&1 &
    busy=$!
    is_done() { [ "$(state)" = 'done' ]; }
    await is_done
    touch full
    says() { grep -q 'queue: no answer' busy.txt; }
    submit
    await says
    says || wrong "no room: not said: $(tail -n 3 busy.txt)"
    rm full
    await is_done
    audit "no room for the database"
    queue drain >/dev/null
    wait "$busy" || wrong "no room: exit $?: $(tail -n 3 busy.txt)"
fi
[ $fail = 0 ] && echo "$nth clips, all once"
exit $fail
