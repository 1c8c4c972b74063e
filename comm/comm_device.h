/* comm_device.h - what a transport asks of a card beside streams and events. */
#ifndef COMM_DEVICE_H
#define COMM_DEVICE_H

#include "base/base.h"
#include "kernels/memory.h"

/* host. From anywhere to anywhere, between cards too; any thread, and without regard to any
 * stream: what is read is there already. ST_DEVICE. */
status device_copy(const struct memory *m, void *to, const void *from, size_t bytes) MUST_USE;

/* Which card it is, whatever its number is here: its place on the machine's bus. ST_DEVICE. */
enum { DEVICE_PLACE = 32 };
status device_place(int device, char place[DEVICE_PLACE]) MUST_USE;

#endif /* COMM_DEVICE_H */
