/* html.c - character references undone, in the standard's way and in the careful one. */
#include "pipeline/text/clean/clean_internal.h"

#include <string.h>
#include <utf8proc.h>

enum { MAX_RUNE = 0x10ffff, SURE_NAME = 24 };

static bool is_digit(uint32_t c) { return c >= '0' && c <= '9'; }
static bool is_letter(uint32_t c) { return (c | 32) >= 'a' && (c | 32) <= 'z'; }
static bool is_hex(uint32_t c) { return is_digit(c) || ((c | 32) >= 'a' && (c | 32) <= 'f'); }

static uint32_t peek_at(const struct codepoints *in, int64_t at)
{
    return at < in->count ? in->at[at] : 0;
}

/* What the standard makes of a number: the C1 controls mean Windows-1252,
 * what is no character means nothing. */
static void add_reference(struct codepoints *out, uint32_t n)
{
    static const uint16_t c1[32] = {
        0x20ac, 0x81,   0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021, 0x2c6,  0x2030, 0x160,
        0x2039, 0x152,  0x8d,   0x17d,  0x8f,   0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
        0x2013, 0x2014, 0x2dc,  0x2122, 0x161,  0x203a, 0x153,  0x9d,   0x17e,  0x178,
    };
    bool const control = (n >= 1 && n <= 8) || n == 0xb || (n >= 0xe && n <= 0x1f) || n == 0x7f;
    bool const unassigned = (n >= 0xfdd0 && n <= 0xfdef) || (n & 0xfffe) == 0xfffe;

    if (n >= 0x80 && n <= 0x9f) codepoints_add(out, c1[n - 0x80]);
    else if (!n || n > MAX_RUNE || (n >= 0xd800 && n <= 0xdfff)) codepoints_add(out, 0xfffd);
    else if (!control && !unassigned) codepoints_add(out, n);
}

/* Number behind "&#" at `at`. Returns where it ends, its semicolon included, or
 * -1 if there is none. */
static int64_t read_reference(const struct codepoints *in, int64_t at, uint32_t *n)
{
    bool const hex = (peek_at(in, at) | 32) == 'x';
    int64_t const first = at += hex;

    for (*n = 0; hex ? is_hex(peek_at(in, at)) : is_digit(peek_at(in, at)); at++) {
        uint32_t const c = in->at[at];
        uint32_t const digit = is_digit(c) ? c - '0' : (c | 32) - 'a' + 10;
        if (*n <= MAX_RUNE) *n = *n * (hex ? 16 : 10) + digit;
    }
    if (at == first) return -1;
    return at + (peek_at(in, at) == ';');
}

static void add_entity(struct codepoints *out, const struct html_entity *e)
{
    codepoints_add(out, e->first);
    if (e->second) codepoints_add(out, e->second);
}

/* A name of the text as a C string; false if it is none of ours by its form. */
static bool copy_name(char name[HTML_NAME], const struct codepoints *in, int64_t at, int64_t len)
{
    if (len < 1 || len >= HTML_NAME) return false;
    for (int64_t i = 0; i < len; i++) {
        uint32_t const c = in->at[at + i];
        if (!is_letter(c) && !is_digit(c)) return false;
        name[i] = (char)c;
    }
    name[len] = '\0';
    return true;
}

static bool in_name(uint32_t c) { return c && !strchr("\t\n\f <&#;", (int)(c < 0x80 ? c : 'a')); }

/* The name behind '&' at `at`: its characters are counted first, at most 32. */
static int64_t add_named(const struct codepoints *in, int64_t at, struct codepoints *out)
{
    char name[HTML_NAME];
    int64_t len = 0;

    while (len < 32 && in_name(peek_at(in, at + len))) len++;
    bool const closed = peek_at(in, at + len) == ';';
    if (closed && copy_name(name, in, at, len) && html_entity_find(name)) {
        add_entity(out, html_entity_find(name));
        return at + len + 1;
    }
    for (int64_t n = len; n > 1; n--) {
        if (copy_name(name, in, at, n) && html_entity_is_bare(name)) {
            add_entity(out, html_entity_find(name));
            codepoints_append(out, in->at + at + n, len + closed - n);
            return at + len + closed;
        }
    }
    codepoints_add(out, '&');
    codepoints_append(out, in->at + at, len + closed);
    return at + len + closed;
}

void html_unescape(const struct codepoints *in, struct codepoints *out)
{
    for (int64_t i = 0; i < in->count && !out->failed;) {
        uint32_t n;
        int64_t const end = peek_at(in, i + 1) == '#' ? read_reference(in, i + 2, &n) : -1;

        if (in->at[i] != '&') {
            codepoints_add(out, in->at[i++]);
        } else if (end >= 0) {
            add_reference(out, n);
            i = end;
        } else {
            i = add_named(in, i + 1, out);
        }
    }
}

/* `name` in capitals: the capital of the small name's character, if no other
 * name begins like it. */
static bool add_capital(const char *name, struct codepoints *out)
{
    static const struct {
        const char *name, *capital;
    } grown[] = {
        { "FFILIG", "FFI" }, { "FFLIG", "FF" }, { "FFLLIG", "FFL" },
        { "FILIG", "FI" },   { "FLLIG", "FL" }, { "SZLIG", "SS" },
    };
    char small[HTML_NAME], start[HTML_NAME];
    size_t const len = strlen(name);

    for (size_t i = 0; i <= len; i++) {
        if (name[i] >= 'a' && name[i] <= 'z') return false;
        small[i] = (char)(is_letter((unsigned char)name[i]) ? name[i] | 32 : name[i]);
    }
    for (size_t n = 2; n <= len; n++) {
        memcpy(start, name, n);
        start[n] = '\0';
        if (html_entity_is_bare(start)) return false;
    }
    const struct html_entity *const e = html_entity_find(small);
    if (!e) return false;
    for (int i = 0; i < COUNT_OF(grown); i++) {
        if (strcmp(grown[i].name, name) != 0) continue;
        codepoints_add_utf8(out, grown[i].capital, strlen(grown[i].capital));
        return true;
    }
    if (e->first == 0x149) codepoints_add(out, 0x2bc);
    codepoints_add(out, e->first == 0x149 ? 'N' : (uint32_t)utf8proc_toupper((int32_t)e->first));
    if (e->second) codepoints_add(out, (uint32_t)utf8proc_toupper((int32_t)e->second));
    return true;
}

/* `&#...;` at `at` holding only letters and digits up to `end`, its semicolon. */
static bool add_sure_number(const struct codepoints *in, int64_t at, int64_t end,
                            struct codepoints *out)
{
    uint32_t n;

    if (read_reference(in, at + 2, &n) != end + 1 || n == ';') return false;
    add_reference(out, n);
    return true;
}

static bool add_sure(const struct codepoints *in, int64_t at, int64_t end, struct codepoints *out)
{
    char name[HTML_NAME];

    if (peek_at(in, at + 1) == '#') return add_sure_number(in, at, end, out);
    if (!copy_name(name, in, at + 1, end - at - 1)) return false;
    const struct html_entity *const e = html_entity_find(name);
    if (e) add_entity(out, e);
    return e || add_capital(name, out);
}

/* Where the semicolon of the reference at `at` stands, or -1. */
static int64_t find_semicolon(const struct codepoints *in, int64_t at)
{
    int64_t const first = at + 1 + (peek_at(in, at + 1) == '#');
    int64_t end = first;

    if (in->at[at] != '&') return -1;
    while (end - first < SURE_NAME && (is_letter(peek_at(in, end)) || is_digit(peek_at(in, end))))
        end++;
    return end > first && peek_at(in, end) == ';' ? end : -1;
}

void html_unescape_sure(const struct codepoints *in, struct codepoints *out)
{
    for (int64_t i = 0; i < in->count && !out->failed;) {
        int64_t const end = find_semicolon(in, i);

        if (end < 0) {
            codepoints_add(out, in->at[i++]);
        } else {
            if (!add_sure(in, i, end, out)) codepoints_append(out, in->at + i, end + 1 - i);
            i = end + 1;
        }
    }
}
