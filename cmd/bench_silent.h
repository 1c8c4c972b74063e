/* bench_silent.h - the other ranks of a line, who say nothing and take everything: to time
 * one rank's work without the exchange. Private to cmd/bench_*.c. */
#ifndef BENCH_SILENT_H
#define BENCH_SILENT_H

#include "comm/comm.h"

extern const struct comm_ops bench_silent; /* start, finish and agree alone */

#endif /* BENCH_SILENT_H */
