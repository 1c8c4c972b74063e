/* yaml_value.h - numbers and sizes as people write them in a job. Each function takes
 * the whole text or none of it; false means that it is not of the stated form. */
#ifndef YAML_VALUE_H
#define YAML_VALUE_H

#include "base/base.h"

/* Digits only: no sign, no blanks, no leading zero but "0" itself, below 2^64. */
bool value_u64(const char *s, uint64_t *out);

/* Digits with at most one point between them, at most 9 on each side: "5", "0.25". */
bool value_decimal(const char *s, double *out);

/* "832x480": multiples of 16 from 16 to 8192. */
bool value_size(const char *s, int *width, int *height);

/* Pictures per second, "24" or "24000/1001": from 1, below 240, reduced. Parts up to 1000000. */
struct value_rate {
    int64_t num, den;
};
enum { VALUE_RATE_MAX = 240 }; /* below this */
bool value_rate(const char *s, struct value_rate *out);

#endif /* YAML_VALUE_H */
