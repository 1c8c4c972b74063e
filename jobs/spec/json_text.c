/* json_text.c - a text of any bytes as a JSON string. */
#include "base/strbuf.h"
#include "base/utf8.h"
#include "jobs/spec/json_build.h"

#include <string.h>

json_t *json_from_text(const char *text)
{
    struct strbuf t = { 0 };
    size_t len = strlen(text);
    json_t *out = NULL;

    if (utf8_valid(text, len)) return json_stringn(text, len);
    while (len) {
        uint32_t c;
        int const n = utf8_decode(&c, text, len);
        if (n) strbuf_add(&t, text, (size_t)n);
        else strbuf_add(&t, "\xEF\xBF\xBD", 3);
        text += n ? n : 1;
        len -= (size_t)(n ? n : 1);
    }
    if (!t.failed) out = json_stringn(t.s, t.len);
    strbuf_free(&t);
    return out;
}
