/*
 * log.h - lines for people, on stderr.
 *
 * One write(2) per line, so lines of several threads or ranks never mix. Data
 * goes to stdout and never through here.
 */
#ifndef LOG_H
#define LOG_H

#include "base/base.h"

enum log_level { LOG_QUIET, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level); /* LOG_INFO until set; call before threads start */

/* This thread speaks for a rank. Rank 0's lines are plain; those of others begin "[rank]",
 * and what is only for information is left to rank 0. -1: no rank. */
void log_set_rank(int rank);
int log_rank(void); /* as set; -1: none */

void log_error(const char *fmt, ...) PRINTF_LIKE(1, 2); /* at every level */
void log_warn(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_info(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_debug(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif /* LOG_H */
