/* main.c - begin, find the command in cmd_table.c, run it. */
#include "base/file_guard.h"
#include "base/log.h"
#include "base/version.h"
#include "cmd/cmd.h"
#include "comm/comm.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_usage(FILE *to)
{
    fputs("rollmill renders long videos block by block, on a line of denoising stages.\n\n"
          "usage: rollmill COMMAND [options]     rollmill COMMAND --help\n\n",
          to);
    for (int i = 0; i < cmd_table_count; i++)
        fprintf(to, "  %-9s %s\n", cmd_table[i].name, cmd_table[i].what);
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

/* What a command printed must have arrived. A full disk shows at any write, and stdio keeps only
 * that one failed. */
static status check_printed(void)
{
    if (!fflush(stdout) && !ferror(stdout)) return ST_OK;
    return fail(ST_IO, "cannot write all of the output: stdout is full or nobody reads it");
}

static status run_command(int argc, char **argv)
{
    if (!strcmp(argv[1], "--version")) {
        printf("%s, commit %s\n", version_program, version_commit);
        return ST_OK;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        print_usage(stdout);
        return ST_OK;
    }
    for (int i = 0; i < cmd_table_count; i++)
        if (!strcmp(argv[1], cmd_table[i].name)) return cmd_table[i].run(argc - 1, argv + 1);
    fprintf(stderr, "rollmill: no command `%s`\n\n", argv[1]);
    print_usage(stderr);
    exit(cmd_exit_code(ST_ARG));
}

int main(int argc, char **argv)
{
    fill_standard_files();
    ignore_write_signals();
    file_guard_begin();
    if (set_log_level() != ST_OK) {
        cmd_report(ST_ARG);
        return cmd_exit_code(ST_ARG);
    }
    cmd_table_begin();
    log_set_rank(comm_launcher_rank());
    if (argc < 2) {
        print_usage(stderr);
        return cmd_exit_code(ST_ARG);
    }
    status st = run_command(argc, argv);
    if (st == ST_OK) st = check_printed();
    if (comm_launcher_rank() <= 0) cmd_report(st); /* wrong usage is the same on all */
    return cmd_exit_code(st);
}
