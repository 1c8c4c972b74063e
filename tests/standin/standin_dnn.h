/* standin_dnn.h - the stand-in for cuDNN: what its files share. */
#ifndef STANDIN_DNN_H
#define STANDIN_DNN_H

#include "tests/standin/standin_number.h"

#include <stdio.h>
#include <stdlib.h>

/* Of what unit tests use too, where no other part of the stand-in is. */
static inline void standin_must(bool fits, const char *what)
{
    if (fits) return;
    fprintf(stderr, "stand-in for cuDNN: %s do not fit\n", what);
    abort();
}

/* Numbers wherever strides, in elements, say; on the host. */
enum { STANDIN_TENSOR_DIMS = 8 };
struct standin_tensor {
    void *at; /* NULL: none */
    enum standin_type type;
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

/* y = a how b, or how(a) where it takes one (b: none), in F32; dimensions of b that are 1 are
 * repeated. y may be a or b. */
enum standin_each { STANDIN_ADD, STANDIN_SUB, STANDIN_MUL, STANDIN_DIV, STANDIN_EXP, STANDIN_LOG };
void standin_each(enum standin_each how, const struct standin_tensor *a,
                  const struct standin_tensor *b, const struct standin_tensor *y);

/* Over all dimensions of x that are 1 in y; sums in f64, rounded once. AMAX: of magnitudes. */
enum standin_fold { STANDIN_MAX, STANDIN_SUM, STANDIN_AMAX };
void standin_fold(enum standin_fold how, const struct standin_tensor *x,
                  const struct standin_tensor *y);

/* y = a b, summed in f64 and rounded once; [b, h, m, k], [b, h, k, n], [b, h, m, n]. */
void standin_matmul(const struct standin_tensor *a, const struct standin_tensor *b,
                    const struct standin_tensor *y);

#endif /* STANDIN_DNN_H */
