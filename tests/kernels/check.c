/*
 * check.c - the frame of a case: operands between guards on every side, and their comparison.
 *
 * Outputs are NaN until written and the comparison is `!(error <= tolerance)`, so what was not
 * written, and what is no number, fails.
 */
#include "tests/kernels/check.h"
#include "tests/support/rng.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

enum { GUARD = 2 * ARENA_ALIGN, GUARD_BYTE = 0xA5, POISON_BYTE = 0xFF };

/* A test that cannot go on has failed. */
static void must_succeed(status st)
{
    if (st == ST_OK) return;
    fprintf(stderr, "check: %s\n", error_last()->msg);
    exit(1);
}

static void *need_memory(void *p)
{
    if (p) return p;
    fprintf(stderr, "check: out of memory\n");
    exit(1);
}

bool within(const struct check *k, int64_t products)
{
    return !k->products || products <= k->products;
}

void case_begin(struct check *k, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(k->name, sizeof k->name, fmt, ap);
    va_end(ap);
    k->count = 0;
    k->refused_to_run = false;
}

void case_failed(struct check *k, const char *fmt, ...)
{
    va_list ap;

    k->failures++;
    if (k->quiet) return;
    printf("%s %s %s [%s]: ", k->backend[ONE_THREAD]->name, k->op, dtype_name(k->act), k->name);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
}

/* ---- operands ------------------------------------------------------------ */

static size_t image_bytes(const struct operand *o, int side)
{
    return tensor_bytes(&o->view[side]) + 2 * GUARD;
}

static struct tensor image_view(const struct operand *o, int side)
{
    int64_t const bytes = (int64_t)image_bytes(o, side);
    return (struct tensor){ .data = o->base[side], .dtype = DT_U8, .ndim = 1, .dim = { bytes } };
}

static void upload(struct check *k, struct operand *o)
{
    for (int s = 0; s < SIDES; s++) {
        struct tensor const all = image_view(o, s);
        must_succeed(k->backend[s]->upload(k->ctx[s], &all, o->image[s]));
    }
}

static void download(struct check *k, struct operand *o, unsigned char *const to[SIDES])
{
    for (int s = 0; s < SIDES; s++) {
        struct tensor const all = image_view(o, s);
        must_succeed(k->backend[s]->download(k->ctx[s], to[s], &all));
    }
}

/* Guards around poison, on every side. A packed weight has another size on each. */
static struct operand *operand(struct check *k, const struct tensor shape[SIDES], bool written)
{
    struct operand *const o = &k->operands[k->count++];

    if (k->count > OPERANDS) must_succeed(fail(ST_ARG, "more than %d operands", OPERANDS));
    *o = (struct operand){ .written = written };
    for (int s = 0; s < SIDES; s++) {
        o->view[s] = shape[s];
        must_succeed(k->backend[s]->alloc(k->ctx[s], image_bytes(o, s), &o->base[s]));
        o->view[s].data = (unsigned char *)o->base[s] + GUARD;
        o->image[s] = need_memory(malloc(image_bytes(o, s)));
        memset(o->image[s], GUARD_BYTE, image_bytes(o, s));
        memset(o->image[s] + GUARD, POISON_BYTE, tensor_bytes(&shape[s]));
    }
    upload(k, o);
    return o;
}

static struct operand *same_bytes(struct check *k, struct tensor shape, bool written)
{
    return operand(k, (struct tensor[SIDES]){ shape, shape, shape }, written);
}

static struct tensor image_content(const struct operand *o)
{
    struct tensor t = o->view[ORACLE];
    t.data = o->image[ORACLE] + GUARD;
    return t;
}

/* The oracle's image, to all. */
static void copy_to_all_sides(struct check *k, struct operand *o)
{
    for (int s = 1; s < SIDES; s++) memcpy(o->image[s], o->image[ORACLE], image_bytes(o, s));
    upload(k, o);
}

static float random_value(uint64_t *rng)
{
    float const v = rng_unit(rng);
    return rng_below(rng, 64) ? v : 64 * v;
}

/* Any e4m3 but NaN. */
static uint8_t number_in_8(uint64_t *rng)
{
    return (uint8_t)(rng_below(rng, 0x7f) | rng_below(rng, 2) << 7);
}

static struct operand *fill_operand(struct check *k, struct tensor shape, bool written)
{
    struct operand *const o = same_bytes(k, shape, written);
    struct tensor t = image_content(o);

    for (int64_t i = 0; i < tensor_count(&t); i++)
        if (t.dtype == DT_U8) ((uint8_t *)t.data)[i] = number_in_8(&k->rng);
        else tensor_put(&t, i, random_value(&k->rng));
    copy_to_all_sides(k, o);
    return o;
}

static struct tensor shape_of(enum dtype type, int ndim, const int64_t *dim)
{
    struct tensor t;
    must_succeed(tensor_make(&t, type, ndim, dim));
    return t;
}

struct operand *input(struct check *k, enum dtype type, int ndim, const int64_t *dim)
{
    return fill_operand(k, shape_of(type, ndim, dim), false);
}

struct operand *in_place(struct check *k, enum dtype type, int ndim, const int64_t *dim)
{
    return fill_operand(k, shape_of(type, ndim, dim), true);
}

struct operand *output(struct check *k, enum dtype type, int ndim, const int64_t *dim)
{
    return same_bytes(k, shape_of(type, ndim, dim), true);
}

void refill(struct check *k, struct operand *o, const struct tensor *content)
{
    struct tensor t = image_content(o);

    for (int64_t i = 0; i < tensor_count(&t); i++) tensor_put(&t, i, tensor_get(content, i));
    copy_to_all_sides(k, o);
}

struct tensor *at(struct operand *o, int side) { return o ? &o->view[side] : NULL; }

double *tolerances(struct operand *o)
{
    size_t const n = (size_t)tensor_count(&o->view[ORACLE]);
    return o->tol = need_memory(calloc(n + 1, sizeof *o->tol));
}

struct tensor values(const struct operand *o)
{
    struct tensor const from = image_content(o);
    struct tensor to = from;

    to.dtype = DT_F32;
    to.data = need_memory(malloc(tensor_bytes(&to) + 1));
    for (int64_t i = 0; i < tensor_count(&to); i++) tensor_put(&to, i, tensor_get(&from, i));
    return to;
}

struct tensor magnitudes(const struct operand *o)
{
    struct tensor t = values(o);
    for (int64_t i = 0; i < tensor_count(&t); i++) tensor_put(&t, i, fabsf(tensor_get(&t, i)));
    return t;
}

double sum_error(int64_t n) { return (6 * sqrt((double)n) + 2) * 0x1p-24; }

/* ---- weights ------------------------------------------------------------- */

struct weight weight(struct check *k, enum kern_use use, int ndim, const int64_t *dim)
{
    struct tensor const shape = shape_of(k->act, ndim, dim);
    int64_t const n = tensor_count(&shape);
    struct weight w = { .source = need_memory(malloc((size_t)(n + 1) * sizeof(float))) };
    struct tensor packed[SIDES];

    /* Numbers that either precision holds. */
    for (int64_t i = 0; i < n; i++)
        w.source[i] = f32_from_bf16(bf16_from_f32(random_value(&k->rng)));
    for (int s = 0; s < SIDES; s++) {
        w.w[s] = (struct kern_weight){ .use = use, .t = shape };
        int64_t const bytes = (int64_t)k->backend[s]->packed_bytes(&w.w[s]);
        packed[s] = shape_of(DT_U8, DIMS(bytes));
    }
    w.packed = operand(k, packed, false);
    for (int s = 0; s < SIDES; s++) {
        w.w[s].t.data = w.packed->view[s].data;
        repack(k, &w, s, w.source, DT_F32);
    }
    return w;
}

void repack(struct check *k, struct weight *w, int side, const void *src, enum dtype type)
{
    struct kern_pack const args = { .w = &w->w[side], .src = src, .src_dtype = type };

    ran(k, side, k->backend[side]->ops.pack(k->ctx[side], &args));
    must_succeed(k->backend[side]->sync(k->ctx[side]));
    download(k, w->packed, w->packed->image); /* from here on it is an input */
}

void weight_free(struct weight *w) { free(w->source); }

/* ---- verdicts ------------------------------------------------------------ */

void ran(struct check *k, int side, status st)
{
    if (st == ST_OK) return;
    k->refused_to_run = true;
    case_failed(k, "returned %s: %s", status_name(st), error_last()->msg);
    (void)side;
}

void refused(struct check *k, int side, status st)
{
    if (side == ORACLE && st != ST_ARG)
        must_succeed(fail(ST_ARG, "%s: the oracle accepts it", k->name));
    if (st != ST_ARG) case_failed(k, "accepts what it must refuse (%s)", status_name(st));
    k->compared++;
}

static bool guards_hold(const unsigned char *image, size_t content)
{
    for (size_t i = 0; i < GUARD; i++)
        if (image[i] != GUARD_BYTE || image[GUARD + content + i] != GUARD_BYTE) return false;
    return true;
}

/* Two roundings at the store: one step of the output's dtype. */
static double rounding_step(enum dtype t) { return t == DT_BF16 ? 0x1p-7 : 0x1p-23; }

static double element(const struct tensor *t, int64_t i)
{
    return t->dtype == DT_U8 ? ((const uint8_t *)t->data)[i] : (double)tensor_get(t, i);
}

static void compare_sides(struct check *k, const struct operand *o, const struct tensor *want,
                          const struct tensor *got)
{
    int64_t bad = 0, worst = 0;
    double most = -1;

    for (int64_t i = 0; i < tensor_count(want); i++) {
        double const w = element(want, i), err = fabs(element(got, i) - w);
        double const tol = o->tol ? o->tol[i] + rounding_step(want->dtype) * fabs(w) + 0x1p-126 : 0;
        if (err <= tol) continue;
        bad++;
        if (!(err <= most)) most = err, worst = i;
    }
    if (!bad) return;
    case_failed(
        k, "%lld of %lld wrong; element %lld is %.9g, not %.9g (may err by %.3g)", (long long)bad,
        (long long)tensor_count(want), (long long)worst, element(got, worst), element(want, worst),
        o->tol ? o->tol[worst] + rounding_step(want->dtype) * fabs(element(want, worst)) : 0.0);
}

static void judge_output(struct check *k, struct operand *o, unsigned char *const image[SIDES])
{
    struct tensor view[SIDES];

    for (int s = 0; s < SIDES; s++) {
        view[s] = o->view[s];
        view[s].data = image[s] + GUARD;
        if (!guards_hold(image[s], tensor_bytes(&view[s])))
            case_failed(k, "wrote beside an operand (side %d)", s);
        else if (!o->written && memcmp(image[s], o->image[s], image_bytes(o, s)))
            case_failed(k, "changed an input (side %d)", s);
    }
    if (!o->written) return;
    k->judged += tensor_count(&view[ORACLE]);
    k->compared += tensor_count(&view[ORACLE]);
    compare_sides(k, o, &view[ORACLE], &view[ONE_THREAD]);
    if (memcmp(image[ONE_THREAD], image[THREE_THREADS], image_bytes(o, ONE_THREAD)))
        case_failed(k, "other bits with three threads than with one");
}

void case_end(struct check *k)
{
    for (int s = 0; s < SIDES; s++) must_succeed(k->backend[s]->sync(k->ctx[s]));
    for (int i = 0; i < k->count; i++) {
        struct operand *const o = &k->operands[i];
        unsigned char *image[SIDES];

        for (int s = 0; s < SIDES; s++) image[s] = need_memory(malloc(image_bytes(o, s)));
        download(k, o, image);
        if (!k->refused_to_run) judge_output(k, o, image);
        for (int s = 0; s < SIDES; s++) {
            free(image[s]);
            free(o->image[s]);
            k->backend[s]->free(k->ctx[s], o->base[s]);
        }
        free(o->tol);
    }
    k->count = 0;
}
