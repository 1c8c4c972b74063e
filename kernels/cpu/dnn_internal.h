/* dnn_internal.h - what oneDNN 2 and 3 describe each in its own way. Private to dnn*.c. */
#ifndef DNN_INTERNAL_H
#define DNN_INTERNAL_H

#include "kernels/cpu/cpu_tile.h"
#include <oneapi/dnnl/dnnl.h>

/* Describe the tile s, with scratch memory given by the caller. Packed weights
 * have the form that `form` (a description made here) wants, or, if that is
 * NULL, the form the library likes best. */
dnnl_status_t dnn_describe(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                           const struct dnn_shape *s, const_dnnl_primitive_desc_t form);

/* Describe the packing of dense weights into the form that `form` wants. */
dnnl_status_t dnn_describe_pack(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                const struct dnn_shape *s, const_dnnl_primitive_desc_t form);

#endif /* DNN_INTERNAL_H */
