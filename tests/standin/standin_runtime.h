/* standin_runtime.h - what the runtime's stand-in shares, with the toolkit's own types. */
#ifndef STANDIN_RUNTIME_H
#define STANDIN_RUNTIME_H

#include "tests/standin/standin.h"

#include <cuda_runtime_api.h>

enum { STANDIN_DEVICES = 64 }; /* at most */

/* Where a pointer of the host points, as memory of this thread's device; whose memory a pointer to
 * a device's is. */
void *standin_tagged(void *host);
int standin_device_of(const void *p);

size_t standin_memory(void); /* bytes of a device's */

/* What goes wrong is what this thread is told last. Returns e. */
cudaError_t standin_note_error(cudaError_t e);

#endif /* STANDIN_RUNTIME_H */
