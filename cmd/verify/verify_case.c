/* verify_case.c - a golden case's numbers, inputs and results. */
#include "base/strbuf.h"
#include "cmd/verify/verify_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

status verify_int(const struct verify_case *c, const char *key, int min, int max, int *out)
{
    const struct json_node *const v = json_tree_member(c->json, key);

    if (!json_tree_is(v, NODE_WHOLE) || v->whole < min || v->whole > max)
        return fail(ST_FORMAT, "%s/case.json: %s: a whole number from %d to %d is expected", c->dir,
                    key, min, max);
    *out = (int)v->whole;
    return ST_OK;
}

static bool is_known(const char *name, const char *const *known, int count)
{
    for (int i = 0; i < count; i++)
        if (known[i] && !strcmp(known[i], name)) return true;
    return false;
}

status verify_keys(const struct verify_case *c, const char *const *known, int count)
{
    for (const struct json_node *n = c->json->first; n; n = n->next)
        if (!is_known(n->name, known, count))
            return fail(ST_FORMAT, "%s/case.json: %s: unknown key", c->dir, n->name);
    return ST_OK;
}

status verify_input_shape(struct verify_case *c, const char *name, struct tensor *out)
{
    int const i = c->inputs ? weights_find(c->inputs, name) : -1;

    if (i < 0) return fail(ST_FORMAT, "%s/inputs.safetensors: no tensor `%s`", c->dir, name);
    *out = weights_at(c->inputs, i)->t;
    return ST_OK;
}

static struct tensor without_leading_ones(const struct tensor *t, int ndim)
{
    struct tensor s = *t;

    while (s.ndim > ndim && s.dim[0] == 1) {
        s.ndim--;
        memmove(s.dim, s.dim + 1, (size_t)s.ndim * sizeof *s.dim);
    }
    return s;
}

status verify_input(struct verify_case *c, const char *name, int ndim, const int64_t *dim,
                    float **out)
{
    char found[SHAPE_TEXT], expected[SHAPE_TEXT];
    struct tensor is, want;
    const void *data;

    *out = NULL;
    TRY(verify_input_shape(c, name, &is));
    TRY(tensor_make(&want, DT_F32, ndim, dim));
    is = without_leading_ones(&is, ndim);
    if (c->shared && is.ndim == ndim && is.dim[0] > dim[0]) is.dim[0] = dim[0];
    if (!tensor_same_shape(&is, &want))
        return fail(ST_FORMAT, "%s/inputs.safetensors: %s is %s; %s is expected", c->dir, name,
                    tensor_shape(&is, found), tensor_shape(&want, expected));
    TRY(weights_fetch(c->inputs, weights_find(c->inputs, name), &data));
    float *const host = malloc(tensor_bytes(&want) + 1);
    if (!host) return fail(ST_NOMEM, "%s: %zu bytes", name, tensor_bytes(&want));
    status const st = tensor_convert(host, DT_F32, data, is.dtype, tensor_count(&want));
    if (st != ST_OK) {
        free(host);
        return st;
    }
    *out = host;
    return ST_OK;
}

status verify_add(struct verify_case *c, const char *name, int ndim, const int64_t *dim,
                  float **out)
{
    struct verify_set *const s = &c->computed;
    struct verify_tensor t = { .name = str_format("%s", name) };
    status st = ST_OK;

    *out = NULL;
    TRY_OUT(tensor_make(&t.t, DT_F32, ndim, dim));
    t.t.data = malloc(tensor_bytes(&t.t) + 1);
    struct verify_tensor *const more = realloc(s->item, (size_t)(s->count + 1) * sizeof *more);
    if (more) s->item = more;
    if (!more || !t.name || !t.t.data)
        FAIL_OUT(ST_NOMEM, "%s: %zu bytes", name, tensor_bytes(&t.t));
    *out = t.t.data;
    for (int64_t i = 0; i < tensor_count(&t.t); i++) (*out)[i] = NAN;
    s->item[s->count++] = t;
    t = (struct verify_tensor){ 0 }; /* handed over */
out:
    free(t.name);
    free(t.t.data);
    return st;
}

char *verify_model(const struct verify_case *c, const char *name)
{
    return str_format("%s/model/%s", c->shared ? c->shared : c->dir, name);
}

/* One tensor from one rank: what is not NaN there and is here. */
static status receive_tensor(struct comm *world, int from, struct tensor *to)
{
    struct comm_xfer part = { .t = *to, .peer = from };
    int64_t const n = tensor_count(to);
    float *const into = to->data, *const came = malloc((size_t)n * sizeof *came + 1);
    status st = ST_OK;

    if (!came) return fail(ST_NOMEM, "%lld numbers of rank %d", (long long)n, from);
    part.t.data = came;
    TRY_OUT(comm_post(world, &part, 1));
    TRY_OUT(comm_wait(world));
    for (int64_t i = 0; i < n; i++)
        if (isnan(into[i])) into[i] = came[i];
out:
    free(came);
    return st;
}

status verify_gather(struct verify_case *c)
{
    struct comm *const world = c->o.world;

    for (int i = 0; i < c->computed.count; i++) {
        struct tensor *const t = &c->computed.item[i].t;
        for (int r = 1; world->rank == 0 && r < world->size; r++) TRY(receive_tensor(world, r, t));
        if (world->rank == 0) continue;
        struct comm_xfer const part = { .t = *t, .peer = 0, .send = true };
        TRY(comm_post(world, &part, 1));
        TRY(comm_wait(world));
    }
    return ST_OK;
}
