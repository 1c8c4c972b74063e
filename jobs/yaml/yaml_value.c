/* yaml_value.c - numbers, sizes and rates in the forms a job allows. */
#include "jobs/yaml/yaml_value.h"

#include <string.h>

/* A number at the front of s; NULL if none stands there, else what follows it. */
static const char *parse_number(const char *s, uint64_t *out)
{
    uint64_t v = 0;
    size_t const len = strspn(s, "0123456789");

    if (!len || (len > 1 && s[0] == '0')) return NULL;
    for (size_t i = 0; i < len; i++) {
        uint64_t const digit = (uint64_t)(s[i] - '0');
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, digit, &v)) return NULL;
    }
    *out = v;
    return s + len;
}

bool value_u64(const char *s, uint64_t *out)
{
    uint64_t v;
    const char *const end = parse_number(s, &v);

    if (!end || *end) return false;
    *out = v;
    return true;
}

bool value_decimal(const char *s, double *out)
{
    uint64_t whole, part = 0;
    double scale = 1;
    const char *at = parse_number(s, &whole);

    if (!at || whole > 999999999) return false;
    if (*at == '.') {
        size_t const digits = strspn(at + 1, "0123456789");
        if (!digits || digits > 9) return false;
        for (size_t i = 1; i <= digits; i++) {
            part = part * 10 + (uint64_t)(at[i] - '0');
            scale *= 10;
        }
        at += 1 + digits;
    }
    if (*at) return false;
    *out = ((double)whole * scale + (double)part) / scale;
    return true;
}

bool value_size(const char *s, int *width, int *height)
{
    enum { MOST = 8192, STEP = 16 };
    uint64_t w, h;
    const char *const x = parse_number(s, &w);

    if (!x || *x != 'x' || !value_u64(x + 1, &h)) return false;
    if (!w || !h || w > MOST || h > MOST || w % STEP || h % STEP) return false;
    *width = (int)w;
    *height = (int)h;
    return true;
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t const r = a % b;
        a = b;
        b = r;
    }
    return a;
}

bool value_rate(const char *s, struct value_rate *out)
{
    enum { PART = 1000000 };
    uint64_t num, den = 1;
    const char *const slash = parse_number(s, &num);

    if (!slash || (*slash && *slash != '/')) return false;
    if (*slash && !value_u64(slash + 1, &den)) return false;
    if (!den || num > PART || den > PART || num < den || num >= den * VALUE_RATE_MAX) return false;
    uint64_t const by = common_divisor(num, den);
    *out = (struct value_rate){ (int64_t)(num / by), (int64_t)(den / by) };
    return true;
}
