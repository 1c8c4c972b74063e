/* kern_host.h - the backends of this build that compute on the processor: kern_host.c, or
 * kern_host_none.c where the libraries for a fast one are not there. */
#ifndef KERN_HOST_H
#define KERN_HOST_H

#include "kernels/kern.h"

/* The oracle first; NULL behind the last. */
const struct kern_backend *kern_host_at(int i);

#endif /* KERN_HOST_H */
