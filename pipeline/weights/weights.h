/*
 * weights.h - a checkpoint as a list of named tensors.
 *
 * Three forms: safetensors and GGUF (mapped, never copied) and torch zip files (.pt, .pth;
 * the pickle is read by a closed list of opcodes, never executed); each in one file or in
 * several with an index. A file is untrusted: every size and offset is checked before it is
 * used. What a file holds beside the tensors that are asked for is listed and does no harm.
 */
#ifndef WEIGHTS_H
#define WEIGHTS_H

#include "base/digest.h"
#include "kernels/tensor.h"

struct weights;

enum {
    WEIGHT_DIMS = 16,
    WEIGHT_DTYPE = 16,                        /* bytes of a dtype's name, its NUL among them */
    WEIGHT_SHAPE = 8 + WEIGHT_DIMS * (20 + 2) /* of a shape as text */
};

/* Whose names a file's tensors are turned into: those of the Wan release (tensor_name.c). */
enum weights_family {
    WEIGHTS_ANY, /* as they are, without the prefixes of wrappers (`model.`, `_orig_mod.` ...) */
    WEIGHTS_DIT,
    WEIGHTS_TEXT,
    WEIGHTS_VAE,
    WEIGHTS_LORA, /* an adapter of a DIT */
};

/* Where in a folder such a model is looked for: `inside` of file_set_open. */
const char *const *weights_folders(enum weights_family family);

/* A tensor as its file states it. */
struct weight_info {
    const char *name;         /* as models ask for it */
    const char *raw;          /* as the file has it */
    bool twin;                /* the file has another tensor of this name, which is as good */
    char dtype[WEIGHT_DTYPE]; /* as safetensors writes it: "F32", "F8_E4M3" */
    int ndim;
    int64_t dim[WEIGHT_DIMS];
    int64_t count;  /* elements */
    size_t element; /* bytes of one; 0: a type whose size is not known */
    size_t bytes;

    /* Whether its bytes are numbers of a dtype that tensors have: t is then its dtype and shape,
     * with data NULL. Of another t has no elements: U8 [0]. */
    bool usable;
    struct tensor t;

    int scale;           /* the tensor that multiplies it; -1: none */
    double scale_factor; /* of that tensor's numbers */
    bool loose;          /* the form keeps no dimensions of 1, nor more than four */
};

/* Does it have this shape, as far as its form can tell? */
bool weight_has_shape(const struct weight_info *w, int ndim, const int64_t *dim);

/* "[2, 3]", as tensor_shape. */
const char *weight_shape(const struct weight_info *w, char buf[WEIGHT_SHAPE]);

/* Open a checkpoint by its content, not by its name. `path`: a file, an index of shards, or a
 * folder that has one of these (file_set.h). `outer_key` picks one dict of a torch file
 * ("generator_ema"), or in any form the tensors whose names begin with it and a dot; NULL takes
 * generator_ema, else generator, else one that is known to hold tensors, else the file's own dict,
 * and all names.
 * ST_FORMAT says what in the file is wrong. Whoever opens, closes. */
struct weights_request {
    const char *path, *outer_key;
    enum weights_family family;
};
status weights_open_as(struct weights **out, const struct weights_request *r) MUST_USE;

/* The same for WEIGHTS_ANY. */
status weights_open(struct weights **out, const char *path, const char *outer_key) MUST_USE;
void weights_close(struct weights **w); /* NULL is fine; sets NULL */

const char *weights_path(const struct weights *w);
const char *weights_outer_key(const struct weights *w); /* "" if the file has none */
const char *weights_form(const struct weights *w);      /* "safetensors", "torch", "GGUF" */
int weights_files(const struct weights *w);             /* of how many files it is made */
int weights_count(const struct weights *w);
const struct weight_info *weights_at(const struct weights *w, int i); /* in file order */
int weights_find(const struct weights *w, const char *name);          /* -1: not there */

/* The bytes of tensor i, row-major and contiguous, weights_at(i)->bytes of them. They lie in the
 * mapped file (safetensors; valid until close) or in a buffer of w's (torch; valid until the next
 * fetch). ST_FORMAT if a checksum is wrong. */
status weights_fetch(struct weights *w, int i, const void **data) MUST_USE;

/* What keeps tensor i from being read as numbers: "I8 without a tensor of scales"; NULL: nothing.
 * Text is the calling thread's, valid until its next call. */
const char *weights_unread(const struct weights *w, int i);

/* Are tensor i's bytes its numbers: a float dtype, no scale, nothing added? */
bool weights_plain(const struct weights *w, int i);

/* Elements first .. first + count - 1 of tensor i as F32: converted from its dtype, scaled, and
 * with what adapters add to it. Of a scaled or adapted one, whole rows of its first dimension.
 * ST_FORMAT if it cannot be read. */
status weights_read(struct weights *w, int i, int64_t first, int64_t count, float *to) MUST_USE;

/* A LoRA: to the weight W of a layer it adds scale * alpha / rank * B A, in F32, from the dtypes
 * of both files; or, in the form of whole differences, scale times those. */
struct weight_adapter {
    const char *path, *outer_key;
    int rank;     /* 0: as its shapes say */
    double alpha; /* 0: as the file says */
    double scale; /* 0: 1 */
};

/* From now on weights_read gives the sum. ST_FORMAT with all that is wrong, one a line: what
 * belongs to no tensor of w or does not fit it, a rank that is not that of the shapes, an alpha
 * that is given nowhere. */
status weights_add_adapter(struct weights *w, const struct weight_adapter *a) MUST_USE;

/* What a checkpoint holds, as a number. The hash of a tensor is the SHA-256 of its bytes,
 * row-major and little-endian. The hash of a file is the SHA-256 of one line per tensor, ordered
 * by name as strcmp does, each "NAME DTYPE SHAPE HASH\n" with the shape as "[2, 3]" and the
 * tensor's hash in full. The same weights have the same hash in either file form.
 *
 * Reads the whole file. Entry i of `each` gets the hash of tensor i; NULL if only the file's is
 * wanted. Not in the bare build. */
status weights_hash(struct weights *w, char all[DIGEST_HEX], char (*each)[DIGEST_HEX]) MUST_USE;

#endif /* WEIGHTS_H */
