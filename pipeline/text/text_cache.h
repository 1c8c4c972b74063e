/*
 * text_cache.h - embeddings of prompts on disk, one file per entry.
 *
 * File KEY.embeds, little-endian:
 *   16 bytes   "rollmill-embeds\n"
 *   64 bytes   the key
 *   8, 8       dim, tokens (uint64)
 *   64 bytes   SHA-256 of what follows, in hex
 *   the rest   [tokens, dim] F32
 */
#ifndef TEXT_CACHE_H
#define TEXT_CACHE_H

#include "base/base.h"

struct text_entry {
    const char *key; /* hex digits */
    int64_t dim;
    int text_len;  /* most tokens there may be */
    int tokens;    /* 1..text_len */
    float *embeds; /* [tokens, dim] */
};

/* Set tokens and embeds (room for text_len rows) from the cache. False if there
 * is no such entry, or a damaged one: then a warning says so. */
bool text_cache_read(const char *dir, struct text_entry *e);

/* Readers see the whole entry or none. Makes the folder. */
status text_cache_write(const char *dir, const struct text_entry *e) MUST_USE;

#endif /* TEXT_CACHE_H */
