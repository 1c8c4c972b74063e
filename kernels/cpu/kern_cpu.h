/*
 * kern_cpu.h - the fast CPU backend: oneDNN tiles shared out over a pool.
 *
 * Tiles and rows have sizes that depend on the shapes alone, and each is
 * computed by one thread from beginning to end; so every result is the same
 * bit for bit for any number of threads, and several contexts in one process
 * take no more threads than they were given.
 */
#ifndef KERN_CPU_H
#define KERN_CPU_H

#include "kernels/kern.h"

extern const struct kern_backend kern_cpu_backend;

#endif /* KERN_CPU_H */
