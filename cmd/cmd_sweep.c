/* cmd_sweep.c - remove what killed renders have left in the attempts folders. */
#include "base/file.h"
#include "base/log.h"
#include "cmd/cmd.h"
#include "cmd/opts.h"
#include "pipeline/output/attempts.h"

#include <stdio.h>

static status sweep_folder(const char *dir, bool all)
{
    struct attempts_found found;

    if (path_is_missing(dir)) return fail(ST_FORMAT, "%s: no such folder", dir);
    TRY(attempts_sweep(dir, all, &found));
    printf(
        "%s: %d attempts removed; %d of renders that run, %d to go on from, %d of other machines "
        "or without an owner, %d finished clips that could not be published\n",
        dir, found.removed, found.alive, found.resumable, found.unknown, found.finished);
    return ST_OK;
}

status cmd_sweep(int argc, char **argv)
{
    bool all = false, help;
    struct opt const table[] = {
        { "all", OPT_FLAG, &all,
          .help = "also resumable ones, and those of other machines, which may still run" },
    };
    struct opts const o = {
        .usage = "sweep OUT... [options]",
        .about =
            "Remove what killed renders have left in OUT/.attempts: render does it by itself when\n"
            "it begins. An attempt stays whose process runs, or that a render resumes,\n"
            "and so does a finished clip.\n",
        .table = table,
        .count = COUNT_OF(table),
    };

    TRY(opts_parse(&o, &argc, argv, &help));
    if (help) return ST_OK;
    if (argc < 2) return fail(ST_ARG, "sweep needs at least one output folder; see --help");
    for (int i = 1; i < argc; i++) TRY(sweep_folder(argv[i], all));
    return ST_OK;
}
