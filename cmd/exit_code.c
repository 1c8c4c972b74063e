/* exit_code.c - how a command's end is reported: the exit code, and words on stderr. */
#include "base/log.h"
#include "cmd/cmd.h"

/* 0 done, 1 failed, 2 wrong usage or bad file, 71 a rank hangs or the transport
 * failed, 75 stopped and may be resumed. */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_HUNG = 71, EXIT_STOPPED = 75 };

int cmd_exit_code(status st)
{
    switch (st) {
    case ST_OK: return EXIT_DONE;
    case ST_ARG:
    case ST_FORMAT: return EXIT_USAGE;
    case ST_COMM: return EXIT_HUNG;
    case ST_CANCELED: return EXIT_STOPPED;
    default: return EXIT_FAILED;
    }
}

void cmd_report(status st)
{
    const struct error *const e = error_last();

    if (st == ST_OK || e->st == ST_OK) return;
    if (st == ST_PEER) log_debug("%s: %s", status_name(st), e->msg);
    else log_error("%s: %s", status_name(st), e->msg);
    for (int i = 0; i < e->depth; i++)
        log_debug("  at %s:%d %s", e->at[i].file, e->at[i].line, e->at[i].expr);
    error_clear();
}
