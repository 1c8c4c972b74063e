/* memory.h - the card whose memory tensors lie in, and the stream its work is queued on. */
#ifndef MEMORY_H
#define MEMORY_H

struct memory {
    int device;   /* number of the card in this process, from 0 */
    void *stream; /* does not wait for the default stream, nor makes it wait */
};

#endif /* MEMORY_H */
