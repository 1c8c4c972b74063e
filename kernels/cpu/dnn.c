/*
 * dnn.c - plans by shape, and each worker's memory to run them.
 *
 * Plans are made by one thread, while none runs, and kept in a list until the context closes;
 * running one writes nothing but the worker's own memory objects. So workers share plans without
 * a lock, and oneDNN's engine and compiled code are shared too.
 *
 * Packed weights have one form for all tiles of a weight, whichever tile meets them: that which
 * the library likes best for its home shape (home_of). oneDNN would choose another form for the
 * last, smaller tile; a plan is told the form instead, and says (dnn_plan_is_fast) where the
 * library then has nothing but its plain loop.
 *
 * omp_set_num_threads(1) before every call is what keeps oneDNN on the calling thread: the number
 * belongs to the calling thread, and a worker may be one that oneDNN has not met.
 */
#include "kernels/cpu/cpu_tile.h"
#include "kernels/cpu/dnn_internal.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_OMP ||
                   DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_SEQ,
               "oneDNN must be built with OpenMP or without threads");

/* One worker's way to run one plan: memory objects whose address changes. */
struct operands {
    dnnl_memory_t x, w, y, scratch; /* run */
    dnnl_memory_t plain, packed;    /* pack */
};

struct dnn_plan {
    struct dnn *owner;
    struct dnn_plan *next;
    struct dnn_shape shape;
    dnnl_primitive_desc_t desc, pack_desc;
    dnnl_primitive_t run, pack;
    struct operands *operands; /* [workers] */
    bool fast;
};

/* One worker: its stream and the scratch memory the library asks for. */
struct worker {
    dnnl_stream_t stream;
    void *scratch;
};

struct dnn {
    dnnl_engine_t engine;
    int workers;
    struct worker *worker; /* [workers] */
    size_t scratch;        /* bytes every worker has */
    struct dnn_plan *plans;
};

enum { SCRATCH_ALIGN = 4096 };

static status check_dnn(dnnl_status_t st, const char *what)
{
    if (st == dnnl_success) return ST_OK;
    return fail(st == dnnl_out_of_memory ? ST_NOMEM : ST_DEVICE, "oneDNN: %s failed with status %d",
                what, (int)st);
}
#define DNN(call) TRY(check_dnn(call, #call))

static bool has_isa(dnnl_cpu_isa_t wanted)
{
    return ((unsigned)dnnl_get_effective_cpu_isa() & (unsigned)wanted) == (unsigned)wanted;
}

bool dnn_bf16_is_fast(void) { return has_isa(dnnl_cpu_isa_avx512_core_bf16); }

bool dnn_amx_is_allowed(void) { return has_isa(dnnl_cpu_isa_avx512_core_amx); }

unsigned dnn_version(int version[3])
{
    const dnnl_version_t *const v = dnnl_version();

    version[0] = v->major, version[1] = v->minor, version[2] = v->patch;
    return (unsigned)dnnl_get_effective_cpu_isa();
}

status dnn_open(struct dnn **out, int workers)
{
    status st = ST_OK;
    struct dnn *d = calloc(1, sizeof *d);

    *out = NULL;
    if (!d || !(d->worker = calloc((size_t)workers, sizeof *d->worker))) {
        free(d);
        return fail(ST_NOMEM, "oneDNN: no memory for %d workers", workers);
    }
    d->workers = workers;
    TRY_OUT(check_dnn(dnnl_engine_create(&d->engine, dnnl_cpu, 0), "dnnl_engine_create"));
    for (int i = 0; i < workers; i++)
        TRY_OUT(check_dnn(
            dnnl_stream_create(&d->worker[i].stream, d->engine, dnnl_stream_default_flags),
            "dnnl_stream_create"));
    *out = d;
    d = NULL;
out:
    dnn_close(&d);
    return st;
}

static void free_plan(struct dnn_plan *p)
{
    for (int i = 0; p->operands && i < p->owner->workers; i++) {
        const struct operands *const h = &p->operands[i];
        dnnl_memory_t const all[] = { h->x, h->w, h->y, h->scratch, h->plain, h->packed };
        for (int j = 0; j < COUNT_OF(all); j++)
            if (all[j]) dnnl_memory_destroy(all[j]);
    }
    if (p->run) dnnl_primitive_destroy(p->run);
    if (p->pack) dnnl_primitive_destroy(p->pack);
    if (p->desc) dnnl_primitive_desc_destroy(p->desc);
    if (p->pack_desc) dnnl_primitive_desc_destroy(p->pack_desc);
    free(p->operands);
    free(p);
}

void dnn_close(struct dnn **dnn)
{
    struct dnn *const d = *dnn;

    if (!d) return;
    while (d->plans) {
        struct dnn_plan *const next = d->plans->next;
        free_plan(d->plans);
        d->plans = next;
    }
    for (int i = 0; i < d->workers; i++) {
        if (d->worker[i].stream) dnnl_stream_destroy(d->worker[i].stream);
        free(d->worker[i].scratch);
    }
    if (d->engine) dnnl_engine_destroy(d->engine);
    free(d->worker);
    free(d);
    *dnn = NULL;
}

/* The shape whose best form all shapes with the same weights share: a whole
 * tile of rows, or a picture tile of 16 by 16. */
static struct dnn_shape home_of(const struct dnn_shape *s)
{
    struct dnn_shape home = *s;

    home.add = false;
    home.m = s->kind == DNN_PRODUCT ? 64 : 0;
    home.h = s->kind == DNN_CONV ? 15 + s->kh : 0;
    home.w = s->kind == DNN_CONV ? 15 + s->kw : 0;
    home.stride = 1;
    return home;
}

static bool same_shape(const struct dnn_shape *a, const struct dnn_shape *b)
{
    return a->kind == b->kind && a->dtype == b->dtype && a->add == b->add &&
           a->w_by_k == b->w_by_k && a->m == b->m && a->n == b->n && a->k == b->k && a->h == b->h &&
           a->w == b->w && a->kh == b->kh && a->kw == b->kw && a->stride == b->stride;
}

static const char *implementation_name(const_dnnl_primitive_desc_t desc)
{
    const char *name = NULL;

    if (dnnl_primitive_desc_query(desc, dnnl_query_impl_info_str, 0, &name)) return "";
    return name;
}

/* Does the library have code of its own for the described tile, or the plain loop? */
static bool is_fast(const_dnnl_primitive_desc_t desc)
{
    return strncmp(implementation_name(desc), "ref", 3) != 0;
}

/* A memory object of the form `which` of a description, without memory yet. */
static status make_operand(dnnl_memory_t *out, const struct dnn *d,
                           const_dnnl_primitive_desc_t desc, dnnl_query_t which)
{
    DNN(dnnl_memory_create(out, dnnl_primitive_desc_query_md(desc, which, 0), d->engine,
                           DNNL_MEMORY_NONE));
    return ST_OK;
}

static status make_operands(struct dnn_plan *p)
{
    const struct dnn *const d = p->owner;

    p->operands = calloc((size_t)d->workers, sizeof *p->operands);
    if (!p->operands) return fail(ST_NOMEM, "oneDNN: no memory for %d workers", d->workers);
    for (int i = 0; i < d->workers; i++) {
        struct operands *const h = &p->operands[i];
        TRY(make_operand(&h->x, d, p->desc, dnnl_query_src_md));
        TRY(make_operand(&h->w, d, p->desc, dnnl_query_weights_md));
        TRY(make_operand(&h->y, d, p->desc, dnnl_query_dst_md));
        TRY(make_operand(&h->scratch, d, p->desc, dnnl_query_scratchpad_md));
        TRY(make_operand(&h->plain, d, p->pack_desc, dnnl_query_src_md));
        TRY(make_operand(&h->packed, d, p->pack_desc, dnnl_query_dst_md));
    }
    return ST_OK;
}

static status grow_scratch(struct dnn *d, size_t bytes)
{
    if (bytes <= d->scratch) return ST_OK;
    bytes = (bytes + SCRATCH_ALIGN - 1) / SCRATCH_ALIGN * SCRATCH_ALIGN;
    for (int i = 0; i < d->workers; i++) {
        free(d->worker[i].scratch);
        d->worker[i].scratch = aligned_alloc(SCRATCH_ALIGN, bytes);
        if (!d->worker[i].scratch) {
            d->scratch = 0;
            return fail(ST_NOMEM, "oneDNN: no memory for %zu bytes of scratch", bytes);
        }
    }
    d->scratch = bytes;
    return ST_OK;
}

/* Describe the tile; *form is its home's description and goes to the caller. */
static status describe_tile(dnnl_primitive_desc_t *desc, dnnl_primitive_desc_t *form,
                            dnnl_engine_t engine, const struct dnn_shape *s)
{
    struct dnn_shape const home = home_of(s);

    omp_set_num_threads(1);
    DNN(dnn_describe(form, engine, &home, NULL));
    DNN(dnn_describe(desc, engine, s, *form));
    return ST_OK;
}

static status fill_plan(struct dnn_plan *p)
{
    struct dnn *const d = p->owner;
    dnnl_primitive_desc_t form = NULL;
    status st = ST_OK;

    TRY_OUT(describe_tile(&p->desc, &form, d->engine, &p->shape));
    p->fast = is_fast(p->desc) || !is_fast(form);
    TRY_OUT(check_dnn(dnn_describe_pack(&p->pack_desc, d->engine, &p->shape, form), "reorder"));
    TRY_OUT(check_dnn(dnnl_primitive_create(&p->run, p->desc), "dnnl_primitive_create"));
    TRY_OUT(check_dnn(dnnl_primitive_create(&p->pack, p->pack_desc), "dnnl_primitive_create"));
    TRY_OUT(make_operands(p));
    TRY_OUT(grow_scratch(d, dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(
                                p->desc, dnnl_query_scratchpad_md, 0))));
out:
    if (form) dnnl_primitive_desc_destroy(form);
    return st;
}

status dnn_plan(struct dnn *d, const struct dnn_shape *s, const struct dnn_plan **out)
{
    for (*out = d->plans; *out; *out = (*out)->next)
        if (same_shape(&(*out)->shape, s)) return ST_OK;

    struct dnn_plan *const p = calloc(1, sizeof *p);
    if (!p) return fail(ST_NOMEM, "oneDNN: no memory for a plan");
    p->owner = d;
    p->shape = *s;
    status const st = fill_plan(p);
    if (st != ST_OK) {
        free_plan(p);
        return st;
    }
    p->next = d->plans;
    d->plans = p;
    *out = p;
    return ST_OK;
}

bool dnn_plan_is_fast(const struct dnn_plan *p) { return p->fast; }

size_t dnn_plan_packed_bytes(const struct dnn_plan *p)
{
    return dnnl_memory_desc_get_size(
        dnnl_primitive_desc_query_md(p->desc, dnnl_query_weights_md, 0));
}

status dnn_packed_bytes(const struct dnn_shape *s, size_t *out)
{
    dnnl_engine_t engine = NULL;
    dnnl_primitive_desc_t form = NULL;
    struct dnn_shape const home = home_of(s);
    status st = ST_OK;

    *out = 0;
    omp_set_num_threads(1);
    TRY_OUT(check_dnn(dnnl_engine_create(&engine, dnnl_cpu, 0), "dnnl_engine_create"));
    TRY_OUT(check_dnn(dnn_describe(&form, engine, &home, NULL), "description"));
    *out = dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(form, dnnl_query_weights_md, 0));
out:
    if (form) dnnl_primitive_desc_destroy(form);
    if (engine) dnnl_engine_destroy(engine);
    return st;
}

status dnn_pack(const struct dnn_plan *p, int worker, const void *w, void *to)
{
    const struct operands *const h = &p->operands[worker];
    dnnl_exec_arg_t const args[] = { { DNNL_ARG_FROM, h->plain }, { DNNL_ARG_TO, h->packed } };

    omp_set_num_threads(1);
    DNN(dnnl_memory_set_data_handle(h->plain, (void *)(uintptr_t)w));
    DNN(dnnl_memory_set_data_handle(h->packed, to));
    DNN(dnnl_primitive_execute(p->pack, p->owner->worker[worker].stream, COUNT_OF(args), args));
    return ST_OK;
}

status dnn_run(const struct dnn_plan *p, int worker, const void *x, const void *packed, float *y)
{
    const struct operands *const h = &p->operands[worker];
    const struct worker *const me = &p->owner->worker[worker];
    dnnl_exec_arg_t const args[] = { { DNNL_ARG_SRC, h->x },
                                     { DNNL_ARG_WEIGHTS, h->w },
                                     { DNNL_ARG_DST, h->y },
                                     { DNNL_ARG_SCRATCHPAD, h->scratch } };

    omp_set_num_threads(1);
    DNN(dnnl_memory_set_data_handle(h->x, (void *)(uintptr_t)x));
    DNN(dnnl_memory_set_data_handle(h->w, (void *)(uintptr_t)packed));
    DNN(dnnl_memory_set_data_handle(h->y, y));
    DNN(dnnl_memory_set_data_handle(h->scratch, me->scratch));
    DNN(dnnl_primitive_execute(p->run, me->stream, COUNT_OF(args), args));
    return ST_OK;
}
