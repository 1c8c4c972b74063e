/* text_internal.h - what the files of pipeline/text share: the encoder's weights, its identity and
 * the cache of what it made. The tokenizer's checks: tokenizer_model.h. */
#ifndef TEXT_INTERNAL_H
#define TEXT_INTERNAL_H

#include "base/digest.h"
#include "pipeline/text/umt5.h"
#include "pipeline/weights/weight_bind.h"

/* ---- umt5_layer.c ---- */

/* The tensors of a UMT5 checkpoint: shape, names, places. */

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

/* ---- text_hash.c ---- */

/* What a text encoder is, as a number that is cheap to take.
 *
 * SHA-256 over the form of this hash, the checkpoint's tensors (one line each:
 * name, dtype, shape), its size, and samples of its bytes: the first and last MiB
 * whole, and 4 KiB at each of 512 places spread evenly. In a torch file the last
 * MiB holds the zip directory with a checksum of every tensor. Then the
 * tokenizer file, whole. A change of a few bytes in the midst of a safetensors
 * file may go unseen: take `rollmill inspect` for a hash of all bytes. */

status text_hash(const struct weights *encoder, const char *tokenizer_path,
                 char hex[DIGEST_HEX]) MUST_USE;

/* ---- text_cache.c ---- */

/* Embeddings of prompts on disk, one file per entry.
 *
 * File KEY.embeds, little-endian:
 *   16 bytes   "rollmill-embeds\n"
 *   64 bytes   the key
 *   8, 8       dim, tokens (uint64)
 *   64 bytes   SHA-256 of what follows, in hex
 *   the rest   [tokens, dim] F32 */

struct text_entry {
    const char *key; /* hex digits */
    int64_t dim;
    int text_len;  /* most tokens there may be */
    int tokens;    /* 1..text_len */
    float *embeds; /* [tokens, dim] */
};

/* dir NULL: no cache. The entries of the folder, of all processes together, have about `limit`
 * bytes at most; those used longest ago go first. */
struct text_cache {
    const char *dir;
    int64_t limit;
    int64_t held;   /* as counted last, and what was written since; 0: not counted yet */
    int64_t unseen; /* written since */
};

/* Set tokens and embeds (room for text_len rows) from the cache. False if there
 * is no such entry, or a damaged one: then a warning says so. */
bool text_cache_read(const struct text_cache *c, struct text_entry *e);

/* Readers see the whole entry or none. Makes the folder; makes room. An entry that is larger than
 * the limit is not kept. */
status text_cache_write(struct text_cache *c, const struct text_entry *e) MUST_USE;

/* ---- text_cache_trim.c ---- */

/* Remove entries, those used longest ago first, until nine tenths of the limit are left; and what
 * writers that were killed left an hour ago. *held: bytes of what is left. What another process
 * removes meanwhile is fine. ST_IO if the folder cannot be read. */
status text_cache_trim(const char *dir, int64_t limit, int64_t *held) MUST_USE;

#endif /* TEXT_INTERNAL_H */
