#include "pipeline/runes.h"

#include <stdlib.h>
#include <string.h>

static bool reserve(struct runes *r, int64_t more)
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

void runes_add(struct runes *r, uint32_t c)
{
    if (reserve(r, 1)) r->at[r->count++] = c;
}

void runes_append(struct runes *r, const uint32_t *at, int64_t count)
{
    if (!count || !reserve(r, count)) return;
    memcpy(r->at + r->count, at, (size_t)count * sizeof *at);
    r->count += count;
}

void runes_copy(struct runes *r, const struct runes *from)
{
    r->count = 0;
    r->failed |= from->failed;
    runes_append(r, from->at, from->count);
}

void runes_clear(struct runes *r) { r->count = 0; }

void runes_swap(struct runes *a, struct runes *b)
{
    struct runes const t = *a;

    *a = *b;
    *b = t;
}

void runes_free(struct runes *r)
{
    free(r->at);
    *r = (struct runes){ 0 };
}

bool runes_equal(const struct runes *a, const struct runes *b)
{
    return a->count == b->count &&
           (!a->count || !memcmp(a->at, b->at, (size_t)a->count * sizeof *a->at));
}

/* Shortest form only; surrogates pass. */
static int decode(uint32_t *out, const unsigned char *b, size_t len)
{
    static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
    int const n = b[0] < 0x80 ? 1 : b[0] < 0xc0 ? 0 : b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;
    uint32_t c = n == 1 ? b[0] : b[0] & (0x7fu >> n);

    if (!n || (size_t)n > len || b[0] > 0xf4) return 0;
    for (int i = 1; i < n; i++) {
        if ((b[i] & 0xc0) != 0x80) return 0;
        c = c << 6 | (b[i] & 0x3f);
    }
    if (c < least[n] || c > 0x10ffff) return 0;
    *out = c;
    return n;
}

int rune_decode(uint32_t *out, const unsigned char *bytes, size_t len)
{
    int const n = decode(out, bytes, len);

    return n && *out >= 0xd800 && *out <= 0xdfff ? 0 : n;
}

size_t runes_add_utf8(struct runes *r, const char *bytes, size_t len)
{
    size_t at = 0;

    while (at < len) {
        uint32_t c;
        int const n = decode(&c, (const unsigned char *)bytes + at, len - at);
        if (!n) break;
        runes_add(r, c);
        at += (size_t)n;
    }
    return at;
}

static int encode(char out[4], uint32_t c)
{
    int const n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[5] = { 0, 0, 0xc0, 0xe0, 0xf0 };

    for (int i = n - 1; i > 0; i--, c >>= 6) out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(lead[n] | c);
    return n;
}

void runes_write(const struct runes *r, struct text *out)
{
    out->failed |= r->failed;
    for (int64_t i = 0; i < r->count; i++) {
        char utf8[4];
        int const n = encode(utf8, r->at[i]);
        text_add(out, utf8, (size_t)n);
    }
}

bool rune_is_space(uint32_t c)
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
