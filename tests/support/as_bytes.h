/* as_bytes.h - float pictures to bytes, for tests. */
#ifndef AS_BYTES_H
#define AS_BYTES_H

#include "kernels/pixels.h"

/* rgb: [count, height, width, 3]. What is nobody's is 0xee. free_bytes when done. */
struct pictures as_bytes(const float *rgb, int count, const struct pixels_layout *layout);
void free_bytes(struct pictures *p);

/* Poisoned room for so many. */
unsigned char *room_for_bytes(int count, const struct pixels_layout *layout);

#endif /* AS_BYTES_H */
