/*
 * weight_bind.h - the tensors a model wants, by name, and how they get their place.
 *
 * A model lists its tensors once. The same list is checked against a file (all
 * that is missing or mis-shaped is reported at once), measured, placed, and
 * loaded, so none of the four can forget one. What a file has beside is left alone.
 */
#ifndef WEIGHT_BIND_H
#define WEIGHT_BIND_H

#include "kernels/kern.h"
#include "pipeline/weights/weights.h"

enum { BIND_NAME = 96 };

/* One tensor of the file and where (a part of) it goes. */
struct bind_slot {
    char name[BIND_NAME];
    int ndim; /* shape in the file */
    int64_t dim[TENSOR_DIMS];
    int64_t first_row, rows; /* the part of dim[0] that is meant; rows 0: all of it */

    /* Exactly one is set. Both are borrowed and get their shape and place here. */
    struct kern_weight *weight; /* packed for a matrix product or convolution, in `dtype` */
    struct tensor *vector;      /* in the shape of the list, as F32, memory of the backend */
    enum kern_use use;          /* of weight; KERN_LINEAR folds [n, k, 1, 1...] to [n, k],
                                * the others take [cout, cin, kh, kw] as kt = 1 */
    enum dtype dtype;           /* of weight: DT_F32 or DT_BF16 */
};

/* Zero-initialise; bind_free when done. Running out of memory is remembered and
 * reported by the functions below. */
struct bind_list {
    struct bind_slot *slot;
    int count, room;
    bool failed;
};

/* Add a tensor. `fmt` makes the name; the slot's other fields are taken from
 * `like` (its name is ignored). */
void bind_add(struct bind_list *l, const struct bind_slot *like, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
void bind_free(struct bind_list *l);

/* Compare with the file. ST_FORMAT with all that is missing, has another shape, cannot be read or
 * stands there twice, one a line; if the file has nothing that is wanted, with what it seems to
 * be. Several slots may name the same tensor (its parts). */
status bind_check(const struct bind_list *l, const struct weights *w) MUST_USE;

/* "it seems to be a VAE". Static text. */
const char *bind_guess(const struct weights *w);

/* Shape and place every slot's target in the arena (measuring or real). */
status bind_place(const struct bind_list *l, const struct kern_backend *backend,
                  struct arena *a) MUST_USE;

/* Read every slot from the file into its place, dequantised and with what adapters add.
 * ST_FORMAT if a value is not finite, with the tensor's name and the element. */
status bind_load(const struct bind_list *l, struct weights *w, struct kern_ctx *ctx) MUST_USE;

/* What stands before a dot and `name` in a name of the file, as an outer key that would bring it
 * out: the one of number `which`, from 0. False: there is none. */
enum { BIND_PREFIX = 128 };
bool bind_prefix(const struct weights *w, const char *name, int which, char out[BIND_PREFIX]);

#endif /* WEIGHT_BIND_H */
