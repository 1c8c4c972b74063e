/*
 * launch_quote.c - texts of users in a script that others run.
 *
 * For the shell every word that is not plainly harmless stands between single quotes, in which
 * nothing has a meaning. Lines for sbatch have quotes of their own that differ between Slurm's
 * versions, so what would need escaping there is refused.
 */
#include "cmd/launch/launch_internal.h"

#include <string.h>

#define PLAIN "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

void launch_add_word(struct strbuf *to, const char *word)
{
    if (*word && strspn(word, PLAIN "/._-+=:,@") == strlen(word)) {
        strbuf_add(to, word, strlen(word));
        return;
    }
    strbuf_addf(to, "'");
    for (const char *at = word; *at; at++)
        if (*at == '\'') strbuf_addf(to, "'\\''");
        else strbuf_add(to, at, 1);
    strbuf_addf(to, "'");
}

status launch_add_sbatch(struct strbuf *to, const char *asked, const char *option,
                         const char *value)
{
    if (!value) return ST_OK;
    for (const unsigned char *at = (const unsigned char *)value; *at; at++)
        if (*at < ' ' || *at == 127 || strchr("'\"\\", *at))
            return fail(ST_ARG,
                        "--%s %s: allowed: no quotes, backslashes or control characters, for it "
                        "stands on an #SBATCH line",
                        asked, value);
    if (!*value) return fail(ST_ARG, "--%s: found nothing", asked);
    bool const plain = strspn(value, PLAIN "/._-+=:,@%&|*()[]") == strlen(value);
    strbuf_addf(to, "#SBATCH --%s=%s%s%s\n", option, plain ? "" : "'", value, plain ? "" : "'");
    return ST_OK;
}
