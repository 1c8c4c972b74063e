/*
 * launch_slurm.c - the script of a world under Slurm.
 *
 * A world is one job, or one element of an array: its ranks are one step, `srun`, which carries the
 * signal to them that Slurm sends before the end of the time. The world then hands back what it
 * has, ends with 75, and the script puts the job back into Slurm's queue; so it does, a few times,
 * with what may go better elsewhere (71) or the next time (1), and never with what will not (2).
 */
#include "cmd/launch/launch_internal.h"

static void add_number(struct strbuf *t, const char *option, int value)
{
    if (value) strbuf_addf(t, "#SBATCH --%s=%d\n", option, value);
}

static status add_head(struct strbuf *t, const struct launch *l)
{
    strbuf_addf(t, "#!/bin/sh\n");
    TRY(launch_add_sbatch(t, "name", "job-name", l->name));
    add_number(t, "nodes", l->nodes);
    add_number(t, "ntasks-per-node", l->ranks_per_node);
    add_number(t, "cpus-per-task", l->cpus_per_rank);
    add_number(t, "gpus-per-node", l->gpus_per_node);
    TRY(launch_add_sbatch(t, "time", "time", l->time));
    TRY(launch_add_sbatch(t, "partition", "partition", l->partition));
    TRY(launch_add_sbatch(t, "account", "account", l->account));
    TRY(launch_add_sbatch(t, "qos", "qos", l->qos));
    TRY(launch_add_sbatch(t, "constraint", "constraint", l->constraint));
    TRY(launch_add_sbatch(t, "log", "output", l->log));
    if (l->worlds > 1 && l->at_once)
        strbuf_addf(t, "#SBATCH --array=1-%d%%%d\n", l->worlds, l->at_once);
    else if (l->worlds > 1) strbuf_addf(t, "#SBATCH --array=1-%d\n", l->worlds);
    strbuf_addf(t, "#SBATCH --signal=USR1@%d\n#SBATCH --requeue\n#SBATCH --open-mode=append\n\n",
                l->lead);
    return ST_OK;
}

/* A new line of the command. */
static void add_argument(struct strbuf *t, const char *word)
{
    strbuf_addf(t, " \\\n    ");
    launch_add_word(t, word);
}

static void add_container(struct strbuf *t, const struct launch *l)
{
    if (!l->container) return;
    strbuf_addf(t, " \\\n    apptainer exec%s --bind \"$PWD\" --pwd \"$PWD\"",
                l->gpus_per_node ? " --nv" : "");
    add_argument(t, l->container);
}

/* Slurm before 23.02 tells a script nothing of its end; a job without one has N/A. */
static void add_time(struct strbuf *t)
{
    strbuf_addf(t, "end=${SLURM_JOB_END_TIME:-$(squeue -h -j \"$id\" -o %%e)}\n"
                   "case $end in\n"
                   "*T*) end=$(date -d \"$end\" +%%s) ;;\n"
                   "'' | *[!0-9]*) end= ;;\n"
                   "esac\n");
}

static void add_step(struct strbuf *t, const struct launch *l)
{
    strbuf_addf(t, "srun --kill-on-bad-exit=1 --mpi=");
    launch_add_word(t, l->mpi);
    add_container(t, l);
    add_argument(t, l->program);
    strbuf_addf(t, l->queue ? " work" : " render");
    if (l->queue) {
        strbuf_addf(t, " --queue ");
        launch_add_word(t, l->queue);
        strbuf_addf(t, " ${end:+--until \"$((end - %d))\"}", l->lead);
    } else if (l->worlds > 1) {
        strbuf_addf(t, " --part \"$SLURM_ARRAY_TASK_ID/%d\"", l->worlds);
    }
    for (int i = 0; i < l->rest_count; i++) {
        strbuf_addf(t, " ");
        launch_add_word(t, l->rest[i]);
    }
    if (!l->queue) strbuf_addf(t, " \\\n    --");
    for (int i = 0; i < l->job_count; i++) add_argument(t, l->jobs[i]);
    strbuf_addf(t, "\nrc=$?\n\n");
}

static void add_end(struct strbuf *t, const struct launch *l)
{
    strbuf_addf(t,
                "again=no\n"
                "case $rc in\n"
                "75) again=yes ;; # stopped: its clips are handed back\n"
                "1 | 71) [ \"${SLURM_RESTART_COUNT:-0}\" -ge %d ] || again=yes ;;\n"
                "esac\n"
                "[ $again = no ] || scontrol requeue \"$id\"\n"
                "exit $rc\n",
                l->tries);
}

status launch_slurm(struct strbuf *to, const struct launch *l)
{
    TRY(add_head(to, l));
    strbuf_addf(to, "cd ");
    launch_add_word(to, l->folder);
    /* An array's own number would mean all of it, and an element may have it, too. */
    strbuf_addf(to, " || exit 1\n"
                    "id=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}"
                    "${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}\n");
    if (l->queue) add_time(to);
    add_step(to, l);
    add_end(to, l);
    return to->failed ? fail(ST_NOMEM, "no memory for a script") : ST_OK;
}
