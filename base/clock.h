/* clock.h - how long things take. */
#ifndef CLOCK_H
#define CLOCK_H

/* Seconds of a clock that only moves forward; only differences mean something. */
double clock_seconds(void);

/* The same of the processor's time that the calling thread took: it stands still while
 * the thread waits, or another one has the processor. */
double clock_thread_seconds(void);

/* The same of all threads of the process, those that have ended too. */
double clock_process_seconds(void);

#endif /* CLOCK_H */
