/* condition.h - a condition variable whose waits end by a clock that only moves forward. */
#ifndef CONDITION_H
#define CONDITION_H

#include <pthread.h>

/* Its timed waits take times of CLOCK_MONOTONIC. Whoever opens, destroys. */
void condvar_init(pthread_cond_t *c);

#endif /* CONDITION_H */
