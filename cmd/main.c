/* main.c - the command table. Each command is one file, cmd/cmd_NAME.c. */
#include "base/log.h"
#include "base/version.h"
#include "cmd/cmd.h"
#include "comm/comm.h"
#include "pipeline/codec.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct cmd cmds[] = {
    { "render", "render the clips of jobs, until all are done", cmd_render },
    { "check", "validate jobs and model cards, print the expanded plan", cmd_check },
    { "plan", "what each rank of a world would do, hold and exchange, and how fast", cmd_plan },
    { "verify", "run golden cases and print how far the results are off", cmd_verify },
    { "inspect", "list the tensors of a checkpoint: names, shapes, dtypes, bytes, a hash",
      cmd_inspect },
    { "bench", "time operations, layers and whole parts of a model", cmd_bench },
    { "doctor", "look at this machine: what stands in the way of a render", cmd_doctor },
};

static void usage(FILE *to)
{
    fputs("rollmill renders long videos block by block, on a line of denoising stages.\n\n"
          "usage: rollmill COMMAND [options]     rollmill COMMAND --help\n\n",
          to);
    for (int i = 0; i < COUNT_OF(cmds); i++) fprintf(to, "  %-9s %s\n", cmds[i].name, cmds[i].what);
}

/* ROLLMILL_LOG: quiet, warn, info or debug; debug shows the path of an error. */
static status set_log_level(void)
{
    static const char *const names[] = { "quiet", "warn", "info", "debug" };
    const char *const wanted = getenv("ROLLMILL_LOG");

    for (int i = 0; wanted && i < COUNT_OF(names); i++)
        if (!strcmp(wanted, names[i])) {
            log_set_level((enum log_level)i);
            return ST_OK;
        }
    if (!wanted) return ST_OK;
    return fail(ST_ARG, "ROLLMILL_LOG=%s: quiet, warn, info or debug is allowed", wanted);
}

/* A file opened later must not get number 0, 1 or 2: what is printed would go into it. */
static void fill_standard_files(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_WRONLY : O_RDONLY) != fd) _exit(1);
}

/* A file too large and a reader gone are errors of the write, not of the process. */
static void ignore_write_signals(void)
{
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
}

int main(int argc, char **argv)
{
    fill_standard_files();
    ignore_write_signals();
    if (set_log_level() != ST_OK) {
        cmd_report(ST_ARG);
        return cmd_exit_code(ST_ARG);
    }
    codec_quiet();
    log_set_rank(comm_launched_rank());
    if (argc < 2) {
        usage(stderr);
        return cmd_exit_code(ST_ARG);
    }
    if (!strcmp(argv[1], "--version")) {
        printf("%s, commit %s\n", version_program, version_commit);
        return EXIT_SUCCESS;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        usage(stdout);
        return EXIT_SUCCESS;
    }
    for (int i = 0; i < COUNT_OF(cmds); i++) {
        if (strcmp(argv[1], cmds[i].name)) continue;
        status const st = cmds[i].run(argc - 1, argv + 1);
        if (comm_launched_rank() <= 0) cmd_report(st); /* wrong usage is the same on all */
        return cmd_exit_code(st);
    }
    fprintf(stderr, "rollmill: no command `%s`\n\n", argv[1]);
    usage(stderr);
    return cmd_exit_code(ST_ARG);
}
