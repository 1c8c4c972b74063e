/* codepoints.c - code points in a growing array. */
#include "base/utf8.h"
#include "pipeline/text/clean/clean_internal.h"

#include <stdlib.h>
#include <string.h>

static bool reserve_points(struct codepoints *r, int64_t more)
{
    int64_t cap = r->cap ? r->cap : 64;

    if (r->failed || more > INT32_MAX) {
        r->failed = true;
        return false;
    }
    while (cap < r->count + more) cap *= 2;
    if (cap == r->cap) return true;

    uint32_t *const at = realloc(r->at, (size_t)cap * sizeof *at);
    if (!at) {
        r->failed = true;
        return false;
    }
    r->at = at;
    r->cap = cap;
    return true;
}

void codepoints_add(struct codepoints *r, uint32_t c)
{
    if (reserve_points(r, 1)) r->at[r->count++] = c;
}

void codepoints_append(struct codepoints *r, const uint32_t *at, int64_t count)
{
    if (!count || !reserve_points(r, count)) return;
    memcpy(r->at + r->count, at, (size_t)count * sizeof *at);
    r->count += count;
}

void codepoints_copy(struct codepoints *r, const struct codepoints *from)
{
    r->count = 0;
    r->failed |= from->failed;
    codepoints_append(r, from->at, from->count);
}

void codepoints_clear(struct codepoints *r) { r->count = 0; }

void codepoints_swap(struct codepoints *a, struct codepoints *b)
{
    struct codepoints const t = *a;

    *a = *b;
    *b = t;
}

void codepoints_free(struct codepoints *r)
{
    free(r->at);
    *r = (struct codepoints){ 0 };
}

bool codepoints_equal(const struct codepoints *a, const struct codepoints *b)
{
    return a->count == b->count &&
           (!a->count || !memcmp(a->at, b->at, (size_t)a->count * sizeof *a->at));
}

size_t codepoints_add_utf8(struct codepoints *r, const char *bytes, size_t len)
{
    size_t at = 0;

    while (at < len) {
        uint32_t c;
        int const n = utf8_decode_lax(&c, bytes + at, len - at);
        if (!n) break;
        codepoints_add(r, c);
        at += (size_t)n;
    }
    return at;
}

void codepoints_write(const struct codepoints *r, struct strbuf *out)
{
    out->failed |= r->failed;
    for (int64_t i = 0; i < r->count; i++) {
        char utf8[4];
        int const n = utf8_encode(utf8, r->at[i]);
        strbuf_add(out, utf8, (size_t)n);
    }
}

bool codepoint_is_space(uint32_t c)
{
    static const uint16_t runs[][2] = {
        { 0x09, 0x0d },     { 0x1c, 0x20 },     { 0x85, 0x85 },     { 0xa0, 0xa0 },
        { 0x1680, 0x1680 }, { 0x2000, 0x200a }, { 0x2028, 0x2029 }, { 0x202f, 0x202f },
        { 0x205f, 0x205f }, { 0x3000, 0x3000 },
    };

    for (int i = 0; i < COUNT_OF(runs); i++)
        if (c >= runs[i][0] && c <= runs[i][1]) return true;
    return false;
}
