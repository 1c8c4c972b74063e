/*
 * yaml_text.c - byte order marks and the surrogate pairs of JSON.
 *
 * JSON is YAML but for its escapes beyond U+FFFF. To see where they are escapes and not two words
 * in a block of text, the text has to be JSON from end to end: outside of strings, only what
 * JSON has there. In such a text blanks may stand behind any string.
 */
#include "jobs/yaml/yaml_internal.h"

#include <stdlib.h>
#include <string.h>

size_t yaml_text_drop_marks(char *text, size_t len)
{
    size_t kept = 0;

    for (size_t i = 0; i < len;) {
        bool const begins = !kept || text[kept - 1] == '\n';
        if (begins && len - i >= 3 && !memcmp(text + i, "\xef\xbb\xbf", 3)) i += 3;
        else text[kept++] = text[i++];
    }
    return kept;
}

/* Where the string ends that begins at the quote: behind its other quote, or len. */
static size_t string_end(const char *text, size_t at, size_t len)
{
    for (at++; at < len && text[at] != '"'; at++)
        if (text[at] == '\\') at++;
    return at < len ? at + 1 : len;
}

static bool is_json(const char *text, size_t len)
{
    static const char set[] = "{}[]:,+-.0123456789eEtrufalsn \r\n";

    for (size_t i = 0; i < len;) {
        if (text[i] == '"') i = string_end(text, i, len);
        else if (text[i] && strchr(set, text[i])) i++;
        else return false;
    }
    return true;
}

/* The number of \uXXXX in [at, end), 0 if none stands there. */
static unsigned escaped_unit(const char *text, size_t at, size_t end)
{
    char digits[5] = "";
    char *stop;

    if (end - at < 6 || text[at] != '\\' || text[at + 1] != 'u') return 0;
    memcpy(digits, text + at + 2, 4);
    if (strspn(digits, "0123456789abcdefABCDEF") != 4) return 0;
    return (unsigned)strtoul(digits, &stop, 16);
}

static void write_escape(char *to, unsigned high, unsigned low)
{
    static const char digit[] = "0123456789abcdef";
    unsigned c = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);

    to[0] = '\\';
    to[1] = 'U';
    for (int i = 9; i >= 2; i--, c >>= 4) to[i] = digit[c & 15];
}

/* The string in [at, end), its quotes included. */
static void join_in_string(char *text, size_t at, size_t end)
{
    size_t kept = at;

    while (at < end) {
        unsigned const high = escaped_unit(text, at, end);
        unsigned const low = high >> 10 == 0xd800 >> 10 ? escaped_unit(text, at + 6, end) : 0;
        if (low >> 10 == 0xdc00 >> 10) {
            write_escape(text + kept, high, low);
            kept += 10;
            at += 12;
            continue;
        }
        if (text[at] == '\\' && end - at > 1) text[kept++] = text[at++];
        text[kept++] = text[at++];
    }
    memset(text + kept, ' ', end - kept);
}

void yaml_text_join_surrogates(char *text, size_t len)
{
    if (!is_json(text, len)) return;
    for (size_t i = 0; i < len;) {
        size_t const end = text[i] == '"' ? string_end(text, i, len) : i + 1;
        if (text[i] == '"') join_in_string(text, i, end);
        i = end;
    }
}
