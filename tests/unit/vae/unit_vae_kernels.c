/*
 * unit_vae_kernels.c - what the autoencoder has its backend reserve is what its operations
 * take, to the byte.
 */
#include "tests/support/unit.h"

#include "tests/support/vae_clip.h"

#include <string.h>

/* ---- the oracle, recorded ----------------------------------------------------------- */

enum { CONTEXT_BYTES = 4711 };
static struct kern_backend recorded;
static size_t reserved, taken;

/* Grows with the shapes, but not evenly: less work may take more. */
static size_t uneven(int64_t a, int64_t b) { return (size_t)(a * b * (1 + (31 * a + 17 * b) % 7)); }

static size_t scratch_bytes(enum kern_op op, const void *args)
{
    const struct kern_linear *const linear = args;
    const struct kern_attention *const attention = args;
    const struct kern_conv3d *const conv = args;

    switch (op) {
    case KERN_OP_linear: return uneven(linear->x->dim[0], linear->out->dim[1]);
    case KERN_OP_attention: return uneven(attention->q->dim[0], attention->segments[0].k.dim[0]);
    case KERN_OP_conv3d:
        return uneven(tensor_count(conv->x) + (conv->past ? tensor_count(conv->past) : 0),
                      conv->out->dim[0]);
    default: return 0;
    }
}

static status reserve(struct kern_ctx *ctx, size_t bytes)
{
    (void)ctx;
    reserved = bytes;
    taken = 0;
    return ST_OK;
}

static status count(enum kern_op op, const void *args)
{
    size_t const bytes = scratch_bytes(op, args);

    if (bytes > taken) taken = bytes;
    return bytes <= reserved
               ? ST_OK
               : fail(ST_ARG, "operation %d takes %zu bytes of %zu", (int)op, bytes, reserved);
}

#define OP(op)                                                                                     \
    static status recorded_##op(struct kern_ctx *c, const struct kern_##op *a)                     \
    {                                                                                              \
        TRY(count(KERN_OP_##op, a));                                                               \
        return kern_backend_find("ref")->ops.op(c, a);                                             \
    }
KERN_OPS(OP)
#undef OP

static status open_recorded(struct kern_ctx **out, const struct kern_config *c)
{
    TRY(kern_backend_find("ref")->open(out, c));
    (*out)->backend = &recorded;
    return ST_OK;
}

static void watch(bool joins)
{
    recorded = *kern_backend_find("ref");
#define OP(op) recorded.ops.op = recorded_##op;
    KERN_OPS(OP)
#undef OP
    recorded.open = open_recorded;
    recorded.context_bytes = CONTEXT_BYTES;
    recorded.scratch_bytes = scratch_bytes;
    recorded.reserve = reserve;
    recorded.joins = joins;
}

/* ---- every part ---------------------------------------------------------------------- */

static status unit_is_dropped(void *arg, const struct tensor *unit)
{
    (void)arg, (void)unit;
    return ST_OK;
}

/* The part's share of three latent frames. */
static void run_part(struct vae *v, const struct vae_config *c, const struct clip *clip)
{
    struct vae_out out = { .pixels = clip->decoded };

    if (c->part.end && c->part.end < VAE_STEPS) out = (struct vae_out){ .unit = unit_is_dropped };
    for (int frame = 0; frame < 3; frame++) {
        if (!c->part.first) ok(vae_decode_latents(v, clip->latents, 1, &out));
        for (int i = 0; c->part.first && i < vae_units(c->part, frame == 0); i++) {
            struct tensor const unit = vae_inbox(v, 0, frame == 0);
            memset(unit.data, 0, tensor_bytes(&unit));
            ok(vae_decode_unit(v, 0, &out));
        }
    }
}

static void takes_what_it_reserved(const struct clip *clip, struct vae_config c)
{
    struct vae_bytes need;
    struct vae *v;
    int made;

    c.backend = &recorded;
    c.threads = 1;
    c.precision = DT_F32;
    c.latent_h = clip->h;
    c.latent_w = clip->w;
    c.path = ODD MODEL;
    ok(vae_measure(&need, &c));
    ok(vae_open(&v, &c));
    assert_int_equal(need.kernels, CONTEXT_BYTES + reserved);
    run_part(v, &c, clip);
    if (c.encoder) ok(vae_encode(v, clip->pixels, clip->pictures, clip->encoded, &made));
    assert_int_equal(taken, reserved);
    vae_close(&v);
}

static void reserved_scratch(void **state)
{
    struct clip clip = clip_open(ODD);

    (void)state;
    for (int joins = 0; joins < 2; joins++) {
        watch(joins);
        takes_what_it_reserved(&clip, (struct vae_config){ .encoder = true });
        takes_what_it_reserved(&clip, (struct vae_config){ 0 });
        for (int cut = 1; cut < VAE_STEPS; cut++) {
            takes_what_it_reserved(&clip, (struct vae_config){ .part = { 0, cut } });
            takes_what_it_reserved(&clip, (struct vae_config){ .part = { cut, VAE_STEPS } });
            takes_what_it_reserved(&clip, (struct vae_config){ .part = { cut, cut + 1 } });
        }
    }
    clip_close(&clip);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(reserved_scratch) };
    return cmocka_run_group_tests_name("unit_vae_kernels", tests, NULL, NULL);
}
