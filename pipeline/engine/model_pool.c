/* model_pool.c - one slot per device: the model that was loaded last stays until another is wanted,
 * so that groups of one card load it once and thread ranks of a device share it. */
#include "pipeline/engine/model_pool.h"
#include "base/digest.h"
#include "base/file_set.h"
#include "base/log.h"
#include "pipeline/engine/engine_internal.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* What lies on one card. */
struct slot {
    const struct kern_backend *backend; /* that the model was loaded for */
    struct kern_ctx *ctx;               /* of it */
    struct dit *model;
    char *weights, *outer_key; /* what the model is of; outer_key "": the file's own choice */
    struct dit_shape shape;
    char hash[DIGEST_HEX], files[DIGEST_HEX]; /* of the file; key of all that make it */
    enum dtype act;
    struct schedule schedule;
    int lent;
};

struct model_pool {
    int threads;
    pthread_mutex_t lock; /* held while a model is loaded: the others wait for it */
    struct slot slot[MODEL_POOL_DEVICES];
};

status model_pool_open(struct model_pool **out, int threads)
{
    struct model_pool *const p = calloc(1, sizeof *p);

    *out = NULL;
    if (!p) return fail(ST_NOMEM, "models: no memory");
    p->threads = threads;
    pthread_mutex_init(&p->lock, NULL);
    *out = p;
    return ST_OK;
}

static void drop_model(struct slot *s)
{
    dit_close(&s->model);
    free(s->weights);
    free(s->outer_key);
    s->weights = s->outer_key = NULL;
}

static void close_ctx(struct slot *s)
{
    if (s->ctx) s->backend->close(&s->ctx);
}

void model_pool_close(struct model_pool **pool)
{
    struct model_pool *const p = *pool;

    if (!p) return;
    for (int i = 0; i < MODEL_POOL_DEVICES; i++) {
        drop_model(&p->slot[i]);
        close_ctx(&p->slot[i]);
    }
    pthread_mutex_destroy(&p->lock);
    free(p);
    *pool = NULL;
}

static bool same_schedule(const struct schedule *a, const struct schedule *b)
{
    if (a->usual != b->usual || a->opening != b->opening || a->entries != b->entries) return false;
    for (int i = 0; i < a->entries; i++)
        if (!(a->timestep[i] == b->timestep[i] && a->sigma[i] == b->sigma[i])) return false;
    return true;
}

static bool same_shape(const struct dit_shape *a, const struct dit_shape *b)
{
    return a->dim == b->dim && a->ffn_dim == b->ffn_dim && a->heads == b->heads &&
           a->layers == b->layers && a->text_dim == b->text_dim && a->text_len == b->text_len &&
           a->freq_dim == b->freq_dim && a->channels == b->channels && a->eps == b->eps;
}

static bool holds_file(const struct slot *s, const char *weights, const char *files)
{
    return s->model && !strcmp(s->weights, weights) && !strcmp(s->files, files);
}

static bool holds_model(const struct slot *s, const struct model_request *r)
{
    const struct dit_config *const c = r->dit;
    const char *const key = c->outer_key ? c->outer_key : "";

    return holds_file(s, c->weights, r->files) && s->backend == r->backend &&
           !strcmp(s->outer_key, key) && s->act == c->act && same_shape(&s->shape, &c->shape) &&
           same_schedule(&s->schedule, c->schedule);
}

/* The file is read once for its hash, however many cards it goes to. */
static status hash_weights(const struct model_pool *p, const struct model_request *r,
                           char out[DIGEST_HEX])
{
    for (int i = 0; i < MODEL_POOL_DEVICES; i++)
        if (holds_file(&p->slot[i], r->dit->weights, r->files)) {
            memcpy(out, p->slot[i].hash, DIGEST_HEX);
            return ST_OK;
        }
    return model_file_hash(r->dit->weights, file_set_transformer, r->hash_cache, out);
}

static status load_model(const struct model_pool *p, struct slot *s, const struct model_request *r)
{
    struct kern_config const place = { .threads = p->threads, .device = r->device };
    const struct dit_config *const c = r->dit;

    if (s->lent) return fail(ST_ARG, "%s: another model is in use", c->weights);
    drop_model(s);
    TRY(hash_weights(p, r, s->hash));
    memcpy(s->files, r->files, DIGEST_HEX);
    s->weights = strdup(c->weights);
    s->outer_key = strdup(c->outer_key ? c->outer_key : "");
    if (!s->weights || !s->outer_key) return fail(ST_NOMEM, "%s: its name", c->weights);
    s->shape = c->shape;
    s->act = c->act;
    s->schedule = *c->schedule;
    log_info("model: %s", c->weights);
    if (s->backend != r->backend) close_ctx(s);
    s->backend = r->backend;
    if (!s->ctx) TRY(r->backend->open(&s->ctx, &place));
    return dit_open(&s->model, c, s->ctx);
}

status model_pool_acquire(struct model_pool *p, const struct model_request *r,
                          struct pooled_model *out)
{
    status st = ST_OK;

    *out = (struct pooled_model){ 0 };
    if (r->device < 0 || r->device >= MODEL_POOL_DEVICES)
        return fail(ST_ARG, "device %d: 0 to %d are allowed", r->device, MODEL_POOL_DEVICES - 1);
    struct slot *const slot = &p->slot[r->device];
    pthread_mutex_lock(&p->lock);
    if (!holds_model(slot, r)) st = load_model(p, slot, r);
    if (st == ST_OK) {
        slot->lent++;
        *out = (struct pooled_model){ slot->model, slot->hash, r->device };
    }
    pthread_mutex_unlock(&p->lock);
    return st;
}

void model_pool_release(struct model_pool *p, struct pooled_model *m)
{
    if (!m->dit) return;
    pthread_mutex_lock(&p->lock);
    p->slot[m->device].lent--;
    pthread_mutex_unlock(&p->lock);
    *m = (struct pooled_model){ 0 };
}
