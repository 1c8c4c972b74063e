/* umt5_layer.c - the tensors of a UMT5 checkpoint, listed once for shape, check and load. */
#include "pipeline/text/text_internal.h"

#include <stdio.h>

enum { MAX_LAYERS = 1024 };

const struct umt5_shape umt5_xxl = { .vocab = 256384,
                                     .dim = 4096,
                                     .dim_attn = 4096,
                                     .ffn = 10240,
                                     .heads = 64,
                                     .buckets = 32,
                                     .layers = 24 };

static status find_matrix(const struct weights *w, const char *name, int64_t *rows, int64_t *cols)
{
    int const at = weights_find(w, name);
    const struct weight_info *const t = at < 0 ? NULL : weights_at(w, at);

    if (!t || t->ndim != 2 || t->dim[0] < 1 || t->dim[1] < 1)
        return fail(ST_FORMAT, "%s: no matrix %s, which a UMT5 encoder has; %s", weights_path(w),
                    name, bind_guess(w));
    *rows = t->dim[0];
    *cols = t->dim[1];
    return ST_OK;
}

static int count_layers(const struct weights *w)
{
    char name[BIND_NAME];
    int n = -1;

    do {
        n++;
        snprintf(name, sizeof name, "blocks.%d.norm1.weight", n);
    } while (n < MAX_LAYERS && weights_find(w, name) >= 0);
    return n;
}

static status infer_shape(struct umt5_shape *s, const struct weights *w)
{
    int64_t dim;

    TRY(find_matrix(w, "token_embedding.weight", &s->vocab, &s->dim));
    TRY(find_matrix(w, "blocks.0.attn.q.weight", &s->dim_attn, &dim));
    TRY(find_matrix(w, "blocks.0.ffn.fc1.weight", &s->ffn, &dim));
    TRY(find_matrix(w, "blocks.0.pos_embedding.embedding.weight", &s->buckets, &s->heads));
    s->layers = count_layers(w);
    if (s->dim_attn % s->heads)
        return fail(ST_FORMAT, "%s: attention of width %lld has %lld heads; they must divide it",
                    weights_path(w), (long long)s->dim_attn, (long long)s->heads);
    if (s->buckets % 4 || s->buckets / 4 >= UMT5_MAX_DISTANCE)
        return fail(ST_FORMAT, "%s: %lld position buckets; multiples of 4 below %d are allowed",
                    weights_path(w), (long long)s->buckets, 4 * UMT5_MAX_DISTANCE);
    return ST_OK;
}

void umt5_list_layer(struct bind_list *l, struct umt5_layer *to, const struct umt5_shape *s,
                     int layer, enum dtype precision)
{
    const struct {
        const char *name;
        struct kern_weight *to;
        int64_t n, k;
        enum dtype dtype;
    } linear[] = {
        { "attn.q", &to->q, s->dim_attn, s->dim, DT_F32 },
        { "attn.k", &to->k, s->dim_attn, s->dim, DT_F32 },
        { "attn.v", &to->v, s->dim_attn, s->dim, DT_F32 },
        { "attn.o", &to->o, s->dim, s->dim_attn, DT_F32 },
        { "ffn.gate.0", &to->gate, s->ffn, s->dim, precision },
        { "ffn.fc1", &to->fc1, s->ffn, s->dim, precision },
        { "ffn.fc2", &to->fc2, s->dim, s->ffn, precision },
    };
    struct bind_slot const norm1 = { .ndim = 1, .dim = { s->dim }, .vector = &to->norm1 };
    struct bind_slot const norm2 = { .ndim = 1, .dim = { s->dim }, .vector = &to->norm2 };
    struct bind_slot const positions = { .ndim = 2,
                                         .dim = { s->buckets, s->heads },
                                         .vector = &to->positions };

    bind_add(l, &norm1, "blocks.%d.norm1.weight", layer);
    bind_add(l, &norm2, "blocks.%d.norm2.weight", layer);
    bind_add(l, &positions, "blocks.%d.pos_embedding.embedding.weight", layer);
    for (int i = 0; i < COUNT_OF(linear); i++) {
        struct bind_slot const slot = { .ndim = 2,
                                        .dim = { linear[i].n, linear[i].k },
                                        .weight = linear[i].to,
                                        .use = KERN_LINEAR,
                                        .dtype = linear[i].dtype };
        bind_add(l, &slot, "blocks.%d.%s.weight", layer, linear[i].name);
    }
}

void umt5_list_norm(struct bind_list *l, struct tensor *to, const struct umt5_shape *s)
{
    bind_add(l, &(struct bind_slot){ .ndim = 1, .dim = { s->dim }, .vector = to }, "norm.weight");
}

status umt5_read_shape(struct umt5_shape *out, const struct weights *w)
{
    struct bind_list list = { 0 };
    struct umt5_layer layer = { 0 };
    struct tensor unused = { 0 };

    TRY(infer_shape(out, w));
    struct bind_slot const embedding = { .ndim = 2,
                                         .dim = { out->vocab, out->dim },
                                         .vector = &unused };
    bind_add(&list, &embedding, "token_embedding.weight");
    for (int i = 0; i < out->layers; i++) umt5_list_layer(&list, &layer, out, i, DT_F32);
    umt5_list_norm(&list, &unused, out);
    status const st = bind_check(&list, w);
    bind_free(&list);
    return st;
}
