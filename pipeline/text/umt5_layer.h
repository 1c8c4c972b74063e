/* umt5_layer.h - the tensors of a UMT5 checkpoint: shape, names, places. */
#ifndef UMT5_LAYER_H
#define UMT5_LAYER_H

#include "pipeline/text/umt5.h"
#include "pipeline/weights/weight_bind.h"

enum { UMT5_MAX_DISTANCE = 128 }; /* from here on all distances share a bucket */

/* One layer's weights; every layer takes the same place in turn. */
struct umt5_layer {
    struct kern_weight q, k, v, o, gate, fc1, fc2;
    struct tensor norm1, norm2, positions; /* positions: [buckets, heads] */
};

/* The shape a file has, from its tensors, all of them checked. ST_FORMAT. */
status umt5_read_shape(struct umt5_shape *out, const struct weights *w) MUST_USE;

/* Add a layer's tensors, and the last norm. `precision` is the feed-forward's;
 * attention is F32 (umt5.h). */
void umt5_list_layer(struct bind_list *l, struct umt5_layer *to, const struct umt5_shape *s,
                     int layer, enum dtype precision);
void umt5_list_norm(struct bind_list *l, struct tensor *to, const struct umt5_shape *s);

#endif /* UMT5_LAYER_H */
