/* standin_dnn.h - the stand-in for cuDNN: what its files share. */
#ifndef STANDIN_DNN_H
#define STANDIN_DNN_H

#include <stdbool.h>
#include <stdint.h>

/* Numbers wherever strides, in elements, say; on the host. */
enum { STANDIN_TENSOR_DIMS = 8 };
struct standin_tensor {
    void *at;  /* NULL: none */
    bool bf16; /* else F32 */
    int ndim;
    int64_t dim[STANDIN_TENSOR_DIMS], stride[STANDIN_TENSOR_DIMS];
};

/* o = softmax(scale q k^T) v, and log(sum exp(scale q k)) to stats; [b, h, rows, columns] each.
 * As cuDNN does, the weights are rounded to bf16 for the second product, their sum is not. */
struct standin_sdpa {
    struct standin_tensor q, k, v, o, stats;
    float scale;
};
void standin_sdpa(const struct standin_sdpa *a);

/* y = cross-correlation of x and w over time, height and width, summed in f64 and rounded once
 * to y's type. [n, c, t, h, w] each. Ends the process if y's dimensions are not what the others
 * imply. */
enum { STANDIN_SPACE = 3 };
struct standin_conv {
    struct standin_tensor x, w, y;
    int64_t pad_lo[STANDIN_SPACE], pad_hi[STANDIN_SPACE], stride[STANDIN_SPACE];
};
void standin_conv(const struct standin_conv *c);

/* y = a + b in F32; five dimensions each, those of b that are 1 are repeated. y may be a or b. */
void standin_add(const struct standin_tensor *a, const struct standin_tensor *b,
                 const struct standin_tensor *y);

#endif /* STANDIN_DNN_H */
