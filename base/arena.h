/* arena.h - one block of memory, handed out in order, taken back at once. */
#ifndef ARENA_H
#define ARENA_H

#include "base/base.h"

/*
 * An arena lives in one of three ways:
 *   measuring  base == NULL: counts bytes and hands out no memory
 *   host       base is memory of this process
 *   device     base is device memory; the arena itself never touches it
 *
 * The same layout function is run twice, first over a measuring arena and then
 * over a real one, so the size asked for and the size used cannot drift.
 * One owner, one thread. Nothing in an arena is freed one by one.
 */
struct arena {
    const char *name;       /* for messages and for the memory report; borrowed */
    unsigned char *base;    /* NULL while measuring */
    size_t cap, used, peak; /* bytes */
};

enum { ARENA_ALIGN = 256 }; /* bytes; covers TMA, AMX rows and any vector load */

void arena_measure(struct arena *a, const char *name);
void arena_over(struct arena *a, const char *name, void *base, size_t cap);

/* Give `bytes` a place aligned to ARENA_ALIGN. *at is NULL while measuring.
 * ST_NOMEM when full, with the arena's name and the numbers. */
status arena_take(struct arena *a, size_t bytes, void **at) MUST_USE;

/* Take back everything placed since the mark (scratch of one tick). */
size_t arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, size_t mark);

#endif /* ARENA_H */
