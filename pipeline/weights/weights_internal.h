/* weights_internal.h - what the files of pipeline/weights share: tensor names, the two file forms
 * and the readers under them, from the bottom up. */
#ifndef WEIGHTS_INTERNAL_H
#define WEIGHTS_INTERNAL_H

#include "base/base.h"
#include "base/file.h"
#include "kernels/tensor.h"
#include "pipeline/weights/weights.h"

/* ---- tensor_name.c ---- */

/* Tensor names, as files have them and as models ask for them. */

enum { NAME_MAX_BYTES = 255 };

/* A malloc'ed copy of a name from a file. ST_FORMAT if it is empty, too long or holds a control
 * character; `path` begins the message. */
status name_copy(char **out, const char *raw, size_t len, const char *path) MUST_USE;

/* The name by which a model of the family asks for a tensor that a file calls `raw`; malloc'ed,
 * caller frees; NULL when out of memory. *spare: a second copy of what a file has elsewhere. */
char *name_canonical(const char *raw, enum weights_family family, bool *spare);

/* What stands behind a layer's name in the name of the tensor that scales its weight. */
struct scale_rule {
    const char *end;
    double factor; /* of its numbers */
};
extern const struct scale_rule scale_rules[]; /* ended by NULL */

/* Text from a file as it may be shown: cut, and `?` for control characters. */
enum { NAME_SHOWN = 81 };
const char *name_show(char buf[NAME_SHOWN], const char *raw, size_t len);

/* ---- weight_info.c ---- */

/* Set all but the name, which is there already and is used in messages. `bytes` stays 0 where the
 * element's size is not known: the caller sets it. ndim is at most WEIGHT_DIMS. ST_FORMAT if the
 * dtype's name or the shape cannot be one. */
status weight_info_set(struct weight_info *w, const char *dtype, size_t dtype_len, int ndim,
                       const int64_t *dim, const char *path) MUST_USE;

/* ---- flat_file.c ---- */

/* A file whose tensors lie in it as they are: mapped, never copied. */

struct flat_entry {
    char *name;                /* as the file has it */
    struct weight_info info;   /* its name is `name` */
    const unsigned char *data; /* in the map, of any alignment */
};

struct flat_file {
    struct file_map map;
    struct flat_entry *entry;
    int count;
};

void flat_file_close(struct flat_file *f); /* safe on a zeroed one; zeroes it */

/* The entries in the order of their data; ST_FORMAT with the name of one that overlaps another. */
status flat_file_order(struct flat_file *f, const char *path) MUST_USE;

/* ---- safetensors.c ---- */

/* The header of a safetensors file, checked to the last byte.
 *
 *   8 bytes   length of the JSON header, little-endian
 *   JSON      {"name": {"dtype": "F32", "shape": [..], "data_offsets": [from, to]}, ...}
 *   data      the tensors, back to back
 *
 * The data must be covered exactly once: no hole, no overlap, nothing behind.
 * Format: github.com/huggingface/safetensors. */

/* Bytes, the format's own limit. Real headers stay below 1 MiB, those that carry a record of the
 * training in `__metadata__` reach ten. Read, one takes a few times its size; what is nothing but
 * brackets and commas takes 80 times, and only as much of it as is sound gets touched. */
enum { SAFETENSORS_HEADER_MAX = 100000000 };

/* True if a file that begins like this can be one: a brace behind eight bytes that are no text. */
bool safetensors_looks(const unsigned char *data, size_t size);

/* Map the file and check its header. ST_FORMAT says what is wrong. Whoever
 * opens, closes; after a failure there is nothing to close. */
status safetensors_open(struct flat_file *out, const char *path) MUST_USE;

/* ---- gguf.c ---- */

/* The header of a GGUF file, checked: tensors named, shaped and placed, in the way of the `gguf`
 * Python package. Format: github.com/ggml-org/ggml/blob/master/docs/gguf.md. */

bool gguf_looks(const unsigned char *data, size_t size);

/* Dimensions stand as torch has them, the fastest last. ST_FORMAT says what is wrong. Whoever
 * opens, closes; after a failure there is nothing to close. */
status gguf_open(struct flat_file *out, const char *path) MUST_USE;

/* ---- weight_format.c ---- */

/* How numbers are packed in types that tensors do not compute in. */
struct weight_format {
    const char *dtype;
    int elements; /* of a block */
    size_t bytes; /* of a block */
    bool scaled;  /* means nothing without a tensor of scales */
    /* `blocks` blocks as numbers. */
    void (*read)(float *to, const unsigned char *from, int64_t blocks);
};

enum { WEIGHT_BLOCK = 256 }; /* elements of a block, at most */

/* NULL: none of that name. */
const struct weight_format *weight_format_find(const char *dtype);

/* Elements first .. first + count - 1. */
void weight_format_read(const struct weight_format *f, const unsigned char *data, int64_t first,
                        int64_t count, float *to);

/* ---- zip_dir.c ---- */

/* The members of a zip file, as its directory lists them. zip64 is fine.
 *
 * A file may come from anyone: every place and size is checked against the file before
 * it is used. Names are bytes, compared as they are. */

/* Bytes of a directory. A released checkpoint of thousands of tensors has below 1 MiB. */
enum { ZIP_DIR_MAX = 64 << 20 };

struct zip_member {
    const char *name; /* not ended by a NUL */
    size_t name_len;
    uint64_t bytes, stored; /* of its content; in the file */
    uint64_t header;        /* where in the file it begins */
    uint32_t crc;
    bool plain; /* neither compressed nor encrypted */
};

struct zip_dir {
    const char *path; /* borrowed */
    int fd;
    uint64_t file_bytes;
    unsigned char *raw;
    struct zip_member *member; /* by name */
    size_t count;
};

/* ST_FORMAT if it is no zip file, is cut, or has two members of one name. Whoever opens,
 * closes; after a failure there is nothing to close. */
status zip_dir_open(struct zip_dir *out, const char *path) MUST_USE;
void zip_dir_close(struct zip_dir *d); /* safe after a failed open; zeroes it */

/* NULL: there is none of that name. */
const struct zip_member *zip_dir_find(const struct zip_dir *d, const char *name);

/* The content of a plain member, m->bytes of it. ST_FORMAT if it is cut or its checksum
 * is wrong. Any thread may call. */
status zip_dir_read(const struct zip_dir *d, const struct zip_member *m, void *buf) MUST_USE;

/* ---- torchzip.c ---- */

/* The members of a torch checkpoint's zip file.
 *
 * Every member stands under one folder, whose name is free: NAME/data.pkl, the
 * pickle, and NAME/data/KEY, one storage each. Only stored members are read: a
 * compressed one could be far larger than the file. zip64 is fine. */

struct torchzip;

/* True if a file that begins like this is a zip file. */
bool torchzip_looks(const unsigned char *data, size_t size);

/* ST_FORMAT if it is no zip file, has no data.pkl or more than one, or was
 * written on a big-endian machine. Whoever opens, closes. */
status torchzip_open(struct torchzip **out, const char *path) MUST_USE;
void torchzip_close(struct torchzip **z); /* NULL is fine; sets NULL */

/* Bytes of member "data.pkl" or "data/KEY", given without the folder. ST_FORMAT if
 * it is missing, compressed, encrypted, or claims to be larger than the file. */
status torchzip_size(struct torchzip *z, const char *member, size_t *bytes) MUST_USE;

/* Read a whole member of torchzip_size bytes into buf. ST_FORMAT if it is cut or
 * its checksum is wrong. */
status torchzip_read(struct torchzip *z, const char *member, void *buf, size_t bytes) MUST_USE;

/* ---- pickle.c ---- */

/* Read a torch checkpoint's pickle as data.
 *
 * A pickle is a program for a stack machine. This reader knows the opcodes that
 * torch.save writes (protocol 2, and the framing and memo opcodes of 3 to 5) and
 * the calls it writes: OrderedDict(), torch._utils._rebuild_tensor_v2, _v3 and
 * _rebuild_parameter. It runs nothing: any other name gives an object of which nothing but
 * the name is known, and any other opcode is an error.
 * Memory is at most a fixed multiple of the pickle's size.
 * Opcodes: Python's pickletools. */

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
    PICKLE_OBJECT, /* a name that is not on the list, or something made with it */
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
        struct pickle_text text; /* TEXT; OBJECT: the name, without its module */
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
    struct pickle_text dtype; /* of a storage of bytes, "float8_e4m3fn"; else empty */
    int ndim;                 /* at most WEIGHT_DIMS */
    int64_t offset, dim[WEIGHT_DIMS], stride[WEIGHT_DIMS]; /* elements */
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

/* ---- pickle_vm.c, pickle_call.c ---- */

/* The stack machine that pickle.c runs. */

struct pickle_vm {
    struct pickle *p;
    const char *where;
    const unsigned char *code;
    size_t len, at, op_at; /* op_at: where the running opcode stands */
    int *stack, *memo;     /* value indices; memo: -1 not set */
    int depth, stack_cap;
    int memo_count, memo_cap; /* memo_count: highest used + 1 */
    int value_cap, item_cap, storage_cap, tensor_cap;
    int mark[PICKLE_DEPTH_MAX];
    int marks;
    bool stopped;
};

/* The next bytes of the program: n as they are, `bytes` of a little-endian number, a text up to
 * the end of its line. ST_FORMAT if it ends before. */
status pickle_take(struct pickle_vm *vm, uint64_t n, const unsigned char **at) MUST_USE;
status pickle_take_le(struct pickle_vm *vm, int bytes, uint64_t *n) MUST_USE;
status pickle_take_line(struct pickle_vm *vm, struct pickle_text *out) MUST_USE;

/* Room for one more in an array that doubles, up to PICKLE_VALUES_MAX. *grown is
 * where the array is now. */
status pickle_grow(void *array, int *cap, int count, size_t each, void **grown) MUST_USE;

/* A new value on top of the stack. */
status pickle_push(struct pickle_vm *vm, struct pickle_value v) MUST_USE;

/* A new value of which only the name is known. */
status pickle_push_object(struct pickle_vm *vm, struct pickle_text name) MUST_USE;

/* A value that exists already on top of the stack. */
status pickle_push_index(struct pickle_vm *vm, int value) MUST_USE;

/* Take the top value's index; values below an open mark stay. */
status pickle_pop(struct pickle_vm *vm, int *value) MUST_USE;

/* The failure of taking more than there is. */
status pickle_too_few(const struct pickle_vm *vm) MUST_USE;

/* How deep the stack may be emptied: to the last open mark. */
static inline int pickle_floor(const struct pickle_vm *vm)
{
    return vm->marks ? vm->mark[vm->marks - 1] : 0;
}

/* One more entry of a tuple or list (key -1) or dict. */
status pickle_append(struct pickle_vm *vm, int container, int key, int value) MUST_USE;

/* The value under an index. */
static inline struct pickle_value *pickle_at(const struct pickle_vm *vm, int i)
{
    return &vm->p->value[i];
}

/* The items of a tuple of min..max entries, as value indices. */
status pickle_tuple(const struct pickle_vm *vm, int tuple, int min, int max, int *entry,
                    int *count) MUST_USE;

/* The five that give a pickle its power, here for a closed list of names: GLOBAL,
 * BINPERSID, REDUCE, NEWOBJ, BUILD. */
status pickle_call_global(struct pickle_vm *vm, struct pickle_text module,
                          struct pickle_text name) MUST_USE;
status pickle_call_persid(struct pickle_vm *vm) MUST_USE;
status pickle_call_reduce(struct pickle_vm *vm) MUST_USE;
status pickle_call_newobj(struct pickle_vm *vm) MUST_USE;
status pickle_call_build(struct pickle_vm *vm) MUST_USE;

/* ---- torchfile.c ---- */

/* The tensors of one dict of a torch checkpoint.
 *
 * The zip file's data.pkl says which tensors there are and which storage each
 * lies in; a storage is a member of the zip file and is read when it is wanted. */

struct torchfile_entry {
    char *name;
    struct weight_info info; /* its name is `name` */
    char *member;            /* of the storage; NULL: a tensor that is only named */
    size_t offset;           /* bytes into the storage */
    bool row_major;
    int64_t stride[WEIGHT_DIMS]; /* elements */
};

struct torchfile {
    struct torchzip *zip;
    struct torchfile_entry *entry; /* in the order of the dict */
    int count;
    char *outer_key; /* the dict's key; NULL for the file's own */
    void *buf;       /* the storage read last */
    size_t buf_bytes;
    const char *held; /* its member; NULL: none */
    void *gathered;   /* a tensor in row-major order */
    size_t gathered_bytes;
    const struct torchfile_entry *gathered_of; /* NULL: of none */
};

/* `outer_key` as weights_open has it. Every tensor listed lies inside
 * its storage, and the storage is in the file; else ST_FORMAT with its name.
 * Whoever opens, closes; after a failure there is nothing to close. */
status torchfile_open(struct torchfile *out, const char *path, const char *outer_key) MUST_USE;
void torchfile_close(struct torchfile *f); /* safe on a zeroed one; zeroes it */

/* The bytes of entry i, valid until the next fetch. */
status torchfile_fetch(struct torchfile *f, int i, const void **data) MUST_USE;

/* ---- weights.c ---- */

/* What is added to some tensors as they are read; weight_adapter.c knows of what. */
struct weight_extra {
    void *arg; /* NULL: nothing is */
    bool (*has)(const void *arg, int tensor);
    /* Add what belongs to elements first .. first + count - 1, whole rows of tensor [n, k]. */
    status (*add)(void *arg, int tensor, int64_t k, int64_t first, int64_t count, float *to);
    void (*close)(void *arg);
};

struct weight_extra *weights_extra(struct weights *w); /* w's own, to be set once */

#endif /* WEIGHTS_INTERNAL_H */
