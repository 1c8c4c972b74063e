#include "pipeline/engine/decode_local.h"
#include "base/log.h"

#include <pthread.h>
#include <stdlib.h>

enum { TAIL, DECODER, PAIR };

struct decode_local {
    struct comm *pair[PAIR], *world;
    struct decode_worker *decode;
    pthread_t thread;
    bool runs;
    status st;
    struct error error;
};

status decode_local_open(struct decode_local **out, struct batch *t)
{
    struct decode_local *b = calloc(1, sizeof *b);
    status st = ST_OK;

    *out = NULL;
    if (!b) return fail(ST_NOMEM, "decoding beside the line: no memory");
    b->world = t->world;
    TRY_OUT(comm_thread_open(b->pair, PAIR, t->rank->o->deadline_s));
    TRY_OUT(decode_worker_open(&b->decode, t,
                               &(struct decode_worker_config){
                                   .line = t->me->line, .lines = 1, .in = &b->pair[DECODER] }));
    *out = b;
    b = NULL; /* handed over */
out:
    decode_local_close(&b);
    return st;
}

void decode_local_close(struct decode_local **beside)
{
    struct decode_local *const b = *beside;

    if (!b) return;
    decode_worker_close(&b->decode);
    for (int i = 0; i < PAIR; i++)
        if (b->pair[i]) comm_close(&b->pair[i]);
    free(b);
    *beside = NULL;
}

struct comm *decode_local_link(const struct decode_local *b) { return b->pair[TAIL]; }

const char *decode_local_vae_hash(const struct decode_local *b)
{
    return decode_worker_vae_hash(b->decode);
}

static void *beside_main(void *arg)
{
    struct decode_local *const b = arg;

    log_set_rank(b->world->rank);
    b->st = decode_worker_run(b->decode);
    if (b->st == ST_OK) return NULL;
    b->error = *error_last();
    if (b->st == ST_CANCELED) return NULL;
    comm_abort(b->pair[DECODER]);
    comm_abort(b->world);
    return NULL;
}

status decode_local_start(struct decode_local *b)
{
    if (pthread_create(&b->thread, NULL, beside_main, b))
        return fail(ST_NOMEM, "cannot start a thread that decodes");
    b->runs = true;
    return ST_OK;
}

status decode_local_join(struct decode_local *b, status st)
{
    if (!b->runs) return st;
    if (st != ST_OK && st != ST_CANCELED) comm_abort(b->pair[TAIL]);
    pthread_join(b->thread, NULL);
    b->runs = false;
    if (!status_outweighs(b->st, st)) return st;
    error_adopt(&b->error);
    return b->st;
}

void decode_local_stats(const struct decode_local *b, struct rank_stats *a)
{
    decode_worker_stats(b->decode, a);
}
