/* duration.h - a span of video as people write it: "90s", "1.5m", "2h", or pictures, "1440f". */
#ifndef DURATION_H
#define DURATION_H

#include "jobs/yaml/yaml_tree.h"
#include "jobs/yaml/yaml_value.h"

/* One of the two is meant; the other is 0. Zero-initialised, no time at all. */
struct duration {
    int64_t micros;   /* of a time in s, m or h */
    int64_t pictures; /* of a number of frames */
};

enum { DURATION_HOURS = 24 }; /* the longest */

#define DURATION_FORM "a time up to 24h such as 90s, 1.5m, 2h, or frames such as 1440f"

/* At most six digits after the point. False: not of the stated form, or too long
 * (frames: more than 24 h at 240 a second). */
bool duration_parse(const char *s, struct duration *out);

/* The same of a node, as a FIELD_READ: `to` is a struct duration *. */
status duration_read(const struct tree_node *n, void *to) MUST_USE;

/* Pictures at this rate. A time falls between two: the nearest one (halves go up),
 * the first not before it, or the last not after it. */
int64_t duration_nearest(struct duration d, struct value_rate rate);
int64_t duration_up(struct duration d, struct value_rate rate);
int64_t duration_down(struct duration d, struct value_rate rate);

/* Is a clip of so many pictures neither empty nor too long? */
#define DURATION_LENGTHS "1 picture to 24h, as " DURATION_FORM
bool duration_is_length(int64_t pictures, struct value_rate rate);

/* As written, in its shortest form: "90s", "0.5s", "1440f". */
enum { DURATION_TEXT = 32 };
const char *duration_text(struct duration d, char buf[DURATION_TEXT]);

bool duration_is_zero(struct duration d);

#endif /* DURATION_H */
