/*
 * process_mark.h - which process made something, so that whoever finds it can say whether that
 * process still lives.
 *
 * A mark is one line: boot, process namespace, process, its start, host. Of another machine, or
 * from before this one was started, or of another container, nothing can be said.
 */
#ifndef PROCESS_MARK_H
#define PROCESS_MARK_H

#include "base/base.h"

enum { PROCESS_MARK = 256, PROCESS_WORDS = 128 };

/* This process's. ST_IO where the system does not say. */
status process_mark(char mark[PROCESS_MARK]) MUST_USE;

enum process_state {
    PROCESS_LIVES,
    PROCESS_GONE,   /* started on this machine since its boot, and has ended; zombies too */
    PROCESS_UNKNOWN /* of another machine, or no mark */
};
enum process_state process_mark_state(const char *mark);

/* "process 123 on host": for messages. */
const char *process_mark_words(const char *mark, char buf[PROCESS_WORDS]);

#endif /* PROCESS_MARK_H */
