/* cmd_doctor.c - every check of the machine, one after another. */
#include "cmd/cmd.h"
#include "cmd/doctor/doctor_internal.h"
#include "cmd/opts.h"

#include <stdio.h>

static void (*const checks[])(struct doctor *) = {
    doctor_cpu, doctor_memory, doctor_card, doctor_limits, doctor_disk, doctor_media,
};

status cmd_doctor(int argc, char **argv)
{
    struct doctor d = { .dir = "." };
    struct opt const table[] = {
        { "dir", OPT_TEXT, &d.dir, .value = "DIR",
          .help = "where clips would go; a folder is made in it and removed" },
    };
    struct opts const o = {
        .usage = "doctor [options]",
        .about =
            "Look at this machine and say what would keep it from rendering, one line a finding.\n"
            "Exit code 1 if one of them is FAIL.\n",
        .table = table,
        .count = COUNT_OF(table),
    };
    bool help;

    TRY(opts_parse(&o, &argc, argv, &help));
    if (help) return ST_OK;
    if (argc > 1) return fail(ST_ARG, "doctor takes no %s; see --help", argv[1]);
    for (int i = 0; i < COUNT_OF(checks); i++) checks[i](&d);
    if (d.failures) return fail(ST_IO, "%d FAIL, %d warn", d.failures, d.warnings);
    return ST_OK;
}
