/*
 * start_backend.h - the processor's backend, whose calls for clips' starts are watched and, where
 * it is asked for, go wrong.
 */
#ifndef START_BACKEND_H
#define START_BACKEND_H

#include "kernels/kern.h"

#include <stdatomic.h>

/* What comes of the first latent frame that a start is encoded to: it is no number, the card fails,
 * it waits until it is let go; a stop is asked for, the line's card fails, and it waits until the
 * world has heard of that. Of memory: the first encoder cannot be opened. */
enum deed { DEED_NO_NUMBER, DEED_CARD, DEED_WAIT, DEED_STOP, DEED_BREAK, DEED_MEMORY };

struct start_watch {
    enum deed deed;
    atomic_bool *const *stop;   /* DEED_STOP: set */
    bool (*is_over)(void);      /* DEED_STOP, DEED_BREAK: has the world heard of it? */
    atomic_int frames, opened;  /* latent frames encoded; encoders opened */
    atomic_bool begun;          /* a start is being encoded */
    atomic_bool let_go, broken; /* set by the test, the line's card by DEED_BREAK */
    atomic_bool waited_in_vain;
};

/* One of a kind: a second call changes the first one's. w: borrowed. */
const struct kern_backend *start_backend(struct start_watch *w);

#endif /* START_BACKEND_H */
