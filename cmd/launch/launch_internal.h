/* launch_internal.h - a batch script: what it is told, how it is written, how it is handed in.
 * Private to cmd/launch. */
#ifndef LAUNCH_INTERNAL_H
#define LAUNCH_INTERNAL_H

#include "base/strbuf.h"

/* Zero and NULL: not said, and then not in the script, but for what must be. */
struct launch {
    int nodes, ranks_per_node, gpus_per_node, cpus_per_rank;
    int worlds, at_once; /* an array of so many worlds; of these at a time */
    int lead;            /* seconds before the end that a world is told to stop */
    int tries;           /* of a world that breaks or cannot make some clips */
    const char *time, *partition, *account, *qos, *constraint, *name, *log; /* as sbatch has them */
    const char *mpi;                                                        /* of srun */
    const char *program;                                                    /* path */
    const char *container; /* of Apptainer; NULL: none */
    const char *folder;    /* that relative paths are relative to */
    const char *queue;     /* URL; NULL: the jobs */
    char *const *jobs;
    int job_count;
    char *const *rest; /* further options of `render` or `work` */
    int rest_count;
};

/* ---- launch_quote.c ---- */

/* A word for a POSIX shell, which takes it for just this text, whatever is in it. */
void launch_add_word(struct strbuf *to, const char *word);

/* A line that begins #SBATCH, for an option of sbatch; NULL: none. ST_ARG for what such a line
 * cannot hold: quotes, backslashes, control characters; `asked`: what it is called here. */
status launch_add_sbatch(struct strbuf *to, const char *asked, const char *option,
                         const char *value) MUST_USE;

/* ---- launch_slurm.c ---- */

/* The whole script. ST_ARG, ST_NOMEM. */
status launch_slurm(struct strbuf *to, const struct launch *l) MUST_USE;

/* ---- launch_submit.c ---- */

/* Hand the script to `sbatch`, which says on stdout what has become of it. ST_IO if there is none,
 * or it refuses. */
status launch_submit(const struct strbuf *script) MUST_USE;

#endif /* LAUNCH_INTERNAL_H */
