/*
 * gpu_plans_conv.c - cuDNN's plans for all of the decoder's convolutions at 832x480, made for
 * a card that is not there.
 *
 *   gpu_plans_conv [CARD.json]       (default tests/gpu/h100.json)
 *
 * The layers are the decoder's own table, at the published width, for a clip's first frame
 * and for later ones; the graphs are those the backend runs. For each one the heuristics must
 * name ways to run it and the first of them must become a plan. Its kernel must be one that
 * cuDNN brings along for this card: those that it compiles (they have a name) are for an older
 * one; and it must ask for no more workspace than the backend says it does. What an own
 * kernel takes is named too. tests/gpu/driver.sh stands in for the driver.
 */
#include "kernels/cuda/fused/cuda_fused_conv_plan.h"
#include "kernels/cuda/fused/cuda_fused_kernels.h"
#include "pipeline/vae/vae_internal.h"

#include <stdio.h>
#include <string.h>

enum { BASE = 96, LATENT_H = 60, LATENT_W = 104, SHAPES = 64 };

struct shape {
    int64_t past, t, h, w, cin, cout, kt, side;
    enum kern_use use;
    bool residual, f32;
};

struct clip_fixture {
    struct cuda_dnn *dnn;
    struct shape seen[SHAPES];
    int shapes, graphs, failures;
};

static void name(const char *verdict, const struct shape *c)
{
    printf("%-4s %lld+%lld x %3lld x %3lld  %3lld to %3lld  %lldx%lldx%lld", verdict,
           (long long)c->past, (long long)c->t, (long long)c->h, (long long)c->w, (long long)c->cin,
           (long long)c->cout, (long long)c->kt, (long long)c->side, (long long)c->side);
    printf("%s%s", c->residual ? " + residual" : "", c->f32 ? ", F32" : "");
}

static void judge(struct clip_fixture *s, const struct shape *c, const struct cuda_conv_plan *plan,
                  int phase)
{
    const struct cuda_dnn_graph *const g = &plan->graph[phase].g;
    char kernel[CUDA_DNN_KERNEL_TEXT] = "";
    struct cuda_dnn_facts f = { 0 };
    status st = cuda_dnn_plan(s->dnn, g, &f);

    if (st == ST_OK) st = cuda_dnn_kernel(s->dnn, g, kernel);
    bool const good =
        st == ST_OK && f.configs > 0 && f.workspace <= plan->workspace && !strstr(kernel, "sm80");
    name(good ? "ok" : "FAIL", c);
    if (c->use == KERN_CONV_DOUBLED) printf(", phase %d", phase);
    if (st == ST_OK)
        printf(": engine %lld of %d configs, workspace %zu, %s\n", (long long)f.engine, f.configs,
               f.workspace, *kernel ? kernel : "ready made");
    else printf(": %s\n", error_last()->msg);
    s->graphs++;
    s->failures += !good;
}

static struct tensor shaped(enum dtype dtype, int64_t t, int64_t h, int64_t w, int64_t c)
{
    return (struct tensor){ .dtype = dtype, .ndim = 4, .dim = { t, h, w, c } };
}

/* All of a shape's graphs, the first time it is met. */
static void fixture(struct clip_fixture *s, const struct shape *c)
{
    int64_t const up = c->use == KERN_CONV_DOUBLED ? 2 : 1, t = c->past + c->t - c->kt + 1;
    struct tensor const x = shaped(DT_BF16, c->t, c->h, c->w, c->cin);
    struct tensor const past = shaped(DT_BF16, c->past, c->h, c->w, c->cin);
    struct tensor out = shaped(c->f32 ? DT_F32 : DT_BF16, t, up * c->h, up * c->w, c->cout);
    struct tensor const bias = { .dtype = DT_F32, .ndim = 1, .dim = { c->cout } };
    struct kern_weight const w = {
        .use = c->use,
        .t = { .dtype = DT_BF16, .ndim = 5, .dim = { c->cout, c->cin, c->kt, c->side, c->side } },
    };
    struct kern_conv3d const a = { .past = c->past ? &past : NULL,
                                   .x = &x,
                                   .w = &w,
                                   .bias = &bias,
                                   .residual = c->residual ? &out : NULL,
                                   .out = &out,
                                   .pad_lo = (int)c->side / 2,
                                   .pad_hi = (int)c->side / 2,
                                   .upsample = (int)up };
    struct cuda_conv_plan plan;
    struct cuda_few_plan few;

    for (int i = 0; i < s->shapes; i++)
        if (!memcmp(&s->seen[i], c, sizeof *c)) return;
    if (s->shapes < SHAPES) memcpy(&s->seen[s->shapes++], c, sizeof *c);
    if (cuda_few_plan(&few, &a)) {
        name("own", c);
        printf(": %u blocks to each of %u frames\n", few.tiles, few.frames);
        return;
    }
    cuda_conv_plan(&plan, &a);
    for (int i = 0; i < plan.graphs; i++) judge(s, c, &plan, i);
}

/* A convolution over the last two frames and new ones, 3x3x3 or 3x1x1. */
static void causal(struct clip_fixture *s, struct shape c, int64_t cin, int64_t cout, bool residual)
{
    c.past = VAE_PAST;
    c.kt = 3;
    c.cin = cin;
    c.cout = cout;
    c.residual = residual;
    fixture(s, &c);
}

static void layer(struct clip_fixture *s, const struct vae_row *r, struct shape *at, bool first)
{
    int64_t const in = r->in * BASE, out = r->out * BASE;

    switch (r->kind) {
    case VAE_RES:
        causal(s, *at, in, out, false);
        causal(s, *at, out, out, true);
        return;
    case VAE_ATTN: {
        struct shape proj = *at;
        proj.cin = proj.cout = in;
        proj.kt = proj.side = 1;
        proj.residual = true;
        fixture(s, &proj);
        return;
    }
    default: break;
    }
    struct shape space = *at;
    if (r->kind == VAE_UP_TIME && !first) {
        struct shape time = *at;
        time.t = time.side = 1;
        causal(s, time, in, in, false);
        space.t = at->t = 2;
    }
    space.cin = in;
    space.cout = out;
    space.kt = 1;
    space.use = KERN_CONV_DOUBLED;
    fixture(s, &space);
    at->h *= 2;
    at->w *= 2;
}

static void decoder(struct clip_fixture *s, bool first)
{
    struct shape at;

    memset(&at, 0, sizeof at); /* shapes are compared byte by byte */
    at.t = 1;
    at.h = LATENT_H;
    at.w = LATENT_W;
    at.side = 3;
    at.use = KERN_CONV;
    causal(s, at, VAE_CHANNELS, 4 * BASE, false);
    for (int i = 0; i < VAE_LAYERS; i++) layer(s, &vae_decoder_rows[i], &at, first);
    at.f32 = true;
    causal(s, at, BASE, 3, false);
}

int main(int argc, char **argv)
{
    char card[4096] = "";
    FILE *const f = fopen(argc > 1 ? argv[1] : "tests/gpu/h100.json", "r");
    size_t const n = f ? fread(card, 1, sizeof card - 1, f) : 0;
    struct clip_fixture s = { 0 };

    if (f) fclose(f);
    card[strcspn(card, "\n")] = 0;
    if (!n || cuda_dnn_open(&s.dnn, &(struct cuda_dnn_config){ .card = card }) != ST_OK) {
        printf("no card: %s\n", n ? error_last()->msg : "no such file");
        return 1;
    }
    decoder(&s, true);
    decoder(&s, false);
    cuda_dnn_close(&s.dnn);
    printf("%d shapes, %d graphs, %d failures\n", s.shapes, s.graphs, s.failures);
    return s.graphs && !s.failures ? 0 : 1;
}
