/* model_pool.c - one slot per device: the model that was loaded last stays until another is wanted,
 * so that groups of one card load it once and thread ranks of a device share it. */
#include "pipeline/engine/model_pool.h"
#include "base/digest.h"
#include "base/log.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* What lies on one card. */
struct slot {
    struct kern_ctx *ctx;
    struct dit *model;
    char *weights, *outer_key;      /* what the model is of; outer_key "": the file's own choice */
    struct weight_adapter *adapter; /* texts are owned; outer_key likewise */
    int adapters;
    struct dit_shape shape;
    char hash[DIGEST_HEX];
    enum dtype act;
    struct schedule schedule;
    int lent;
};

struct model_pool {
    const struct kern_backend *backend;
    int threads;
    pthread_mutex_t lock; /* held while a model is loaded: the others wait for it */
    struct slot slot[MODEL_POOL_DEVICES];
};

status model_pool_open(struct model_pool **out, const struct kern_backend *backend, int threads)
{
    struct model_pool *const s = calloc(1, sizeof *s);

    *out = NULL;
    if (!s) return fail(ST_NOMEM, "store: no memory");
    s->backend = backend;
    s->threads = threads;
    pthread_mutex_init(&s->lock, NULL);
    *out = s;
    return ST_OK;
}

static void drop_adapters(struct slot *s)
{
    for (int i = 0; i < s->adapters; i++) {
        free((char *)(uintptr_t)s->adapter[i].path);
        free((char *)(uintptr_t)s->adapter[i].outer_key);
    }
    free(s->adapter);
    s->adapter = NULL;
    s->adapters = 0;
}

static void drop(struct slot *s)
{
    dit_close(&s->model);
    drop_adapters(s);
    free(s->weights);
    free(s->outer_key);
    s->weights = s->outer_key = NULL;
}

void model_pool_close(struct model_pool **store)
{
    struct model_pool *const s = *store;

    if (!s) return;
    for (int i = 0; i < MODEL_POOL_DEVICES; i++) {
        drop(&s->slot[i]);
        if (s->slot[i].ctx) s->backend->close(&s->slot[i].ctx);
    }
    pthread_mutex_destroy(&s->lock);
    free(s);
    *store = NULL;
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

static bool is_of(const struct slot *s, const char *weights)
{
    return s->model && !strcmp(s->weights, weights);
}

static bool same_adapters(const struct slot *s, const struct dit_config *c)
{
    if (s->adapters != c->adapters) return false;
    for (int i = 0; i < s->adapters; i++) {
        const struct weight_adapter *const a = &s->adapter[i], *const b = &c->adapter[i];
        if (strcmp(a->path, b->path) != 0 ||
            strcmp(a->outer_key, b->outer_key ? b->outer_key : "") != 0 || a->rank != b->rank ||
            a->alpha != b->alpha || a->scale != b->scale)
            return false;
    }
    return true;
}

static status keep_adapters(struct slot *s, const struct dit_config *c)
{
    s->adapter = calloc((size_t)c->adapters + 1, sizeof *s->adapter);
    if (!s->adapter) return fail(ST_NOMEM, "%s: no memory for its adapters", c->weights);
    for (; s->adapters < c->adapters; s->adapters++) {
        struct weight_adapter *const a = &s->adapter[s->adapters];
        *a = c->adapter[s->adapters];
        a->path = strdup(a->path);
        a->outer_key = strdup(a->outer_key ? a->outer_key : "");
        if (a->path && a->outer_key) continue;
        s->adapters++;
        return fail(ST_NOMEM, "%s: no memory for its adapters", c->weights);
    }
    return ST_OK;
}

static bool is_it(const struct slot *s, const struct dit_config *c)
{
    const char *const key = c->outer_key ? c->outer_key : "";

    return is_of(s, c->weights) && !strcmp(s->outer_key, key) && same_adapters(s, c) &&
           s->act == c->act && same_shape(&s->shape, &c->shape) &&
           same_schedule(&s->schedule, c->schedule);
}

/* The file is read once for its hash, however many cards it goes to. */
static status hash(const struct model_pool *s, const char *weights, char out[DIGEST_HEX])
{
    for (int i = 0; i < MODEL_POOL_DEVICES; i++)
        if (is_of(&s->slot[i], weights)) {
            memcpy(out, s->slot[i].hash, DIGEST_HEX);
            return ST_OK;
        }
    return digest_file_set(weights, weights_folders(WEIGHTS_DIT), out);
}

static status load(const struct model_pool *store, struct slot *s, const struct dit_config *c,
                   int device)
{
    struct kern_config const place = { .threads = store->threads, .device = device };

    if (s->lent) return fail(ST_ARG, "%s: another model is in use", c->weights);
    drop(s);
    TRY(hash(store, c->weights, s->hash));
    s->weights = strdup(c->weights);
    s->outer_key = strdup(c->outer_key ? c->outer_key : "");
    if (!s->weights || !s->outer_key) return fail(ST_NOMEM, "%s: its name", c->weights);
    TRY(keep_adapters(s, c));
    s->shape = c->shape;
    s->act = c->act;
    s->schedule = *c->schedule;
    log_info("model: %s", c->weights);
    if (!s->ctx) TRY(store->backend->open(&s->ctx, &place));
    return dit_open(&s->model, c, s->ctx);
}

status model_pool_acquire(struct model_pool *s, const struct dit_config *c, int device,
                          struct pooled_model *out)
{
    status st = ST_OK;

    *out = (struct pooled_model){ 0 };
    if (device < 0 || device >= MODEL_POOL_DEVICES)
        return fail(ST_ARG, "device %d: 0 to %d are allowed", device, MODEL_POOL_DEVICES - 1);
    struct slot *const slot = &s->slot[device];
    pthread_mutex_lock(&s->lock);
    if (!is_it(slot, c)) st = load(s, slot, c, device);
    if (st == ST_OK) {
        slot->lent++;
        *out = (struct pooled_model){ slot->model, slot->hash, device };
    }
    pthread_mutex_unlock(&s->lock);
    return st;
}

void model_pool_release(struct model_pool *s, struct pooled_model *m)
{
    if (!m->dit) return;
    pthread_mutex_lock(&s->lock);
    s->slot[m->device].lent--;
    pthread_mutex_unlock(&s->lock);
    *m = (struct pooled_model){ 0 };
}
