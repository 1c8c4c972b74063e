/* kern_registry.h - the backends of this build that compute on the processor: kern_registry.c, or
 * kern_registry_stub.c where the libraries for a fast one are not there. */
#ifndef KERN_REGISTRY_H
#define KERN_REGISTRY_H

#include "kernels/kern.h"

/* The oracle first; NULL behind the last. */
const struct kern_backend *kern_host_at(int i);

#endif /* KERN_REGISTRY_H */
