/*
 * kern_device.h - the cards of this machine, for people: which there are, how much memory
 * they have, and what this program would compute on them with.
 *
 * Compiled from kern_device.c, or from kern_device_stub.c in a build without CUDA.
 */
#ifndef KERN_DEVICE_H
#define KERN_DEVICE_H

#include "base/base.h"

/* Why there is none to compute on; NULL: there is one. */
const char *kern_device_absent(void);
bool kern_device_built(void); /* with CUDA? */
int kern_device_count(void);  /* 0 where kern_device_absent says why */

struct kern_device {
    char name[256];
    int major, minor;      /* compute capability */
    int processors;        /* streaming multiprocessors */
    uint64_t memory, free; /* bytes: all of it, and not handed out by anybody */
    int clock_khz;         /* highest; 0: not known */
};
status kern_device_about(struct kern_device *out, int device) MUST_USE;

/* "runtime 13.0, driver up to 13.0, built with cuBLASLt 13.1.0, cuDNN 9.19.0"; says in a build
 * without CUDA that it is one. */
enum { KERN_DEVICE_TEXT = 160 };
const char *kern_device_libraries(char text[KERN_DEVICE_TEXT]);

#endif /* KERN_DEVICE_H */
