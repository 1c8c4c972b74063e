/* arena.c - a running offset, aligned, with or without memory behind it. */
#include "base/arena.h"

void arena_measure(struct arena *a, const char *name)
{
    *a = (struct arena){ .name = name, .cap = SIZE_MAX };
}

void arena_over(struct arena *a, const char *name, void *base, size_t cap)
{
    *a = (struct arena){ .name = name, .base = base, .cap = cap };
}

status arena_take(struct arena *a, size_t bytes, void **at)
{
    size_t const from = (a->used + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);

    *at = NULL;
    if (from < a->used || from > a->cap || bytes > a->cap - from)
        return fail(ST_NOMEM, "arena %s: %zu bytes at %zu exceed %zu", a->name, bytes, from,
                    a->cap);
    if (a->base) *at = a->base + from;
    a->used = from + bytes;
    if (a->used > a->peak) a->peak = a->used;
    return ST_OK;
}

size_t arena_mark(const struct arena *a) { return a->used; }

void arena_rewind(struct arena *a, size_t mark) { a->used = mark; }
