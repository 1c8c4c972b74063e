#!/bin/bash
# cli_launch.sh - scripts for Slurm: what shellcheck says of them, that nothing a user wrote gets a
# meaning in them, and that they run, with programs in the place of sbatch, srun and scontrol.
. "$(dirname "$0")/world.sh"
export XDG_CACHE_HOME="$dir/cache"
launch() { "$rollmill" launch slurm "$@"; }

# Programs that stand in: sbatch runs the script at once, every element of its array, and again
# while scontrol puts it back; srun runs one rank.
mkdir bin
cat >bin/sbatch <<'END'
#!/bin/bash
cat >"$SLURM_LOG/script"
export SLURM_JOB_ID=41
elements=$(sed -n 's/^#SBATCH --array=1-\([0-9]*\).*/\1/p' "$SLURM_LOG/script")
for element in $(seq "${elements:-1}"); do
    [ -z "$elements" ] || export SLURM_ARRAY_TASK_ID=$element SLURM_ARRAY_JOB_ID=40
    SLURM_RESTART_COUNT=0
    while :; do
        export SLURM_RESTART_COUNT
        rm -f "$SLURM_LOG/again"
        sh "$SLURM_LOG/script" >>"$SLURM_LOG/out" 2>&1
        echo "ended $?" >>"$SLURM_LOG/ends"
        [ -e "$SLURM_LOG/again" ] || break
        SLURM_RESTART_COUNT=$((SLURM_RESTART_COUNT + 1))
    done
done
echo "Submitted batch job 41"
END
cat >bin/srun <<'END'
#!/bin/bash
while [ "${1#--}" != "$1" ]; do echo "srun $1" >>"$SLURM_LOG/srun" && shift; done
[ -z "${BREAKS:-}" ] || exit "$BREAKS"
exec "$@"
END
cat >bin/scontrol <<'END'
#!/bin/bash
[ "$*" = "requeue ${SLURM_ARRAY_TASK_ID:+40_}${SLURM_ARRAY_TASK_ID:-41}" ] && touch "$SLURM_LOG/again"
END
# When Slurm itself does not say: squeue does, or there is no end.
cat >bin/squeue <<'END'
#!/bin/bash
[ "$*" = '-h -j 41 -o %e' ] && cat "$SLURM_LOG/end"
END
chmod +x bin/*
export PATH="$dir/bin:$PATH" SLURM_LOG="$dir"

# Words that would mean something to a shell, in every place that takes one.
evil="it's \$(touch $dir/hacked) \`touch $dir/hacked\` \"; touch $dir/hacked; #"
odd="$dir/a folder's \$(touch hacked)"
mkdir "$odd" && ln -s "$dir/model" "$odd/model" && cd "$odd" || exit 1
job "b; touch hacked.yaml" one 1s 'output: {dir: out}'
launch --nodes 1 --name 'a b' --log 'log of %j' "b; touch hacked.yaml" -- --trace "$evil" --deadline 60 >"$dir/script.sh" ||
    wrong "launch: no script"
sh -n "$dir/script.sh" || wrong "sh does not read it: $(cat "$dir/script.sh")"
grep -qx "#SBATCH --job-name='a b'" "$dir/script.sh" || wrong "name: $(cat "$dir/script.sh")"
(cd / && sbatch <"$dir/script.sh" >/dev/null)
[ ! -e "$dir/hacked" ] && [ ! -e hacked ] && [ ! -e hacked.yaml ] || wrong "a word was run"
# The trace cannot be written there, which may go better the next time: three times more.
[ "$(grep -cx 'ended 1' "$dir/ends")" = 4 ] || wrong "a trace that cannot be: $(cat "$dir/out")"
grep -qF "rollmill: io: $evil: No such file" "$dir/out" || wrong "not the word that was given: $(cat "$dir/out")"
launch --nodes 1 --submit "b; touch hacked.yaml" >"$dir/said" || wrong "--submit"
grep -qx 'Submitted batch job 41' "$dir/said" || wrong "--submit: $(cat "$dir/said")"
[ -s out/one/clip.mp4 ] || wrong "no clip: $(cat "$dir/out")"
grep -qx 'srun --mpi=pmix' "$dir/srun" || wrong "srun: $(cat "$dir/srun")"
cd "$dir" || exit 1

# Every kind of script, as shellcheck sees it.
if command -v shellcheck >/dev/null; then
    launch --nodes 2 --gpus-per-node 8 --cpus-per-rank 12 --time 08:00:00 --partition gpu --account a --qos q \
        --constraint 'a&b' --worlds 16 --at-once 4 --queue 'postgresql://u@h/d?sslmode=verify-full&x=1' >queue.sh
    launch --nodes 1 --worlds 3 --container 'my image.sif' "$odd/b; touch hacked.yaml" >parts.sh
    shellcheck --exclude=SC2016 queue.sh parts.sh script.sh || wrong "shellcheck" # single quotes are on purpose
else
    echo "cli_launch.sh: shellcheck is not installed; its part is skipped"
fi

# The parts of a job, as an array; a queue, until it is empty.
job many.yaml many 0.5s 'output: {dir: farm}
sweep: {axes: {seed: {range: "0-4"}}}'
launch --nodes 1 --worlds 2 --submit many.yaml >/dev/null || wrong "--worlds"
[ "$(find farm -name clip.mp4 | wc -l)" = 5 ] || wrong "parts: $(ls farm)"
job queued.yaml queued 0.5s 'output: {dir: queued}
sweep: {axes: {seed: {range: "0-2"}}}'
"$rollmill" submit --queue sqlite:q.db queued.yaml >/dev/null || wrong "submit"
SLURM_JOB_END_TIME=4102444800 launch --nodes 1 --worlds 2 --queue "sqlite:$dir/q.db" --submit >/dev/null || wrong "--queue"
[ "$(find queued -name clip.mp4 | wc -l)" = 3 ] || wrong "a queue: $(cat out)"
grep -q ' until=4102444620 ' out || wrong "--until: $(grep until out)"

until_is() { # WHAT squeue SAYS, OPTION
    echo "$1" >end
    : >out
    launch --nodes 1 --lead 60 --queue "sqlite:$dir/q.db" --submit >/dev/null || wrong "--queue"
    grep -q " until=$2 " out || wrong "squeue says $1: $(cat out)"
}
TZ=UTC until_is 2100-01-01T00:00:00 4102444740
until_is N/A -
until_is '' -

# What becomes of a world that ends before its time: 75 for ever, 71 a few times, 2 never.
tried() { # CODE TRIES
    rm -f ends
    BREAKS=$1 launch --nodes 1 --worlds 2 --tries 2 --submit many.yaml >/dev/null
    [ "$(grep -cx "ended $1" ends)" = $((2 * $2)) ] || wrong "code $1: $(cat ends)"
}
tried 71 3
tried 1 3
tried 2 1
tried 0 1
rm -f ends
cat >bin/srun <<'END'
#!/bin/bash
[ "$SLURM_RESTART_COUNT" -lt 7 ] && exit 75
exit 0
END
launch --nodes 1 --tries 2 --submit many.yaml >/dev/null
[ "$(grep -cx 'ended 75' ends)" = 7 ] && [ "$(tail -n 1 ends)" = 'ended 0' ] || wrong "code 75: $(cat ends)"

# What is refused, before a script is there.
expect 2 'launch takes jobs, or --queue URL; found neither' launch --nodes 1
expect 2 'launch takes jobs, or --queue URL; found both' launch --nodes 1 --queue sqlite:q.db many.yaml
expect 2 'launch needs --nodes' launch many.yaml
expect 2 'nothing.yaml' launch --nodes 1 nothing.yaml
expect 2 'launch pbs: allowed: slurm' "$rollmill" launch pbs --nodes 1 many.yaml
expect 2 '--queue holds a password' launch --nodes 1 --queue postgresql://me:secret@host/db
for option in name log partition account qos constraint time; do
    expect 2 "--$option a'b: allowed: no quotes" launch --nodes 1 "--$option" "a'b" many.yaml
    expect 2 "--$option a\\b: allowed: no quotes" launch --nodes 1 "--$option" 'a\b' many.yaml
    expect 2 "it stands on an #SBATCH line" launch --nodes 1 "--$option" "a
#SBATCH --exclusive" many.yaml
done
printf '#!/bin/sh\nexit 3\n' >bin/sbatch
expect 1 'sbatch refuses the script, with code 3' launch --nodes 1 --submit many.yaml
rm bin/sbatch
[ -n "$(PATH=/usr/bin:/bin command -v sbatch)" ] ||
    expect 1 'sbatch cannot be run here' launch --nodes 1 --submit many.yaml

# The image has the packages of every library that the program names.
if command -v dpkg >/dev/null && grep -q 'VERSION_ID="12"' /etc/os-release 2>/dev/null; then
    readelf -d "$rollmill" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | while read -r library; do
        path=$(ldd "$rollmill" | awk -v l="$library" '$1 == l { print $3 }')
        package=$(dpkg -S "$(readlink -f "$path")" 2>/dev/null | sed 's/:.*//')
        case $package in
        '' | libc6 | libgcc-s1 | libasan* | libubsan* | libtsan*) continue ;; # always there, or a test's own
        esac
        grep -qx "$package" "$top/tools/container/packages" || echo "$library: $package"
    done >lacks
    [ ! -s lacks ] || wrong "tools/container/packages lacks: $(cat lacks)"
fi
exit $fail
