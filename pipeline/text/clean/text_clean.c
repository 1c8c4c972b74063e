/*
 * text_clean.c - what the model's training did to prompts, in its order and to the bit.
 *
 * The steps of ftfy 6.3 line by line until nothing changes, then HTML references twice, then white
 * space. A prompt cleaned otherwise gives other tokens and so another clip.
 */
#include "pipeline/text/clean/text_clean.h"

#include "pipeline/text/clean/clean_internal.h"
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* A fixer appends its text to out. */
typedef void (*fixer)(const struct codepoints *in, struct codepoints *out);

static void apply_fixer(struct codepoints *text, struct codepoints *scratch, fixer fix)
{
    codepoints_clear(scratch);
    fix(text, scratch);
    codepoints_swap(text, scratch);
    text->failed |= scratch->failed;
}

static void split_ligatures(const struct codepoints *in, struct codepoints *out)
{
    static const struct {
        uint16_t codepoint, parts[3];
    } table[] = {
        { 0x0132, { 'I', 'J' } },      { 0x0133, { 'i', 'j' } },      { 0x0149, { 0x2bc, 'n' } },
        { 0x01f1, { 'D', 'Z' } },      { 0x01f2, { 'D', 'z' } },      { 0x01f3, { 'd', 'z' } },
        { 0x01c4, { 'D', 0x17d } },    { 0x01c5, { 'D', 0x17e } },    { 0x01c6, { 'd', 0x17e } },
        { 0x01c7, { 'L', 'J' } },      { 0x01c8, { 'L', 'j' } },      { 0x01c9, { 'l', 'j' } },
        { 0x01ca, { 'N', 'J' } },      { 0x01cb, { 'N', 'j' } },      { 0x01cc, { 'n', 'j' } },
        { 0xfb00, { 'f', 'f' } },      { 0xfb01, { 'f', 'i' } },      { 0xfb02, { 'f', 'l' } },
        { 0xfb03, { 'f', 'f', 'i' } }, { 0xfb04, { 'f', 'f', 'l' } }, { 0xfb05, { 0x17f, 't' } },
        { 0xfb06, { 's', 't' } },
    };

    for (int64_t i = 0; i < in->count; i++) {
        int k = in->at[i] < 0x80 ? COUNT_OF(table) : 0;
        while (k < COUNT_OF(table) && table[k].codepoint != in->at[i]) k++;
        if (k == COUNT_OF(table)) {
            codepoints_add(out, in->at[i]);
            continue;
        }
        for (int j = 0; j < 3 && table[k].parts[j]; j++) codepoints_add(out, table[k].parts[j]);
    }
}

/* Half and full width letters, kana, signs and punctuation become the usual ones. The tokenizer
 * would do it too, but mojibake beside such a character is only seen once it is folded. */
static void fold_width(const struct codepoints *in, struct codepoints *out)
{
    utf8proc_option_t const nfkc = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT;

    for (int64_t i = 0; i < in->count; i++) {
        uint32_t const c = in->at[i];
        utf8proc_int32_t usual[16];
        utf8proc_ssize_t n = 0;
        int boundary = 0;

        if (c > 0xff00 && c < 0xfff0)
            n = utf8proc_decompose_char((utf8proc_int32_t)c, usual, COUNT_OF(usual), nfkc,
                                        &boundary);
        if (n > 0 && n <= COUNT_OF(usual)) n = utf8proc_normalize_utf32(usual, n, nfkc);
        for (utf8proc_ssize_t j = 0; j < n; j++) codepoints_add(out, (uint32_t)usual[j]);
        if (n <= 0) codepoints_add(out, c == 0x3000 ? ' ' : c);
    }
}

static uint32_t straight_quote(uint32_t c)
{
    if (c == 0x2bc || (c >= 0x2018 && c <= 0x201b)) return '\'';
    return c >= 0x201c && c <= 0x201f ? '"' : c;
}

static void straighten_quotes(const struct codepoints *in, struct codepoints *out)
{
    for (int64_t i = 0; i < in->count; i++) codepoints_add(out, straight_quote(in->at[i]));
}

static void fix_line_ends(const struct codepoints *in, struct codepoints *out)
{
    for (int64_t i = 0; i < in->count; i++) {
        uint32_t const c = in->at[i];
        bool const breaks = c == '\r' || c == 0x2028 || c == 0x2029 || c == 0x85;

        if (c == '\r' && i + 1 < in->count && in->at[i + 1] == '\n') continue;
        codepoints_add(out, breaks ? '\n' : c);
    }
}

static bool is_surrogate(uint32_t c, uint32_t first) { return c >= first && c < first + 0x400; }

static void join_surrogates(const struct codepoints *in, struct codepoints *out)
{
    for (int64_t i = 0; i < in->count; i++) {
        uint32_t const c = in->at[i], next = i + 1 < in->count ? in->at[i + 1] : 0;

        if (is_surrogate(c, 0xd800) && is_surrogate(next, 0xdc00)) {
            codepoints_add(out, 0x10000 + ((c - 0xd800) << 10) + (next - 0xdc00));
            i++;
        } else {
            codepoints_add(out, is_surrogate(c & ~0x400u, 0xd800) ? 0xfffd : c);
        }
    }
}

static bool is_decimal(uint32_t c)
{
    return utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_ND;
}

/* ESC [ numbers letter: colours and cursor moves. Returns where it ends, or `at`. */
static int64_t escape_end(const struct codepoints *in, int64_t at)
{
    int64_t end = at + 2;

    if (end >= in->count || in->at[at] != 0x1b || in->at[at + 1] != '[') return at;
    while (end < in->count && (in->at[end] == ';' || is_decimal(in->at[end]))) end++;
    if (end == in->count || (in->at[end] | 32) < 'a' || (in->at[end] | 32) > 'z') return at;
    return end + 1;
}

static void drop_escapes(const struct codepoints *in, struct codepoints *out)
{
    for (int64_t i = 0; i < in->count;) {
        int64_t const end = escape_end(in, i);

        if (end == i) codepoints_add(out, in->at[i++]);
        if (end > i) i = end;
    }
}

static bool is_invisible(uint32_t c)
{
    bool const control = c < 0x20 && c != '\t' && c != '\n' && c != '\f' && c != '\r';

    return control || c == 0x7f || (c >= 0x206a && c <= 0x206f) || c == 0xfeff ||
           (c >= 0xfff9 && c <= 0xfffc);
}

static void drop_controls(const struct codepoints *in, struct codepoints *out)
{
    for (int64_t i = 0; i < in->count; i++)
        if (!is_invisible(in->at[i])) codepoints_add(out, in->at[i]);
}

/* Below U+0300, where the combining marks begin, NFC changes nothing. */
static bool is_composed(const struct codepoints *r)
{
    int64_t i = 0;

    while (i < r->count && r->at[i] < 0x300) i++;
    return i == r->count;
}

static void compose_nfc(const struct codepoints *in, struct codepoints *out)
{
    struct strbuf utf8 = { 0 };
    utf8proc_uint8_t *nfc = NULL;
    utf8proc_ssize_t n = 0;

    if (is_composed(in)) {
        codepoints_append(out, in->at, in->count);
        return;
    }
    codepoints_write(in, &utf8);
    if (utf8.len)
        n = utf8proc_map((const utf8proc_uint8_t *)utf8.s, (utf8proc_ssize_t)utf8.len, &nfc,
                         UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (n > 0) codepoints_add_utf8(out, (const char *)nfc, (size_t)n);
    out->failed |= utf8.failed || n < 0;
    free(nfc);
    strbuf_free(&utf8);
}

static void fold_space(const struct codepoints *in, struct codepoints *out)
{
    for (int64_t i = 0; i < in->count; i++) {
        bool const space = codepoint_is_space(in->at[i]);
        bool const wanted = out->count && i + 1 < in->count && !codepoint_is_space(in->at[i + 1]);

        if (!space) codepoints_add(out, in->at[i]);
        else if (wanted) codepoints_add(out, ' ');
    }
}

/* Printable ASCII, blanks and the newline: what only references can hide in. */
static bool is_plain(const struct codepoints *r)
{
    int64_t i = 0;

    while (i < r->count && ((r->at[i] >= ' ' && r->at[i] <= '~') || r->at[i] == '\n')) i++;
    return i == r->count;
}

static void mend_line(struct codepoints *line, struct codepoints *scratch)
{
    static const fixer fixers[] = {
        split_ligatures, fold_width,   straighten_quotes, fix_line_ends,
        join_surrogates, drop_escapes, drop_controls,     compose_nfc,
    };

    mojibake_fix(line);
    mojibake_fix_c1(line);
    for (int i = 0; i < COUNT_OF(fixers); i++) apply_fixer(line, scratch, fixers[i]);
}

/* One line, until nothing changes. */
static void repair_line(struct codepoints *line, struct codepoints *scratch, bool unescape)
{
    struct codepoints before = { 0 };

    do {
        codepoints_copy(&before, line);
        if (unescape) apply_fixer(line, scratch, html_unescape_sure);
        if (!is_plain(line)) mend_line(line, scratch);
        line->failed |= before.failed;
    } while (!line->failed && !codepoints_equal(line, &before));
    codepoints_free(&before);
}

static bool contains_point(const struct codepoints *r, uint32_t c)
{
    int64_t i = 0;

    while (i < r->count && r->at[i] != c) i++;
    return i < r->count;
}

/* Line by line; a '<' says that this is HTML, whose references stay as they are
 * in that line and in those after it. */
static void repair_lines(struct codepoints *text, struct codepoints *scratch)
{
    struct codepoints line = { 0 }, out = { 0 };
    bool unescape = true;

    for (int64_t i = 0; i < text->count;) {
        int64_t end = i;
        while (end < text->count && text->at[end] != '\n') end++;
        if (end < text->count) end++;

        codepoints_clear(&line);
        codepoints_append(&line, text->at + i, end - i);
        unescape = unescape && !contains_point(&line, '<');
        repair_line(&line, scratch, unescape);
        codepoints_append(&out, line.at, line.count);
        out.failed |= line.failed;
        i = end;
    }
    codepoints_swap(text, &out);
    text->failed |= out.failed;
    codepoints_free(&line);
    codepoints_free(&out);
}

static status check_raw_prompt(const char *prompt, size_t len)
{
    if (len > TEXT_CLEAN_MAX)
        return fail(ST_FORMAT, "prompt: %zu bytes; at most %d are allowed", len, TEXT_CLEAN_MAX);
    const char *const nul = len ? memchr(prompt, '\0', len) : NULL;
    if (nul) return fail(ST_FORMAT, "prompt: a NUL at byte %td; a prompt is text", nul - prompt);
    return ST_OK;
}

status text_clean(const char *prompt, size_t len, char **out)
{
    struct codepoints text = { 0 }, scratch = { 0 };
    struct strbuf utf8 = { 0 };
    status st = ST_OK;

    TRY(check_raw_prompt(prompt, len));
    size_t const read = codepoints_add_utf8(&text, prompt, len);
    if (read < len)
        FAIL_OUT(ST_FORMAT, "prompt: byte 0x%02X at byte %zu is not UTF-8",
                 (unsigned char)prompt[read], read);
    repair_lines(&text, &scratch);
    apply_fixer(&text, &scratch, html_unescape);
    apply_fixer(&text, &scratch, html_unescape);
    apply_fixer(&text, &scratch, fold_space);
    strbuf_add(&utf8, "", 0);
    codepoints_write(&text, &utf8);
    if (utf8.failed || scratch.failed) {
        st = fail(ST_NOMEM, "prompt: out of memory while cleaning %zu bytes", len);
        strbuf_free(&utf8);
        goto out;
    }
    *out = utf8.s;
out:
    codepoints_free(&text);
    codepoints_free(&scratch);
    return st;
}
