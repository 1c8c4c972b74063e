#!/bin/bash
# slurm.sh - worlds under a real Slurm, of this host alone: two of two ranks each pull from a queue,
# one is preempted by a signal and one by a requeue, both come back, every clip is there once.
# Skipped where Slurm and munge are not installed, or by others than root, as whom slurmd starts jobs.
# Daemons: in a folder of the test's own, on loopback ports, without cgroups and accounting.
for program in slurmctld slurmd munged sbatch srun scontrol; do
    PATH=$PATH:/usr/sbin command -v $program >/dev/null ||
        { echo "$program is not installed (slurm-wlm, munge): worlds under Slurm are not tested" && exit 77; }
done
[ "$(id -u)" = 0 ] || { echo "not root: no slurmd can be started" && exit 77; }
. "$(dirname "$0")/../cli/world.sh"
export PATH=$PATH:/usr/sbin SLURM_CONF="$dir/slurm/slurm.conf" XDG_CACHE_HOME="$dir/cache" QUEUE="sqlite:$dir/q.db"
case $(ldd "$rollmill") in
*libmpi*) ranks=2 ;;
*) ranks=1 ;;
esac

# ---- a Slurm ----
s="$dir/slurm" port=$((20000 + $$ % 20000)) host=$(hostname -s)
chmod 755 "$dir"
mkdir -p "$s/state" "$s/spool" "$s/munge"
(umask 077 && head -c 128 /dev/urandom >"$s/munge/key")
cat >"$s/slurm.conf" <<END
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$s/munge/socket,cred_expire=5
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmctldPidFile=$s/slurmctld.pid
SlurmdPidFile=$s/slurmd.pid
SlurmctldLogFile=$s/slurmctld.log
SlurmdLogFile=$s/slurmd.log
StateSaveLocation=$s/state
SlurmdSpoolDir=$s/spool
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=1,sched_interval=1
ReturnToService=2
InactiveLimit=0
KillWait=600
JobRequeue=1
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:8
END
end_daemon() { # PID FILE: waits for it
    pid=$(cat "$1" 2>/dev/null) || return 0
    kill "$pid" 2>/dev/null
    for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null && sleep 0.1 || return 0; done
    kill -9 "$pid"
}
end_slurm() {
    scancel --user=root 2>/dev/null
    for _ in $(seq 100); do [ -z "$(squeue -h 2>/dev/null)" ] || sleep 0.1; done
    for daemon in slurmd slurmctld munge/munged; do end_daemon "$s/$daemon.pid"; done
    rm -rf "$dir"
}
trap end_slurm EXIT
munged --force --key-file="$s/munge/key" --socket="$s/munge/socket" --pid-file="$s/munge/munged.pid" \
    --log-file="$s/munge/log" --seed-file="$s/munge/seed" --num-threads=2 2>"$s/munge/err" || { cat "$s/munge/err" && exit 1; }
slurmctld >/dev/null && slurmd >/dev/null || { cat "$s"/*.log && exit 1; }
is_up() { [ "$(sinfo -h -o %T 2>/dev/null)" = idle ]; }
await is_up
is_up || { echo "no Slurm: $(tail -n 5 "$s"/*.log)" && exit 1; }

# ---- two worlds on a queue ----
clips=12
job queued.yaml queued 6s 'output: {dir: out}
run: {checkpoint: 1s}
sweep: {axes: {seed: {range: "0-11"}}}'
"$rollmill" submit --queue "$QUEUE" queued.yaml >/dev/null || wrong submit
"$rollmill" launch slurm --nodes 1 --ranks-per-node $ranks --worlds 2 --time 00:30:00 --lead 60 --queue "$QUEUE" \
    --name 'two worlds' --submit -- --stall 600 >said.txt || wrong "launch: $(cat said.txt)"
array=$(sed -n 's/^Submitted batch job //p' said.txt)
[ "$(squeue -h -o %j | sort -u)" = 'two worlds' ] || wrong "name: $(squeue)"
count() { "$rollmill" queue status --queue "$QUEUE" --json queued | grep -c "\"state\": \"$1\""; }
both_work() { [ "$("$rollmill" queue status --queue "$QUEUE" --json | grep -c '"launcher": "slurm ')" = 2 ] && [ "$(count 'done')" -ge 1 ]; }
await both_work
both_work || wrong "two worlds: $("$rollmill" queue status --queue "$QUEUE"; tail -n 5 rollmill-*.log)"

# Slurm's signal to the ranks of one; the other is requeued, which sends SIGTERM.
state_of() { scontrol show job "${array}_$1"; }
restarts() { scontrol show job "${array}_$1" | sed -n 's/.*Restarts=\([0-9]*\).*/\1/p'; }
was_put_back() { [ "$(restarts "$1")" -ge 1 ]; }
scancel --signal=USR1 "${array}_1"
await was_put_back 1
was_put_back 1 || wrong "after the signal: $(state_of 1; tail -n 5 rollmill-*.log)"
scontrol requeue "${array}_2"
await was_put_back 2
was_put_back 2 || wrong "after the requeue: $(state_of 2)"
is_over() { [ -z "$(squeue -h)" ]; }
await is_over
await is_over
is_over || wrong "not over: $(squeue; tail -n 5 rollmill-*.log)"

# ---- the audit ----
for n in 1 2; do state_of $n | grep -q 'JobState=COMPLETED' || wrong "element $n: $(state_of $n)"; done
[ "$(count 'done')" = $clips ] || wrong "done: $("$rollmill" queue status --queue "$QUEUE" queued)"
[ "$(find out -mindepth 2 -name clip.json -not -path '*/.attempts/*' | wc -l)" = $clips ] || wrong "folders: $(ls out)"
"$rollmill" verify out/queued-* >verify.txt 2>&1 || wrong "verify: $(cat verify.txt)"
for n in $(seq 0 $((clips - 1))); do "$rollmill" queue log --queue "$QUEUE" "queued/$n"; done >log.txt
grep -q preempt log.txt || wrong "nobody was preempted: $(cat log.txt)"
grep -qE ' (crash|error|host|spec) ' log.txt && wrong "an attempt ended ill: $(cat log.txt; tail -n 15 rollmill-*.log)"
cat rollmill-*.log >logs.txt
[ "$(grep -c '^work queue=' logs.txt)" -ge 4 ] || wrong "worlds: $(cat logs.txt)"
grep -q "^work .* until=[1-9]" logs.txt || wrong "--until: $(grep ^work logs.txt)"
[ $fail = 0 ] && echo "two worlds of $ranks ranks, $clips clips, one signal, one requeue: all done"
exit $fail
