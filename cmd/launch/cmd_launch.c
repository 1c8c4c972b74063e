/* cmd_launch.c - a script that starts worlds on a site's machines. */
#include "base/file.h"
#include "cmd/cmd.h"
#include "cmd/launch/launch_internal.h"
#include "cmd/opts.h"
#include "cmd/queue/queue_url.h"
#include "jobs/spec/job.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

/* What stands behind `--` is for `render` and `work`. */
static void split_rest(struct launch *l, int *argc, char **argv)
{
    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], "--") != 0) continue;
        l->rest = argv + i + 1;
        l->rest_count = *argc - i - 1;
        *argc = i;
    }
}

static status parse_launch(struct launch *l, bool *submit, int *argc, char **argv, bool *help)
{
    struct opt const table[] = {
        { "nodes", OPT_INT, &l->nodes, .value = "N", .help = "machines of a world", .min = 1,
          .max = 65536 },
        { "ranks-per-node", OPT_INT, &l->ranks_per_node, .value = "R",
          .help = "ranks on each; 0: one a card, or one", .min = 0, .max = 256 },
        { "gpus-per-node", OPT_INT, &l->gpus_per_node, .value = "G", .help = "cards on each",
          .min = 0, .max = 256 },
        { "cpus-per-rank", OPT_INT, &l->cpus_per_rank, .value = "C",
          .help = "processors of a rank; 0: the site's choice", .min = 0, .max = 4096 },
        { "worlds", OPT_INT, &l->worlds, .value = "W",
          .help = "an array of so many worlds: each pulls from the queue, or renders its part",
          .min = 1, .max = 100000 },
        { "at-once", OPT_INT, &l->at_once, .value = "K", .help = "of these at a time; 0: all",
          .min = 0, .max = 100000 },
        { "queue", OPT_TEXT, &l->queue, .value = "URL",
          .help = "worlds that pull from a queue, instead of jobs" },
        { "time", OPT_TEXT, &l->time, .value = "T", .help = "limit, as sbatch has it: 08:00:00" },
        { "lead", OPT_INT, &l->lead, .value = "S",
          .help = "seconds before the limit that a world is told to stop", .min = 1, .max = 65535 },
        { "tries", OPT_INT, &l->tries, .value = "N",
          .help = "a world that breaks is begun again so many times", .min = 0, .max = 1000 },
        { "partition", OPT_TEXT, &l->partition, .value = "P", .help = "as sbatch has it" },
        { "account", OPT_TEXT, &l->account, .value = "A", .help = "as sbatch has it" },
        { "qos", OPT_TEXT, &l->qos, .value = "Q", .help = "as sbatch has it" },
        { "constraint", OPT_TEXT, &l->constraint, .value = "C", .help = "as sbatch has it" },
        { "name", OPT_TEXT, &l->name, .value = "NAME", .help = "of the job in Slurm" },
        { "log", OPT_TEXT, &l->log, .value = "FILE", .help = "with %j for the job's number" },
        { "mpi", OPT_TEXT, &l->mpi, .value = "TYPE", .help = "what srun connects ranks by" },
        { "container", OPT_TEXT, &l->container, .value = "IMAGE",
          .help = "run in this image of Apptainer" },
        { "program", OPT_TEXT, &l->program, .value = "PATH",
          .help =
              "rollmill on those machines; if nothing is said this one, in an image: rollmill" },
        { "submit", OPT_FLAG, submit, .help = "hand the script to sbatch instead of printing it" },
    };
    struct opts const opts = {
        .usage = "launch slurm --nodes N [options] JOB.yaml... | --queue URL [-- OPTION...]",
        .about =
            "Print a script for sbatch that runs worlds of N machines each. What follows -- is\n"
            "for `render` and `work`. A world that is stopped, or out of time, is put back.\n",
        .table = table,
        .count = COUNT_OF(table),
    };

    return opts_parse(&opts, argc, argv, help);
}

/* One of the two, and jobs that can be read: a batch system says so hours later. */
static status check_launch(const struct launch *l)
{
    if (!l->queue == !l->job_count)
        return fail(ST_ARG, "launch takes jobs, or --queue URL; found %s",
                    l->queue ? "both" : "neither");
    if (l->nodes < 1) return fail(ST_ARG, "launch needs --nodes, the machines of a world");
    for (int i = 0; i < l->job_count; i++) {
        struct job_file f;
        TRY(job_load(&f, l->jobs[i]));
        job_close(&f);
    }
    return ST_OK;
}

/* What stands where nothing was said. */
static status fill_launch(struct launch *l, char folder[PATH_BYTES], char self[PATH_BYTES])
{
    ssize_t const n = readlink("/proc/self/exe", self, PATH_BYTES - 1);

    if (!getcwd(folder, PATH_BYTES)) return fail(ST_IO, "this folder: %s", strerror(errno));
    if (n < 0) return fail(ST_IO, "this program's path: %s", strerror(errno));
    self[n] = '\0';
    l->folder = folder;
    if (!l->program) l->program = l->container ? "rollmill" : self;
    if (!l->ranks_per_node) l->ranks_per_node = l->gpus_per_node ? l->gpus_per_node : 1;
    if (!l->log) l->log = l->worlds > 1 ? "rollmill-%A-%a.log" : "rollmill-%j.log";
    return ST_OK;
}

/* A password in the URL is refused, as everywhere. */
static status launch(const struct launch *asked, bool submit)
{
    char folder[PATH_BYTES], self[PATH_BYTES], *url = NULL;
    struct launch l = *asked;
    struct strbuf script = { 0 };
    status st = ST_OK;

    TRY(check_launch(&l));
    TRY(fill_launch(&l, folder, self));
    if (l.queue) TRY(queue_url_find(&url, l.queue));
    TRY_OUT(launch_slurm(&script, &l));
    if (submit) st = launch_submit(&script);
    else fputs(script.s, stdout);
out:
    strbuf_free(&script);
    free(url);
    return st;
}

status cmd_launch(int argc, char **argv)
{
    struct launch l = { .worlds = 1, .lead = 180, .tries = 3, .name = "rollmill", .mpi = "pmix" };
    bool submit = false, help;

    split_rest(&l, &argc, argv);
    TRY(parse_launch(&l, &submit, &argc, argv, &help));
    if (help) return ST_OK;
    if (argc < 2 || strcmp(argv[1], "slurm") != 0)
        return fail(ST_ARG, "launch %s: allowed: slurm", argc < 2 ? "" : argv[1]);
    l.jobs = argv + 2;
    l.job_count = argc - 2;
    return launch(&l, submit);
}
