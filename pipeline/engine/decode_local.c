#include "pipeline/engine/decode_local.h"
#include "base/log.h"

#include <pthread.h>
#include <stdlib.h>

enum { TAIL, DECODER, PAIR };

struct render_beside {
    struct comm *pair[PAIR], *world;
    struct render_decode *decode;
    pthread_t thread;
    bool runs;
    status st;
    struct error error;
};

status render_beside_open(struct render_beside **out, struct batch *t)
{
    struct render_beside *b = calloc(1, sizeof *b);
    status st = ST_OK;

    *out = NULL;
    if (!b) return fail(ST_NOMEM, "decoding beside the line: no memory");
    b->world = t->world;
    TRY_OUT(comm_thread_open(b->pair, PAIR, t->rank->o->deadline_s));
    TRY_OUT(render_decode_open(&b->decode, t,
                               &(struct render_decode_config){
                                   .line = t->me->line, .lines = 1, .in = &b->pair[DECODER] }));
    *out = b;
    b = NULL; /* handed over */
out:
    render_beside_close(&b);
    return st;
}

void render_beside_close(struct render_beside **beside)
{
    struct render_beside *const b = *beside;

    if (!b) return;
    render_decode_close(&b->decode);
    for (int i = 0; i < PAIR; i++)
        if (b->pair[i]) b->pair[i]->ops->close(&b->pair[i]);
    free(b);
    *beside = NULL;
}

struct comm *render_beside_hop(const struct render_beside *b) { return b->pair[TAIL]; }

const char *render_beside_vae_hash(const struct render_beside *b)
{
    return render_decode_vae_hash(b->decode);
}

static void *beside_main(void *arg)
{
    struct render_beside *const b = arg;

    log_set_rank(b->world->rank);
    b->st = render_decode_run(b->decode);
    if (b->st == ST_OK) return NULL;
    b->error = *error_last();
    if (b->st == ST_CANCELED) return NULL;
    b->pair[DECODER]->ops->abort(b->pair[DECODER]);
    b->world->ops->abort(b->world);
    return NULL;
}

status render_beside_start(struct render_beside *b)
{
    if (pthread_create(&b->thread, NULL, beside_main, b))
        return fail(ST_NOMEM, "cannot start a thread that decodes");
    b->runs = true;
    return ST_OK;
}

status render_beside_join(struct render_beside *b, status st)
{
    if (!b->runs) return st;
    if (st != ST_OK && st != ST_CANCELED) b->pair[TAIL]->ops->abort(b->pair[TAIL]);
    pthread_join(b->thread, NULL);
    b->runs = false;
    if (!status_outweighs(b->st, st)) return st;
    error_adopt(&b->error);
    return b->st;
}

void render_beside_account(const struct render_beside *b, struct render_account *a)
{
    render_decode_account(b->decode, a);
}
