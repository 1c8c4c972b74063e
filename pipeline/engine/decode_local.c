/* decode_local.c - decoding beside the line: a thread of its tail that is reached as another
 * rank would be, over a group of two thread ranks, so that the line has one way to hand blocks
 * on. */
#include "base/thread.h"
#include "pipeline/engine/engine_internal.h"

#include <stdlib.h>

enum { TAIL, DECODER, PAIR };

struct decode_local {
    struct comm *pair[PAIR], *world;
    struct decode_worker *decode;
    struct task task;
};

status decode_local_open(struct decode_local **out, struct group *t)
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
    for (int i = 0; i < PAIR; i++) comm_close(&b->pair[i]);
    free(b);
    *beside = NULL;
}

struct comm *decode_local_link(const struct decode_local *b) { return b->pair[TAIL]; }

const char *decode_local_vae_hash(const struct decode_local *b)
{
    return decode_worker_vae_hash(b->decode);
}

static status decode_beside(void *arg)
{
    struct decode_local *const b = arg;
    status const st = decode_worker_run(b->decode);

    if (st == ST_OK || st == ST_CANCELED) return st;
    comm_abort(b->pair[DECODER]);
    comm_abort(b->world);
    return st;
}

status decode_local_start(struct decode_local *b)
{
    return task_start(&b->task, "decode", b->world->rank, decode_beside, b);
}

status decode_local_join(struct decode_local *b, status st)
{
    if (st != ST_OK && st != ST_CANCELED) comm_abort(b->pair[TAIL]);
    return task_join(&b->task, st);
}

void decode_local_stats(const struct decode_local *b, struct rank_stats *a)
{
    decode_worker_stats(b->decode, a);
}
