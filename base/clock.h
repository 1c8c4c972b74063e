/* clock.h - how long things take. */
#ifndef CLOCK_H
#define CLOCK_H

/* Seconds of a clock that only moves forward; only differences mean something. */
double clock_seconds(void);

#endif /* CLOCK_H */
