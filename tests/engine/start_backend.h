/*
 * start_backend.h - the processor's backend, whose calls for clips' starts are watched and, where
 * it is asked for, go wrong.
 */
#ifndef START_BACKEND_H
#define START_BACKEND_H

#include "kernels/kern.h"

#include <stdatomic.h>

/* What comes of the first latent frame that a start is encoded to. */
enum start_fault {
    START_NO_NUMBER, /* it is not finite */
    START_CARD,      /* the encoder's card fails */
    START_WAIT,      /* it waits until it is let go */
    START_STOP,      /* a stop is asked for, and it waits until the world has heard of that */
    START_BREAK,     /* the line's card fails, likewise */
    START_MEMORY,    /* none: the first encoder cannot be opened */
};

struct start_watch {
    enum start_fault fault;
    atomic_bool *const *stop;   /* START_STOP: set */
    bool (*is_over)(void);      /* START_STOP, START_BREAK: has the world heard of it? */
    atomic_int frames, opened;  /* latent frames encoded; encoders opened */
    atomic_bool begun;          /* a start is being encoded */
    atomic_bool let_go, broken; /* set by the test, the line's card by START_BREAK */
    atomic_bool waited_in_vain;
};

/* One of a kind: a second call changes the first one's. w: borrowed. */
const struct kern_backend *start_backend(struct start_watch *w);

#endif /* START_BACKEND_H */
