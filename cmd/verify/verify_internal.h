/* verify_internal.h - what the kinds of golden cases share. */
#ifndef VERIFY_INTERNAL_H
#define VERIFY_INTERNAL_H

#include "base/json_tree.h"
#include "kernels/kern.h"
#include "pipeline/line/line.h"
#include "pipeline/weights/weights.h"

struct verify_options {
    const struct kern_backend *backend;
    enum dtype precision; /* DT_F32 or DT_BF16 */
    struct comm *world;   /* the ranks that share out a line */
    int threads;          /* of this rank */
    int device;           /* the same; see kern_config */
    struct line_mode mode;
};

/* Tensors in host memory under the names of expected.safetensors. */
struct verify_tensor {
    char *name;
    struct tensor t; /* data is malloc'ed */
};
struct verify_set {
    struct verify_tensor *item;
    int count;
};

/* One folder with case.json, model/, inputs and expected tensors. */
struct verify_case {
    const char *dir;
    char
        *shared; /* folder of the case that lends its model, and inputs where this has none; NULL */
    struct json_node *json;
    struct weights *inputs, *expected; /* NULL where the kind has none */
    struct verify_options o;
    struct verify_set computed;
    bool one_by_one; /* a clip whose blocks are denoised one after another */
    bool by_line;    /* computed by the line: what it and its transformer round to FP8 shows */
    int mismatches;  /* of a kind's own checks, already printed */
};

/* A number of case.json. ST_FORMAT with file and key if it is missing or out of range. */
status verify_int(const struct verify_case *c, const char *key, int min, int max,
                  int *out) MUST_USE;

/* An input as host floats, malloc'ed; caller frees. ST_FORMAT unless it is there
 * with exactly this shape (dimensions of 1 in front do not count); of another case's inputs the
 * first frames are taken. */
status verify_input(struct verify_case *c, const char *name, int ndim, const int64_t *dim,
                    float **out) MUST_USE;

/* Shape of an input. ST_FORMAT if it is not there. */
status verify_input_shape(struct verify_case *c, const char *name, struct tensor *out) MUST_USE;

/* Room for a computed tensor, filled with NaN. *out stays the set's. */
status verify_add(struct verify_case *c, const char *name, int ndim, const int64_t *dim,
                  float **out) MUST_USE;

/* Path of a file in model/, the case's own or the one it shares, malloc'ed; caller frees. NULL when
 * out of memory. */
char *verify_model(const struct verify_case *c, const char *name);

/* [all] What every rank has computed, together on rank 0. Each element is computed by
 * one rank, or alike by several; the others left it NaN. */
status verify_gather(struct verify_case *c) MUST_USE;

/* ST_FORMAT for a key of case.json that is not among these, or no policy's. */
status verify_keys(const struct verify_case *c, const char *const *known, int count) MUST_USE;

/* A rolling case's steps, and its window with its policy; a key of case.json that neither knows is
 * refused. Sets one_by_one. */
status verify_read_schedule(struct verify_case *c, struct schedule *out) MUST_USE;
status verify_read_policy(struct verify_case *c, int levels, struct kv_policy *out) MUST_USE;

/* What passes were recorded to attend to. */
struct verify_slots {
    int levels, frames; /* of a block */
    int64_t blocks;     /* of the clip */
    int64_t tokens;     /* of a frame */
    bool rounded;       /* rows are chosen by scores of bf16: a choice may be another */
    struct weights *trace;
    struct verify_pass *pass;
    int count;
};

/* Recorded passes, if there are any, with room among what is computed; whoever reads, frees. */
status verify_slots_read(struct verify_case *c, struct verify_slots *s) MUST_USE;
void verify_slots_free(struct verify_slots *s); /* safe on a zeroed one */

/* For line_io.attends; then, when all ranks' are gathered, what differs is printed and counted. */
void verify_slots_attends(const struct verify_slots *s, const struct line_attends *a);
void verify_slots_compare(struct verify_case *c, const struct verify_slots *s, const char *what);

/* The case's adapters; paths are owned, whoever reads, frees. */
enum { VERIFY_LORAS = 16 };
struct verify_loras {
    struct weight_adapter at[VERIFY_LORAS];
    int count;
};
status verify_loras_read(const struct verify_case *c, struct verify_loras *out) MUST_USE;
void verify_loras_free(struct verify_loras *l); /* safe on a zeroed one */

/* Is this file of model/ one of them, and so no model? */
bool verify_is_lora(const struct verify_case *c, const char *name);

/* Each computes what the case asks for into c->computed. */
/* [all] weights: a file in model/; what: the case's name in what is printed. */
status verify_rolling(struct verify_case *c, const char *weights, const char *what) MUST_USE;
status verify_ema(struct verify_case *c) MUST_USE; /* the average of an averaged sink alone */
status verify_vae(struct verify_case *c) MUST_USE;
status verify_text(struct verify_case *c) MUST_USE;
status verify_tokenizer(struct verify_case *c) MUST_USE;

/* Does the folder seem to be a finished clip's? Read all of one and print what is wrong with it;
 * *bad counts those that are damaged. */
bool verify_is_clip(const char *dir);
status verify_clip(const char *dir, int *bad) MUST_USE;

#endif /* VERIFY_INTERNAL_H */
