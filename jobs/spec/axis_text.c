/* axis_text.c - what programs write into files of values, brought to a form that can be taken. */
#include "base/utf8.h"
#include "jobs/spec/spec_internal.h"

#include <stdlib.h>
#include <string.h>

/* The bytes of a terminal's escape at s, such as ESC [ 31 m; 0: none stands there. */
static size_t escape_bytes(const char *s, size_t len)
{
    size_t n = 2;

    if (len < 3 || s[0] != 0x1b || s[1] != '[') return 0;
    while (n < len && (s[n] == ';' || (s[n] >= '0' && s[n] <= '9'))) n++;
    if (n == len || (s[n] | 32) < 'a' || (s[n] | 32) > 'z') return 0;
    return n + 1;
}

/* As the cleaning of prompts has it. */
static bool is_invisible(uint32_t c)
{
    bool const control = c < 0x20 && c != '\t' && c != '\n' && c != '\r';

    return control || c == 0x7f || (c >= 0x206a && c <= 0x206f) || c == 0xfeff ||
           (c >= 0xfff9 && c <= 0xfffc);
}

size_t axis_text_clean(char *s, size_t len)
{
    size_t kept = 0;

    for (size_t i = 0; i < len;) {
        uint32_t c = 0;
        size_t const escape = escape_bytes(s + i, len - i);
        int const bytes = utf8_decode(&c, s + i, len - i);
        if (escape) i += escape;
        else if (bytes && is_invisible(c)) i += (size_t)bytes;
        else
            for (int k = 0; k < (bytes ? bytes : 1); k++) s[kept++] = s[i++];
    }
    return kept;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool is_word(char c)
{
    return is_digit(c) || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '+' || c == '-' || c == '.';
}

/* A word outside of JSON's strings. A whole number that is too long for readers of JSON becomes a
 * string; NaN, infinities and numbers with an exponent, of which some are too large, null. */
static void add_mended(struct strbuf *to, const char *word, size_t len)
{
    size_t const sign = word[0] == '-';
    size_t digits = 0;

    while (sign + digits < len && is_digit(word[sign + digits])) digits++;
    bool const whole = sign + digits == len && digits > 18 && word[sign] != '0';
    bool const exponent = digits && (memchr(word, 'e', len) || memchr(word, 'E', len));
    bool const special = (len == 3 && !memcmp(word, "NaN", 3)) ||
                         (len - sign == 8 && !memcmp(word + sign, "Infinity", 8));

    if (whole) strbuf_add(to, "\"", 1);
    if (exponent || special) strbuf_add(to, "null", 4);
    else strbuf_add(to, word, len);
    if (whole) strbuf_add(to, "\"", 1);
}

char *axis_text_mend_json(const char *line, size_t len)
{
    struct strbuf out = { 0 };

    for (size_t i = 0; i < len;) {
        size_t n = 1;
        if (line[i] == '"') {
            for (; i + n < len && line[i + n] != '"'; n++)
                if (line[i + n] == '\\' && i + n + 1 < len) n++;
            if (i + n < len) n++;
            strbuf_add(&out, line + i, n);
        } else if (is_word(line[i])) {
            while (i + n < len && is_word(line[i + n])) n++;
            add_mended(&out, line + i, n);
        } else strbuf_add(&out, line + i, 1);
        i += n;
    }
    if (out.failed) strbuf_free(&out);
    return out.s;
}
