/* mojibake.c - text written back to bytes in the encodings it may have been misread in. */
#include "pipeline/text/clean/clean_internal.h"

static bool is_c1(uint32_t c) { return c >= 0x80 && c <= 0x9f; }

void mojibake_fix_c1(struct codepoints *text)
{
    for (int64_t i = 0; i < text->count; i++)
        if (is_c1(text->at[i]))
            text->at[i] = codepage_decode(CODEPAGE_WINDOWS_1252, (unsigned char)text->at[i]);
}

static bool is_utf8_in(enum codepage m, const struct codepoints *text, struct strbuf *bytes,
                       struct codepoints *out)
{
    struct strbuf restored = { 0 }, replaced = { 0 };
    bool fits = codepage_encode(m, text, (unsigned char *)bytes->s);

    if (fits) {
        const struct strbuf *utf8 = bytes;
        /* In MacRoman an en dash and a blank would look like such a loss. */
        if (m != CODEPAGE_MACROMAN) {
            utf8_repair_restore_a0(utf8, &restored);
            utf8 = &restored;
        }
        if (codepage_is_loose(m)) {
            utf8_repair_replace(utf8, &replaced);
            utf8 = &replaced;
        }
        codepoints_clear(out);
        fits = !utf8->failed && utf8_repair_decode(utf8, out);
    }
    out->failed |= restored.failed || replaced.failed;
    strbuf_free(&restored);
    strbuf_free(&replaced);
    return fits;
}

/* The whole text through one encoding. */
static bool fix_whole(struct codepoints *text)
{
    struct strbuf bytes = { 0 };
    struct codepoints out = { 0 };
    bool done = false;

    for (int64_t i = 0; i < text->count; i++) strbuf_add(&bytes, "", 1);
    for (int m = 0; m < CODEPAGE_COUNT && !done && !bytes.failed && !out.failed; m++)
        done = is_utf8_in((enum codepage)m, text, &bytes, &out);
    if (done) codepoints_swap(text, &out);
    text->failed |= bytes.failed || out.failed;
    strbuf_free(&bytes);
    codepoints_free(&out);
    return done;
}

/* Where the characters that look like UTF-8 sequences end, from `at` on. */
static int64_t utf8_looks_end(const struct codepoints *classes, int64_t at)
{
    static const uint32_t lead[] = { CH_LEAD2, CH_LEAD3, CH_LEAD4 };
    int64_t n;

    do {
        n = 0;
        for (int k = 0; k < COUNT_OF(lead) && !n && at < classes->count; k++) {
            if (!(classes->at[at] & lead[k])) continue;
            n = 1;
            while (n < k + 2 && at + n < classes->count && classes->at[at + n] & CH_TAIL) n++;
            if (n < k + 2) n = 0;
        }
        at += n;
    } while (n);
    return at;
}

static void append_fixed(struct codepoints *out, const uint32_t *at, int64_t count)
{
    struct codepoints part = { 0 };

    codepoints_append(&part, at, count);
    if (badness_found(&part)) mojibake_fix(&part);
    codepoints_append(out, part.at, part.count);
    out->failed |= part.failed;
    codepoints_free(&part);
}

/* Parts of the text by themselves. True if that changed anything. */
static bool fix_parts(struct codepoints *text)
{
    struct codepoints classes = { 0 }, out = { 0 };

    for (int64_t i = 0; i < text->count; i++) codepoints_add(&classes, char_classes(text->at[i]));
    out.failed = classes.failed;
    for (int64_t i = 0; i < text->count && !out.failed;) {
        bool const inside = i && classes.at[i - 1] & CH_TAIL_SURE;
        int64_t const end = inside ? i : utf8_looks_end(&classes, i);

        if (end == i) codepoints_add(&out, text->at[i++]);
        else if (end - i == text->count) /* a part is smaller than the whole */
            codepoints_append(&out, text->at + i, end - i);
        else append_fixed(&out, text->at + i, end - i);
        if (end > i) i = end;
    }
    bool const changed = !codepoints_equal(text, &out);
    codepoints_swap(text, &out);
    text->failed |= out.failed;
    codepoints_free(&out);
    codepoints_free(&classes);
    return changed;
}

void mojibake_fix(struct codepoints *text)
{
    struct codepoints before = { 0 };

    do {
        codepoints_copy(&before, text);
        if (badness_found(text) && !fix_whole(text) && !fix_parts(text)) mojibake_fix_c1(text);
        text->failed |= before.failed;
    } while (!text->failed && !codepoints_equal(text, &before));
    codepoints_free(&before);
}
