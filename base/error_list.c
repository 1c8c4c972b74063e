/* error_list.c - messages collected as far as one failure can hold them. */
#include "base/error_list.h"

#include <string.h>

enum { ROOM = ERROR_MESSAGE - 64 }; /* the rest is for how many there was no room for */

/* Does this message stand there, as lines of its own? */
static bool is_reported(const struct strbuf *t, const char *msg)
{
    size_t const n = strlen(msg);

    for (const char *at = t->s; at && (at = strstr(at, msg)); at++)
        if ((at == t->s || at[-1] == '\n') && (at[n] == '\n' || !at[n])) return true;
    return false;
}

bool error_list_add(struct error_list *l, status st)
{
    const char *const msg = error_last()->msg;

    if (st != ST_FORMAT) return false;
    if (is_reported(&l->text, msg)) return true;
    if (l->count && l->text.len + strlen(msg) > ROOM) {
        l->left++;
        return true;
    }
    strbuf_addf(&l->text, "%s%s", l->count ? "\n" : "", msg);
    l->count++;
    return true;
}

status error_list_end(struct error_list *l)
{
    status st = ST_OK;

    if (l->left) strbuf_addf(&l->text, "\nand %d more", l->left);
    if (l->text.failed) st = fail(ST_NOMEM, "no memory to say what is wrong");
    else if (l->count) st = fail(ST_FORMAT, "%s", l->text.s);
    error_list_free(l);
    return st;
}

void error_list_free(struct error_list *l)
{
    strbuf_free(&l->text);
    *l = (struct error_list){ 0 };
}
