/* user_cache.c - the user's cache folder, as the XDG base directories have it. */
#include "cmd/user_cache.h"
#include "base/strbuf.h"

#include <stdlib.h>

char *user_cache_path(const char *name)
{
    const char *const xdg = getenv("XDG_CACHE_HOME"), *const home = getenv("HOME");

    if (xdg && xdg[0] == '/') return str_format("%s/rollmill/%s", xdg, name);
    return home && home[0] == '/' ? str_format("%s/.cache/rollmill/%s", home, name) : NULL;
}
