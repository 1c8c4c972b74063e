#include "cmd/render_store.h"
#include "base/log.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct render_store {
    const struct kern_backend *backend;
    pthread_mutex_t lock; /* held while a model is loaded: the others wait for it */
    struct kern_ctx *ctx;
    struct dit *model;
    char *weights; /* what the model is of */
    enum dtype act;
    struct schedule schedule;
    int lent;
};

status render_store_open(struct render_store **out, const struct kern_backend *backend, int threads)
{
    struct render_store *s = calloc(1, sizeof *s);
    status st = ST_OK;

    *out = NULL;
    if (!s) return fail(ST_NOMEM, "store: no memory");
    s->backend = backend;
    pthread_mutex_init(&s->lock, NULL);
    TRY_OUT(backend->open(&s->ctx, &(struct kern_config){ .threads = threads }));
    *out = s;
    s = NULL; /* handed over */
out:
    render_store_close(&s);
    return st;
}

static void drop(struct render_store *s)
{
    dit_close(&s->model);
    free(s->weights);
    s->weights = NULL;
}

void render_store_close(struct render_store **store)
{
    struct render_store *const s = *store;

    if (!s) return;
    drop(s);
    if (s->ctx) s->backend->close(&s->ctx);
    pthread_mutex_destroy(&s->lock);
    free(s);
    *store = NULL;
}

static bool same_schedule(const struct schedule *a, const struct schedule *b)
{
    if (a->levels != b->levels) return false;
    for (int i = 0; i < a->levels; i++)
        if (!(a->timestep[i] == b->timestep[i] && a->sigma[i] == b->sigma[i])) return false;
    return true;
}

static bool is_it(const struct render_store *s, const struct dit_config *c)
{
    return s->model && !strcmp(s->weights, c->weights) && s->act == c->act &&
           same_schedule(&s->schedule, c->schedule);
}

static status load(struct render_store *s, const struct dit_config *c)
{
    if (s->lent) return fail(ST_ARG, "%s: another model is in use", c->weights);
    drop(s);
    s->weights = strdup(c->weights);
    if (!s->weights) return fail(ST_NOMEM, "%s: its name", c->weights);
    s->act = c->act;
    s->schedule = *c->schedule;
    log_info("model: %s", c->weights);
    return dit_open(&s->model, c, s->ctx);
}

status render_store_borrow(struct render_store *s, const struct dit_config *c,
                           const struct dit **out)
{
    status st = ST_OK;

    *out = NULL;
    pthread_mutex_lock(&s->lock);
    if (!is_it(s, c)) st = load(s, c);
    if (st == ST_OK) {
        s->lent++;
        *out = s->model;
    }
    pthread_mutex_unlock(&s->lock);
    return st;
}

void render_store_give_back(struct render_store *s, const struct dit **d)
{
    if (!*d) return;
    pthread_mutex_lock(&s->lock);
    s->lent--;
    pthread_mutex_unlock(&s->lock);
    *d = NULL;
}
