/* start_backend.c - copies of the processor's backend, one for contexts that are opened on the
 * thread of starts, one for all others: a context says whose it is. */
#define _GNU_SOURCE /* pthread_getname_np */
#include "tests/engine/start_backend.h"

#include <math.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

enum { WAIT_MS = 20000 };
static struct kern_backend outer, of_starts, of_others;
static struct start_watch *watch;

static bool is_let_go(void) { return atomic_load(&watch->let_go); }

static void await(bool (*come)(void))
{
    for (int ms = 0; !come(); ms++) {
        if (ms == WAIT_MS) {
            atomic_store(&watch->waited_in_vain, true);
            return;
        }
        nanosleep(&(struct timespec){ .tv_nsec = 1000000L }, NULL);
    }
}

static status open_watched(struct kern_ctx **out, const struct kern_config *c)
{
    char name[16];

    pthread_getname_np(pthread_self(), name, sizeof name);
    bool const start = !strcmp(name, "starts");
    *out = NULL;
    if (start && !atomic_fetch_add(&watch->opened, 1) && watch->fault == START_MEMORY)
        return fail(ST_NOMEM, "there is no more of it");
    TRY(kern_backend_find("cpu")->open(out, c));
    (*out)->backend = start ? &of_starts : &of_others;
    return ST_OK;
}

static status download_watched(struct kern_ctx *ctx, void *host, const struct tensor *from)
{
    enum start_fault const fault = watch->fault;

    TRY(kern_backend_find("cpu")->download(ctx, host, from));
    if (ctx->backend != &of_starts || atomic_fetch_add(&watch->frames, 1)) return ST_OK;
    atomic_store(&watch->begun, true);
    if (fault == START_NO_NUMBER) *(float *)host = NAN;
    if (fault == START_CARD) return fail(ST_DEVICE, "the card is gone");
    if (fault == START_WAIT) await(is_let_go);
    if (fault == START_STOP) atomic_store(*watch->stop, true);
    if (fault == START_BREAK) atomic_store(&watch->broken, true);
    if (fault == START_STOP || fault == START_BREAK) await(watch->is_over);
    return ST_OK;
}

static status unpatchify_watched(struct kern_ctx *ctx, const struct kern_unpatchify *a)
{
    if (atomic_load(&watch->broken)) return fail(ST_DEVICE, "the line's card is gone");
    return kern_backend_find("cpu")->ops.unpatchify(ctx, a);
}

const struct kern_backend *start_backend(struct start_watch *w)
{
    watch = w;
    outer = of_starts = of_others = *kern_backend_find("cpu");
    outer.open = open_watched;
    outer.download = download_watched;
    of_others.ops.unpatchify = unpatchify_watched;
    return &outer;
}
