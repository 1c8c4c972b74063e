/* queue_url.c - --queue, ROLLMILL_QUEUE, or a file of this user. */
#include "base/strbuf.h"
#include "cmd/queue/cmd_queue_internal.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A relative path is made one that holds wherever the URL goes. */
static char *whole_url(const char *url)
{
    static const char scheme[] = "sqlite:";
    size_t const n = sizeof scheme - 1;
    char *const here = !strncmp(url, scheme, n) && url[n] && url[n] != '/' ? getcwd(NULL, 0) : NULL;
    char *const whole = here ? str_format("%s%s/%s", scheme, here, url + n) : str_format("%s", url);

    free(here);
    return whole;
}

static char *default_url(void)
{
    const char *const xdg = getenv("XDG_STATE_HOME"), *const home = getenv("HOME");

    if (xdg && xdg[0] == '/') return str_format("sqlite:%s/rollmill/queue.db", xdg);
    if (home && home[0] == '/') return str_format("sqlite:%s/.local/state/rollmill/queue.db", home);
    return NULL;
}

status queue_url_find(char **url, const char *option)
{
    const char *const given = option ? option : getenv("ROLLMILL_QUEUE");

    *url = NULL;
    if (option && queue_url_has_password(option))
        return fail(ST_ARG, "--queue holds a password, which everybody on this machine could see; "
                            "allowed: one in PGPASSFILE, PGSERVICEFILE or ROLLMILL_QUEUE");
    *url = given && *given ? whole_url(given) : default_url();
    if (*url) return ST_OK;
    return fail(ST_ARG, "there is no HOME to keep a queue in; allowed: --queue or ROLLMILL_QUEUE");
}

bool queue_url_is_file(const char *option)
{
    const char *const given = option ? option : getenv("ROLLMILL_QUEUE");
    return !given || !*given || !strncmp(given, "sqlite:", 7);
}

status queue_check_answer(const struct queue *q, enum queue_answer a)
{
    if (a == QUEUE_OK) return ST_OK;
    return fail(a == QUEUE_DOWN ? ST_IO : ST_FORMAT, "queue: %s", queue_error(q));
}

status queue_url_open(struct queue **q, const char *option, bool make)
{
    char *url;

    *q = NULL;
    TRY(queue_url_find(&url, option));
    enum queue_answer const a = queue_open(q, url, make);
    free(url);
    return queue_check_answer(*q, a);
}

const char *queue_user_name(void)
{
    const struct passwd *const p = getpwuid(getuid());
    return p && p->pw_name ? p->pw_name : "somebody";
}
