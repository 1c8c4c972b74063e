/*
 * pickle.h - read a torch checkpoint's pickle as data.
 *
 * A pickle is a program for a stack machine. This reader knows the opcodes that
 * torch.save writes (protocol 2, and the framing and memo opcodes of 3 to 5) and
 * the calls it writes: OrderedDict(), torch._utils._rebuild_tensor_v2 and
 * _rebuild_parameter. It runs nothing; any other opcode or name is an error.
 * Memory is at most a fixed multiple of the pickle's size.
 * Opcodes: Python's pickletools.
 */
#ifndef PICKLE_H
#define PICKLE_H

#include "kernels/tensor.h"

enum {
    PICKLE_BYTES_MAX = 64 << 20, /* real ones stay below 2 MiB */
    PICKLE_VALUES_MAX = 1 << 20, /* values, items, stack and memo each */
    PICKLE_DEPTH_MAX = 64,       /* open marks */
};

enum pickle_kind {
    PICKLE_NONE,
    PICKLE_BOOL,
    PICKLE_INT,
    PICKLE_FLOAT,
    PICKLE_TEXT,
    PICKLE_TUPLE,
    PICKLE_LIST,
    PICKLE_DICT,
    PICKLE_GLOBAL,  /* one of the names allowed */
    PICKLE_STORAGE, /* a persistent id */
    PICKLE_TENSOR,
};

struct pickle_text {
    const char *s; /* lies in the pickle's bytes; not terminated */
    size_t len;
};

struct pickle_value {
    enum pickle_kind kind;
    union {
        int64_t number;          /* BOOL, INT; GLOBAL: which */
        double real;             /* FLOAT */
        struct pickle_text text; /* TEXT */
        struct {
            int first, last, count; /* TUPLE, LIST, DICT: chain in `item`; -1 ends */
        } chain;
        int at; /* STORAGE, TENSOR: index in `storage`, `tensor` */
    } as;
};

/* One place of a tuple, list or dict. A dict keeps a key that comes twice twice. */
struct pickle_item {
    int key; /* value index; -1 in tuples and lists */
    int value, next;
};

struct pickle_storage {
    struct pickle_text dtype; /* "FloatStorage" */
    struct pickle_text key;   /* its member of the zip file is data/KEY */
    int64_t count;            /* elements, as the file says */
};

/* Unchecked against its storage: whoever uses it, checks. */
struct pickle_tensor {
    int storage;
    int ndim;                                              /* at most TENSOR_DIMS */
    int64_t offset, dim[TENSOR_DIMS], stride[TENSOR_DIMS]; /* elements */
};

struct pickle {
    struct pickle_value *value;
    struct pickle_item *item;
    struct pickle_storage *storage;
    struct pickle_tensor *tensor;
    int values, items, storages, tensors;
    int root; /* index of the value the pickle stands for */
};

/* `bytes` must live as long as the pickle. `where` begins each message. ST_FORMAT
 * names the opcode or the global. Whoever reads, frees; after a failure there is
 * nothing to free. */
status pickle_read(struct pickle *out, const void *bytes, size_t len, const char *where) MUST_USE;
void pickle_free(struct pickle *p); /* safe on a zeroed one; zeroes it */

/* Value index of a text key's first entry in a dict; -1 if none or no dict. */
int pickle_get(const struct pickle *p, int dict, const char *key);

bool pickle_text_is(struct pickle_text t, const char *s);

#endif /* PICKLE_H */
