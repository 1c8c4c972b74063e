#!/bin/bash
# two_hosts.sh - two hosts of this machine: network and host names of their own, a link between
# them, an sshd on each. mpirun over both: a line across them, a line on each; then the link is
# narrowed, delayed, broken for less than the stall, and cut, in mid-run. Clips are those of one
# host to the byte; after the cut the other rank is named in time and the clips go back.
# Skipped where namespaces, sshd or mpirun are missing; needs root.
skip() { echo "$*: two hosts are not tested" && exit 77; }
[ "$(id -u)" = 0 ] || skip "not root"
export PATH=$PATH:/usr/sbin:/sbin
for program in ip tc sshd ssh-keygen mpirun unshare; do
    command -v $program >/dev/null || skip "$program is not installed (iproute2, openssh-server, openmpi-bin)"
done
. "$(dirname "$0")/../cli/world.sh"
case $(ldd "$rollmill") in *libmpi*) ;; *) skip "built without MPI" ;; esac

# ---- two hosts ----
a=rm-a-$$ b=rm-b-$$ at_a=10.213.7.1 at_b=10.213.7.2 running=''
end_hosts() {
    # shellcheck disable=SC2046 # several numbers
    for ns in $a $b; do
        kill -9 $(ip netns pids $ns 2>/dev/null) 2>/dev/null
        ip netns del $ns 2>/dev/null
    done
    [ -z "$running" ] || wait "$running" 2>/dev/null
    rm -rf "$dir"
}
trap end_hosts EXIT
ip netns add $a 2>err.txt && ip netns add $b 2>>err.txt || skip "no namespaces here: $(cat err.txt)"
ip link add va netns $a type veth peer name vb netns $b 2>err.txt || skip "no veth: $(cat err.txt)"
on() { # a|b COMMAND...: on that host
    local host=$1
    shift
    [ "$host" = a ] && local ns=$a || local ns=$b
    # shellcheck disable=SC2016 # for the inner shell
    ip netns exec "$ns" unshare --uts sh -c 'hostname two-hosts-$0 && exec "$@"' "$host" "$@"
}
for host in a b; do
    on $host ip link set lo up
    on $host ip link set v$host up
done
on a ip addr add $at_a/30 dev va
on b ip addr add $at_b/30 dev vb

mkdir -p /run/sshd
chmod 755 "$dir"
ssh-keygen -q -t ed25519 -N '' -f "$dir/key" && cp "$dir/key.pub" "$dir/allowed" && chmod 600 "$dir/allowed"
for host in a b; do
    ssh-keygen -q -t ed25519 -N '' -f "$dir/host-$host"
    on $host "$(command -v sshd)" -f /dev/null -h "$dir/host-$host" -E "$dir/sshd-$host.log" -o PidFile=none \
        -o AuthorizedKeysFile="$dir/allowed" -o StrictModes=no -o UsePAM=no -o PermitRootLogin=prohibit-password
done
agent="ssh -i $dir/key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o BatchMode=yes"
[ "$(on a $agent $at_b hostname)" = two-hosts-b ] || skip "no ssh from one to the other: $(cat sshd-b.log)"

# over COMMAND...: one rank on each host
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_btl_vader_single_copy_mechanism=none
over() {
    on a mpirun --host $at_a:1,$at_b:1 -n 2 --bind-to none --mca plm_rsh_agent "$agent" --mca btl tcp,self \
        --mca btl_tcp_if_include $at_a/30 --mca oob_tcp_if_include $at_a/30 "$@" </dev/null
}
calm=(--no-prompt-cache --backend cpu --threads 1)
files='clip.mp4 latents.safetensors'
write_job() { # NAME LENGTH SEEDS
    job "$1.yaml" "$1" "$2" "output: {dir: $1, formats: [{file: clip.mp4, codec: h264, preset: ultrafast}],
  latents: {file: latents.safetensors, dtype: bf16}}
run: {checkpoint: 1.5s, retries: {backoff: 0s}}
sweep: {axes: {seed: {range: \"0-$3\"}}}"
}
same() { # NAME SEEDS WHAT
    for n in $(seq 0 "$2"); do
        for file in $files; do
            cmp -s "one/one-0000$n/$file" "$1/$1-0000$n/$file" || wrong "$3: clip $n: $file differs"
        done
    done
}
shape() { on a tc qdisc "$1" dev va root "${@:2}" 2>tc.txt && on b tc qdisc "$1" dev vb root "${@:2}" 2>tc.txt; }

write_job one 4s 1
"$rollmill" render one.yaml "${calm[@]}" >log.txt 2>&1 || wrong "one host: $(tail -n 3 log.txt)"

# ---- across, and one on each ----
write_job across 4s 1
over "$rollmill" render across.yaml "${calm[@]}" --cross-nodes --ranks-per-line 2 --decode-ranks 0 >log.txt 2>&1 ||
    wrong "a line across: $(tail -n 5 log.txt)"
same across 1 "a line across"
grep -q '^ranks 0-1  *line 0 ' log.txt || wrong "a line across: $(grep ^rank log.txt)"
write_job each 4s 1
over "$rollmill" render each.yaml "${calm[@]}" --ranks-per-line 1 --decode-ranks 0 >log.txt 2>&1 ||
    wrong "a line on each: $(tail -n 5 log.txt)"
same each 1 "a line on each"
grep -q '^rank.* line 1 ' log.txt || wrong "a line on each: $(grep ^rank log.txt)"
write_job inside 4s 1
over "$rollmill" render inside.yaml "${calm[@]}" --ranks-per-line 2 --decode-ranks 0 >log.txt 2>&1 &&
    wrong "a line across without --cross-nodes: $(tail -n 3 log.txt)"

# ---- a link that ails: nobody is named, and the clips are right ----
# begin NAME: a render in the background, until a block is encoded
begin() {
    write_job "$1" 4s 1
    over "$rollmill" render "$1.yaml" "${calm[@]}" --cross-nodes --ranks-per-line 2 --decode-ranks 0 --deadline 600 \
        --stall 6 --events "$1.events" >"$1.log" 2>&1 &
    running=$!
    is_at_work() { grep -q clip_blocks "$name.events" 2>/dev/null || ! kill -0 $running 2>/dev/null; }
    name=$1
    await is_at_work
}
goes_on() { # NAME WHAT
    wait "$running"
    rc=$?
    running=''
    [ $rc = 0 ] || wrong "$2: exit $rc: $(tail -n 5 "$1.log")"
    same "$1" 1 "$2"
    ! grep -q 'no heartbeat\|no progress' "$1.log" || wrong "$2: $(grep 'no heartbeat' "$1.log")"
}
begin narrow
shape add tbf rate 4mbit burst 20kb latency 400ms || wrong "tc tbf: $(cat tc.txt)"
goes_on narrow "a narrow link"
shape del
begin delay
delayed=1
shape add netem delay 20ms 5ms || delayed=''
goes_on delay "a slow link"
[ -z "$delayed" ] || shape del
begin broken
on a ip link set va down
sleep 2
on a ip link set va up
goes_on broken "a link that was away for two seconds"

# ---- a link that is cut ----
write_job cut 4s 1
export ROLLMILL_QUEUE=sqlite:$dir/q.db
"$rollmill" submit cut.yaml >/dev/null || wrong submit
# Open MPI 4.1's mpirun does not end while the other host's daemon cannot be reached, so each rank's
# own code is kept.
# shellcheck disable=SC2016 # for the ranks' shells
keep_code='"$@"; echo "$OMPI_COMM_WORLD_RANK $?" >>codes.txt'
over sh -c "$keep_code" sh "$rollmill" work --lease 300 "${calm[@]}" --cross-nodes --ranks-per-line 2 --decode-ranks 0 \
    --deadline 600 --stall 6 --events cut.events >cut.log 2>&1 &
running=$!
is_at_work() { grep -q clip_blocks cut.events 2>/dev/null; }
await is_at_work
on a ip link set va down
start=$(date +%s%3N)
is_named() { grep -q 'sent no heartbeat for' cut.log; }
await is_named
took=$(($(date +%s%3N) - start))
have_ended() { [ "$(wc -l 2>/dev/null <codes.txt)" = 2 ]; }
await have_ended
[ "$(sort codes.txt | tr '\n' ' ')" = '0 71 1 71 ' ] || wrong "cut: ranks and codes: $(cat codes.txt; tail -n 5 cut.log)"
grep -q 'rank 1 sent no heartbeat for' cut.log || wrong "cut: rank 1 is not named: $(tail -n 5 cut.log)"
[ $took -le $(((6 + 3 + ${LATE:-0}) * 1000)) ] || wrong "cut: named after $took ms, the stall is 6 s"
on a ip link set va up
has_ended() { ! kill -0 $running 2>/dev/null; }
await has_ended
has_ended || { pkill -9 -P "$running" && echo "mpirun did not end, and was killed"; }
wait "$running"
running=''
over "$rollmill" work "${calm[@]}" --cross-nodes --ranks-per-line 2 --decode-ranks 0 >log.txt 2>&1 ||
    wrong "the next attempt: $(tail -n 5 log.txt)"
same cut 1 "after the cut"
"$rollmill" queue log cut/0 >log.txt
grep -q ' crash ' log.txt && grep -q ' done ' log.txt || wrong "cut: attempts: $(cat log.txt)"
"$rollmill" queue clean >/dev/null 2>&1
[ -z "$(find cut -path '*/.attempts/*')" ] || wrong "left over: $(find cut -path '*/.attempts/*')"
[ $fail != 0 ] || echo "a line across, a line on each, the link narrow, ${delayed:+late, }away for 2 s, cut: the same clips; cut, the other rank was named after $took ms"
[ -n "$delayed" ] || echo "this kernel has no netem: the link was not delayed"
exit $fail
