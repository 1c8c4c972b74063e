/* hanging_backend.h - the processor's backend, of which one call never returns. */
#ifndef HANGING_BACKEND_H
#define HANGING_BACKEND_H

#include "kernels/kern.h"

/* Whose call it is: the opening of any part, a stage's, the decoder's, the text encoder's. */
enum hang { HANG_OPEN, HANG_LINE, HANG_DECODE, HANG_TEXT, HANGS };

/* One of a kind: a second call changes the first one's. */
const struct kern_backend *hanging_backend(enum hang where);

#endif /* HANGING_BACKEND_H */
