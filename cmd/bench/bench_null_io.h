/* bench_null_io.h - a line by itself, to time one rank's work without the exchange and without
 * what becomes of it. Private to cmd/bench_*.c. */
#ifndef BENCH_NULL_IO_H
#define BENCH_NULL_IO_H

#include "pipeline/line/line.h"

/* With noise and context of its own: one prompt, and nobody who wants the blocks. */
struct line_io bench_silent_io(struct line_io own);

#endif /* BENCH_NULL_IO_H */
