/*
 * cuda_dnn_plan.c - from a graph to a plan, kept; and its run.
 *
 * The plan of a graph is the first that cuDNN's heuristics name and that can be finalized, mode by
 * mode. Nothing is timed: ranks on the same kind of card come to the same plan, and so to the same
 * bits. Plans are looked up by comparing whole descriptions, of which a model has a few dozen.
 */
#include "base/crc32.h"
#include "kernels/cuda/cuda_dev.h"
#include "kernels/cuda/library/cuda_dnn_internal.h"

#include <cudnn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct planned {
    struct cuda_dnn_graph graph;
    struct cuda_dnn_facts facts;
    struct cuda_dnn_built built;
    void *config, *plan;
};

struct cuda_dnn {
    cudnnHandle_t handle;          /* NULL: a card that is not there */
    void *card;                    /* its properties; NULL: the current device */
    char kind[CUDA_DNN_CARD_TEXT]; /* of card: plans go from one of a kind to another */
    struct planned **planned;
    int count;
};

static status open_card(struct cuda_dnn *d, const char *json)
{
    snprintf(d->kind, sizeof d->kind, "properties %08x", crc32_add(0, json, strlen(json)));
    TRY(cuda_dnn_create(&d->card, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR));
    TRY(cuda_dnn_set(d->card,
                     &(struct cuda_dnn_attr){ CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION,
                                              CUDNN_TYPE_CHAR, (int64_t)strlen(json), json }));
    return cuda_dnn_finalize(d->card, "properties of a card");
}

static status open_device(struct cuda_dnn *d, const struct cuda_dnn_config *c)
{
    struct cuda_dev_facts f;

    TRY(cuda_dev_facts(c->device, &f));
    snprintf(d->kind, sizeof d->kind, "%s %d.%d %d", f.name, f.major, f.minor, f.processors);
    TRY(cuda_dnn_said(cudnnCreate(&d->handle), "open"));
    return cuda_dnn_said(cudnnSetStream(d->handle, c->stream), "stream");
}

status cuda_dnn_open(struct cuda_dnn **out, const struct cuda_dnn_config *c)
{
    struct cuda_dnn *d = calloc(1, sizeof *d);

    *out = NULL;
    if (!d) return fail(ST_NOMEM, "cuDNN: no memory for a context");
    status const st = c->card ? open_card(d, c->card) : open_device(d, c);
    if (st == ST_OK) *out = d;
    else cuda_dnn_close(&d);
    return st;
}

static void drop_planned(struct planned *p)
{
    cuda_dnn_destroy(&p->plan);
    cuda_dnn_destroy(&p->config);
    cuda_dnn_drop(&p->built);
    free(p);
}

void cuda_dnn_close(struct cuda_dnn **dnn)
{
    struct cuda_dnn *const d = *dnn;

    if (!d) return;
    for (int i = 0; i < d->count; i++) drop_planned(d->planned[i]);
    free(d->planned);
    cuda_dnn_destroy(&d->card);
    if (d->handle) cudnnDestroy(d->handle);
    free(d);
    *dnn = NULL;
}

/* ---- heuristics: ways to run a graph, best first ------------------------------ */

enum { CONFIGS = 64 };
struct configs {
    void *heuristics, *at[CONFIGS];
    int64_t count;
};

static void drop_configs(struct configs *c)
{
    for (int i = 0; i < CONFIGS; i++) cuda_dnn_destroy(&c->at[i]);
    cuda_dnn_destroy(&c->heuristics);
}

static status ask_heuristic(const struct cuda_dnn *d, void *graph, cudnnBackendHeurMode_t mode,
                            struct configs *c)
{
    void *const h = c->heuristics;

    TRY(cuda_dnn_set_desc(h, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph));
    TRY(cuda_dnn_set(
        h, &(struct cuda_dnn_attr){ CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode }));
    if (d->card) TRY(cuda_dnn_set_desc(h, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, d->card));
    return cuda_dnn_finalize(h, "heuristics");
}

/* What the heuristics name; only what cuDNN supports here comes back. */
static status ask_configs(const struct cuda_dnn *d, void *graph, cudnnBackendHeurMode_t mode,
                          struct configs *c)
{
    int64_t named = 0;

    *c = (struct configs){ 0 };
    TRY(cuda_dnn_create(&c->heuristics, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR));
    TRY(ask_heuristic(d, graph, mode, c));
    TRY(cuda_dnn_said(cudnnBackendGetAttribute(c->heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                               CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &named, NULL),
                      "heuristics"));
    if (named > CONFIGS) named = CONFIGS;
    for (int64_t i = 0; i < named; i++)
        TRY(cuda_dnn_create(&c->at[i], CUDNN_BACKEND_ENGINECFG_DESCRIPTOR));
    return cuda_dnn_said(cudnnBackendGetAttribute(c->heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                                  CUDNN_TYPE_BACKEND_DESCRIPTOR, named, &c->count,
                                                  c->at),
                         "heuristics");
}

/* ---- plans --------------------------------------------------------------------- */

static status get_int64(void *desc, cudnnBackendAttributeName_t name, int64_t *out)
{
    int64_t count = 0;
    return cuda_dnn_said(cudnnBackendGetAttribute(desc, name, CUDNN_TYPE_INT64, 1, &count, out),
                         "a plan's facts");
}

static status engine_number(void *config, int64_t *out)
{
    int64_t count = 0;
    void *engine = NULL;

    TRY(cuda_dnn_create(&engine, CUDNN_BACKEND_ENGINE_DESCRIPTOR));
    status st =
        cuda_dnn_said(cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE,
                                               CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count, &engine),
                      "a plan's engine");
    if (st == ST_OK) st = get_int64(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, out);
    cuda_dnn_destroy(&engine);
    return st;
}

/* Of the card, or of the device and its handle. */
static status set_place(const struct cuda_dnn *d, void *plan)
{
    if (d->card) return cuda_dnn_set_desc(plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, d->card);
    return cuda_dnn_set(plan, &(struct cuda_dnn_attr){ CUDNN_ATTR_EXECUTION_PLAN_HANDLE,
                                                       CUDNN_TYPE_HANDLE, 1, &d->handle });
}

static status finalize_plan(const struct cuda_dnn *d, void *config, struct planned *p)
{
    int64_t bytes = 0;

    TRY(cuda_dnn_create(&p->plan, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR));
    TRY(cuda_dnn_set_desc(p->plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config));
    TRY(set_place(d, p->plan));
    TRY(cuda_dnn_finalize(p->plan, "plan"));
    TRY(get_int64(p->plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, &bytes));
    TRY(engine_number(config, &p->facts.engine));
    p->facts.workspace = (size_t)bytes;
    return ST_OK;
}

/* From the text of another one. */
static status load_plan(const struct cuda_dnn *d, const char *text, struct planned *p)
{
    TRY(cuda_dnn_create(&p->plan, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR));
    TRY(set_place(d, p->plan));
    TRY(cuda_dnn_set(p->plan,
                     &(struct cuda_dnn_attr){ CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION,
                                              CUDNN_TYPE_CHAR, (int64_t)strlen(text), text }));
    return cuda_dnn_finalize(p->plan, "plan from another one's text");
}

/* Of malloc. ST_ARG where cuDNN has none for this engine. */
static status plan_text(void *plan, char **out)
{
    cudnnBackendAttributeName_t const name = CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION;
    int64_t count = 0;

    TRY(cuda_dnn_said(cudnnBackendGetAttribute(plan, name, CUDNN_TYPE_CHAR, 0, &count, NULL),
                      "a plan's text"));
    *out = calloc(1, (size_t)count + 1);
    if (!*out) return fail(ST_NOMEM, "cuDNN: no memory for a plan's text");
    status const st =
        cuda_dnn_said(cudnnBackendGetAttribute(plan, name, CUDNN_TYPE_CHAR, count, &count, *out),
                      "a plan's text");
    if (st != ST_OK) free(*out);
    return st;
}

/* The first of these that becomes a plan. ST_ARG if none does. */
static status first_plan(const struct cuda_dnn *d, struct configs *c, struct planned *p)
{
    status st = fail(ST_ARG, "cuDNN: no engine runs this graph");

    for (int64_t i = 0; i < c->count; i++) {
        st = finalize_plan(d, c->at[i], p);
        if (st == ST_OK) {
            p->config = c->at[i];
            c->at[i] = NULL;
            return ST_OK;
        }
        cuda_dnn_destroy(&p->plan);
    }
    return st;
}

/* Of several failures the first is reported: it is of the heuristics' best choice. */
static status compile_plan(const struct cuda_dnn *d, struct planned *p)
{
    static const cudnnBackendHeurMode_t modes[] = { CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B,
                                                    CUDNN_HEUR_MODE_FALLBACK };
    struct error first = { 0 };

    TRY(cuda_dnn_build(&p->built, &p->graph, d->handle));
    for (int i = 0; i < COUNT_OF(modes); i++) {
        struct configs c;
        status st = ask_configs(d, p->built.graph, modes[i], &c);
        p->facts.configs = (int)c.count;
        if (st == ST_OK) st = first_plan(d, &c, p);
        drop_configs(&c);
        if (st == ST_OK) return ST_OK;
        if (first.st == ST_OK) first = *error_last();
    }
    error_adopt(&first);
    return first.st;
}

static status keep_planned(struct cuda_dnn *d, struct planned *p)
{
    struct planned **const more = realloc(d->planned, (size_t)(d->count + 1) * sizeof *d->planned);

    if (!more) return fail(ST_NOMEM, "cuDNN: no memory for a plan");
    d->planned = more;
    d->planned[d->count++] = p;
    return ST_OK;
}

/* A text is no more than a shorter way to the same plan: where cuDNN gives none or does not
 * take it, the context compiles. */
static bool load_shared(const struct cuda_dnn *d, struct planned *p)
{
    const char *const text = cuda_dnn_share_find(d->kind, &p->graph, &p->facts);

    if (text && load_plan(d, text, p) == ST_OK) return true;
    if (text) error_clear();
    cuda_dnn_destroy(&p->plan);
    return false;
}

static void share_compiled(const struct cuda_dnn *d, const struct planned *p)
{
    char *text;

    if (plan_text(p->plan, &text) == ST_OK)
        cuda_dnn_share_keep(d->kind, &p->graph, &p->facts, text);
    else error_clear();
}

static status load_or_make(const struct cuda_dnn *d, struct planned *p)
{
    status st = ST_OK;

    cuda_dnn_share_begin();
    if (!load_shared(d, p)) {
        st = compile_plan(d, p);
        if (st == ST_OK) share_compiled(d, p);
    }
    cuda_dnn_share_end();
    return st;
}

static status find_planned(struct cuda_dnn *d, const struct cuda_dnn_graph *g, struct planned **out)
{
    for (int i = 0; i < d->count; i++) {
        *out = d->planned[i];
        if (cuda_dnn_same(&(*out)->graph, g)) return ST_OK;
    }

    struct planned *const p = calloc(1, sizeof *p);
    if (!p) return fail(ST_NOMEM, "cuDNN: no memory for a plan");
    p->graph = *g;
    status st = load_or_make(d, p);
    if (st == ST_OK) st = keep_planned(d, p);
    if (st != ST_OK) drop_planned(p);
    else *out = p;
    return st;
}

status cuda_dnn_plan(struct cuda_dnn *d, const struct cuda_dnn_graph *g, struct cuda_dnn_facts *out)
{
    struct planned *p;

    TRY(find_planned(d, g, &p));
    *out = p->facts;
    return ST_OK;
}

/* The value of "kernelName" in a plan's JSON. */
static void kernel_name(const char *json, char out[CUDA_DNN_KERNEL_TEXT])
{
    const char *from = strstr(json, "\"kernelName\"");
    int n = 0;

    if (from) from = strchr(from + strlen("\"kernelName\""), '"');
    while (from && *++from && *from != '"' && n < CUDA_DNN_KERNEL_TEXT - 1) out[n++] = *from;
    out[n] = 0;
}

status cuda_dnn_kernel(struct cuda_dnn *d, const struct cuda_dnn_graph *g,
                       char out[CUDA_DNN_KERNEL_TEXT])
{
    struct planned *p;
    char *json;

    out[0] = 0;
    TRY(find_planned(d, g, &p));
    TRY(plan_text(p->plan, &json));
    kernel_name(json, out);
    free(json);
    return ST_OK;
}

/* ---- runs ------------------------------------------------------------------------ */

static status fill_pack(void *pack, const struct cuda_dnn_graph *g,
                        const struct cuda_dnn_data *data)
{
    int64_t uid[CUDA_DNN_TENSORS];
    void *at[CUDA_DNN_TENSORS];
    int64_t n = 0;

    for (int i = 0; i < g->tensors; i++) {
        if (g->tensor[i].place == CUDA_DNN_VIRTUAL) continue;
        uid[n] = i + 1;
        at[n++] = data->at[i + 1];
    }
    TRY(cuda_dnn_set(pack, &(struct cuda_dnn_attr){ CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS,
                                                    CUDNN_TYPE_INT64, n, uid }));
    TRY(cuda_dnn_set(pack, &(struct cuda_dnn_attr){ CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS,
                                                    CUDNN_TYPE_VOID_PTR, n, at }));
    TRY(cuda_dnn_set(pack, &(struct cuda_dnn_attr){ CUDNN_ATTR_VARIANT_PACK_WORKSPACE,
                                                    CUDNN_TYPE_VOID_PTR, 1, &data->workspace }));
    return cuda_dnn_finalize(pack, "data");
}

status cuda_dnn_run(struct cuda_dnn *d, const struct cuda_dnn_graph *g,
                    const struct cuda_dnn_data *data)
{
    struct planned *p;
    void *pack;
    status st = ST_OK;

    if (!d->handle)
        return fail(ST_DEVICE,
                    "cuDNN: this context plans for a card that is not present; it cannot run");
    TRY(find_planned(d, g, &p));
    TRY(cuda_dnn_create(&pack, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR));
    TRY_OUT(fill_pack(pack, g, data));
    TRY_OUT(cuda_dnn_said(cudnnBackendExecute(d->handle, p->plan, pack), "run"));
out:
    cuda_dnn_destroy(&pack);
    return st;
}
