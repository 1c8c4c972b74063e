/* queue_url.h - the address of the queue that a command means; its answers as its failures. */
#ifndef QUEUE_URL_H
#define QUEUE_URL_H

#include "cmd/opts.h"
#include "jobs/queue/queue.h"

/* The row of --queue. */
#define QUEUE_OPTION(to)                                                                           \
    {                                                                                              \
        "queue", OPT_TEXT, (to),                                                                   \
            .value = "URL",                                                                        \
            .help = "sqlite:PATH or postgresql://...; left out: ROLLMILL_QUEUE, else a file of "   \
                    "this user"                                                                    \
    }

/* The queue's URL: `option`, else ROLLMILL_QUEUE, else sqlite:$XDG_STATE_HOME/rollmill/queue.db.
 * malloc'ed. ST_ARG for a password in `option`, which `ps` would show; the variable may have it. */
status queue_url_find(char **url, const char *option) MUST_USE;

/* Is it in a file? */
bool queue_url_is_file(const char *option);

/* Open it; `make`: with its tables. Whoever opens, closes, also after a failure. */
status queue_url_open(struct queue **q, const char *option, bool make) MUST_USE;

/* ST_OK, or a failure with the queue's words: ST_IO if it is away, else ST_FORMAT. */
status queue_check_answer(const struct queue *q, enum queue_answer a) MUST_USE;

/* Who gives an order: the user's name. */
const char *queue_user_name(void);

#endif /* QUEUE_URL_H */
