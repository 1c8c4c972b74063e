/* cuda_fused_conv_plan.c - weights in cuDNN's order, and the graphs over them; arithmetic, in
 * every build. */
#include "kernels/cuda/fused/cuda_fused_conv_plan.h"
#include "kernels/kern_internal.h"

#include <string.h>

enum { PHASE_SIDE = 2, PHASE_TAPS = PHASE_SIDE * PHASE_SIDE };

static int64_t wide_of(const struct kern_weight *w)
{
    return (w->t.dim[0] + CUDA_CONV_CHANNELS - 1) / CUDA_CONV_CHANNELS * CUDA_CONV_CHANNELS;
}

bool cuda_conv_packs(const struct kern_weight *w)
{
    return !kern_is_linear(w->use) && w->t.dtype == DT_BF16 && w->t.dim[1] > 0 &&
           w->t.dim[1] % CUDA_CONV_CHANNELS == 0;
}

/* ---- weights ------------------------------------------------------------- */

static int64_t taps_of(const struct kern_weight *w)
{
    return w->t.dim[2] * w->t.dim[3] * w->t.dim[4];
}

/* Values of one filter that cuDNN sees, over all phases. */
static int64_t packed_taps(const struct kern_weight *w)
{
    return w->use == KERN_CONV_DOUBLED ? CUDA_CONV_PHASES * PHASE_TAPS : taps_of(w);
}

size_t cuda_conv_packed_bytes(const struct kern_weight *w)
{
    return (size_t)(wide_of(w) * packed_taps(w) * w->t.dim[1]) * sizeof(uint16_t);
}

static void pack_plain(uint16_t *out, const struct kern_weight *w, const float *src)
{
    int64_t const cin = w->t.dim[1], taps = taps_of(w);

    for (int64_t o = 0; o < w->t.dim[0]; o++)
        for (int64_t tap = 0; tap < taps; tap++)
            for (int64_t c = 0; c < cin; c++)
                *out++ = bf16_from_f32(src[(o * cin + c) * taps + tap]);
}

/* The taps of three that fall on low pixel `at` (0: the first it meets) of a phase. */
static void taps_at(int phase, int at, int *first, int *end)
{
    int const cut = phase ? 2 : 1;

    *first = at ? cut : 0;
    *end = at ? 3 : cut;
}

static float fold_taps(const float taps[9], int phase, int place)
{
    int top, bottom, left, right;
    float sum = 0;

    taps_at(phase / 2, place / PHASE_SIDE, &top, &bottom);
    taps_at(phase % 2, place % PHASE_SIDE, &left, &right);
    for (int y = top; y < bottom; y++)
        for (int x = left; x < right; x++) sum += taps[3 * y + x];
    return sum;
}

static void pack_phase(uint16_t *out, const struct kern_weight *w, const float *src, int phase)
{
    int64_t const cin = w->t.dim[1];

    for (int64_t o = 0; o < w->t.dim[0]; o++)
        for (int place = 0; place < PHASE_TAPS; place++)
            for (int64_t c = 0; c < cin; c++)
                *out++ = bf16_from_f32(fold_taps(src + (o * cin + c) * 9, phase, place));
}

void cuda_conv_pack(uint16_t *out, const struct kern_weight *w, const float *src)
{
    size_t const bytes = cuda_conv_packed_bytes(w);

    memset(out, 0, bytes);
    if (w->use != KERN_CONV_DOUBLED) {
        pack_plain(out, w, src);
        return;
    }
    for (int phase = 0; phase < CUDA_CONV_PHASES; phase++)
        pack_phase(out + (size_t)phase * (bytes / sizeof *out / CUDA_CONV_PHASES), w, src, phase);
}

/* ---- graphs -------------------------------------------------------------- */

/* Frames [t, h, w, c] of pictures `across` wide and `down` high, every step-th pixel. */
struct grid {
    int64_t t, h, w, c, down, across, step;
};

static struct cuda_dnn_tensor frames_tensor(enum dtype dtype, enum cuda_dnn_place place,
                                            const struct grid *g)
{
    int64_t const row = g->across * g->c, frame = g->down * row;

    return (struct cuda_dnn_tensor){
        .dtype = dtype,
        .place = place,
        .ndim = 5,
        .dim = { 1, g->c, g->t, g->h, g->w },
        .stride = { g->t * frame, 1, frame, g->step * row, g->step * g->c },
    };
}

static struct grid dense_grid(int64_t t, int64_t h, int64_t w, int64_t c)
{
    return (struct grid){ .t = t, .h = h, .w = w, .c = c, .down = h, .across = w, .step = 1 };
}

static struct cuda_dnn_tensor filter_tensor(int64_t k, int64_t c, const int64_t side[3])
{
    int64_t const row = side[2] * c, plane = side[1] * row;

    return (struct cuda_dnn_tensor){
        .dtype = DT_BF16,
        .ndim = 5,
        .dim = { k, c, side[0], side[1], side[2] },
        .stride = { side[0] * plane, 1, plane, row, c },
    };
}

static struct cuda_dnn_tensor bias_tensor(int64_t n)
{
    return (struct cuda_dnn_tensor){
        .dtype = DT_BF16, .ndim = 5, .dim = { 1, n, 1, 1, 1 }, .stride = { n, 1, n, n, n }
    };
}

/* A convolution as cuDNN takes it. */
struct conv_part {
    struct grid in, out;
    int64_t side[3];
    struct cuda_dnn_conv conv; /* strides and pads */
};

/* cuDNN has kernels ready made for a convolution alone, for one with a bias, and for one
 * with a residual and then a bias; the bias in the output's dtype. Anything else it
 * compiles, for an older architecture: so a residual is never without a bias. */
static void describe_graph(struct cuda_conv_plan *p, struct cuda_dnn_graph *g,
                           const struct conv_part *part, const struct kern_conv3d *a)
{
    struct grid const inner = dense_grid(part->out.t, part->out.h, part->out.w, part->out.c);
    struct cuda_dnn_tensor const x = frames_tensor(DT_BF16, CUDA_DNN_DEVICE, &part->in);
    struct cuda_dnn_tensor const w = filter_tensor(part->out.c, part->in.c, part->side);
    struct cuda_dnn_tensor const y =
        frames_tensor(p->direct ? DT_BF16 : DT_F32, CUDA_DNN_DEVICE, &part->out);
    struct cuda_dnn_tensor const res = frames_tensor(DT_BF16, CUDA_DNN_DEVICE, &part->out);
    struct cuda_dnn_tensor const sum = frames_tensor(DT_F32, CUDA_DNN_VIRTUAL, &inner);
    struct cuda_dnn_tensor const bias = bias_tensor(part->out.c);
    struct cuda_dnn_conv conv = part->conv;
    bool const adds_residual = p->direct && a->residual;
    bool const adds_bias = p->direct && (a->bias || a->residual);
    int last;

    conv.x = p->x = cuda_dnn_tensor(g, &x);
    conv.w = p->w = cuda_dnn_tensor(g, &w);
    p->y = cuda_dnn_tensor(g, &y);
    last = conv.y = adds_residual || adds_bias ? cuda_dnn_tensor(g, &sum) : p->y;
    cuda_dnn_conv(g, &conv);
    if (adds_residual) {
        int const to = adds_bias ? cuda_dnn_tensor(g, &sum) : p->y;
        p->residual = cuda_dnn_tensor(g, &res);
        cuda_dnn_apply(g, CUDA_DNN_ADD, (struct cuda_dnn_term){ last, p->residual, to });
        last = to;
    }
    if (adds_bias) {
        p->bias = cuda_dnn_tensor(g, &bias);
        cuda_dnn_apply(g, CUDA_DNN_ADD, (struct cuda_dnn_term){ last, p->bias, p->y });
    }
}

static void plan_phase(struct cuda_conv_plan *p, int phase, const struct conv_shape *s,
                       const struct kern_conv3d *a)
{
    struct cuda_conv_graph *const to = &p->graph[phase];
    int64_t const down = phase / 2, right = phase % 2;
    size_t const size = p->direct ? sizeof(uint16_t) : sizeof(float);
    struct conv_part const part = {
        .in = dense_grid(s->past + s->t, s->h, s->w, s->cin),
        .out = { s->out_t, s->h, s->w, p->wide, s->out_h, s->out_w, 2 },
        .side = { 1, PHASE_SIDE, PHASE_SIDE },
        .conv = { .pad_lo = { 0, !down, !right }, .pad_hi = { 0, down, right } },
    };

    describe_graph(p, &to->g, &part, a);
    to->w = (size_t)phase * (cuda_conv_packed_bytes(a->w) / CUDA_CONV_PHASES);
    to->y = (size_t)((down * s->out_w + right) * p->wide) * size;
}

static void plan_whole(struct cuda_conv_plan *p, const struct conv_shape *s,
                       const struct kern_conv3d *a)
{
    struct conv_part const part = {
        .in = dense_grid(s->past + s->t, s->upsample * s->h, s->upsample * s->w, s->cin),
        .out = dense_grid(s->out_t, s->out_h, s->out_w, p->wide),
        .side = { s->kt, s->kh, s->kw },
        .conv = { .pad_lo = { 0, a->pad_lo, a->pad_lo },
                  .pad_hi = { 0, a->pad_hi, a->pad_hi },
                  .stride = { s->stride_t, s->stride, s->stride } },
    };

    describe_graph(p, &p->graph[0].g, &part, a);
}

void cuda_conv_plan(struct cuda_conv_plan *out, const struct kern_conv3d *a)
{
    struct conv_shape const s = conv_shape_of(a);
    bool const phases = a->w->use == KERN_CONV_DOUBLED;

    *out = (struct cuda_conv_plan){ .graphs = phases ? CUDA_CONV_PHASES : 1 };
    out->wide = wide_of(a->w);
    out->doubles = s.upsample > 1 && !phases;
    out->direct = a->out->dtype == DT_BF16 && out->wide == s.cout;
    if (!out->direct) out->sums = (size_t)(s.out_t * s.out_h * s.out_w * out->wide) * sizeof(float);
    out->workspace = 2 * cuda_conv_packed_bytes(a->w) + (1 << 16);
    if (phases)
        out->workspace += (size_t)(s.out_t * s.h * s.w * out->wide) *
                          (out->direct ? sizeof(uint16_t) : sizeof(float));
    for (int i = 0; phases && i < out->graphs; i++) plan_phase(out, i, &s, a);
    if (!phases) plan_whole(out, &s, a);
}
