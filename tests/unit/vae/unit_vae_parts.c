/* unit_vae_parts.c - the decoder in parts, and streams over one set of weights. */
#include "tests/support/unit.h"

#include "tests/support/vae_clip.h"
#include <math.h>

/* ---- where it is cut ------------------------------------------------------ */

static const struct vae_size release = { .base = 96, .latent_h = 60, .latent_w = 104 };

static void work_of_the_release(void **state)
{
    static const struct {
        struct vae_range part;
        double tera;
    } table[] = {
        { { 0, 4 }, 0.27 },   { { 4, 8 }, 0.375 },  { { 8, 12 }, 2.81 },
        { { 12, 16 }, 5.30 }, { { 16, 19 }, 4.77 }, { { 19, 20 }, 0.025 },
    };
    double sum = 0;

    (void)state;
    for (int i = 0; i < COUNT_OF(table); i++) {
        double const flops = vae_flops(table[i].part, &release);
        assert_true(fabs(flops / 1e12 / table[i].tera - 1) <= 0.01);
        sum += flops;
    }
    assert_true(fabs(vae_flops((struct vae_range){ 0 }, &release) / sum - 1) <= 1e-12);
}

static double most(const struct vae_range *part, int parts, const struct vae_size *size)
{
    double worst = 0;

    for (int i = 0; i < parts; i++) worst = fmax(worst, vae_flops(part[i], size));
    return worst / vae_flops((struct vae_range){ 0 }, size);
}

/* The least `most` of any cut of steps first .. end-1 into `parts`. */
static double best(int first, int parts, const struct vae_size *size)
{
    double least = 1;

    if (parts == 1) return most(&(struct vae_range){ first, VAE_STEPS }, 1, size);
    for (int cut = first + 1; cut <= VAE_STEPS - (parts - 1); cut++) {
        double const here = most(&(struct vae_range){ first, cut }, 1, size);
        least = fmin(least, fmax(here, best(cut, parts - 1, size)));
    }
    return least;
}

static void cuts_balance_the_work(void **state)
{
    static const double shares[VAE_PARTS_MAX] = { 1, 0.511, 0.373, 0.274 };
    static const struct vae_size sizes[] = { release, { 96, 4096, 4096 }, { 4, 2, 3 } };
    struct vae_range part[VAE_PARTS_MAX];

    (void)state;
    for (int s = 0; s < COUNT_OF(sizes); s++)
        for (int n = 1; n <= VAE_PARTS_MAX; n++) {
            ok(vae_parts(part, n, &sizes[s]));
            for (int i = 0; i < n; i++) {
                assert_int_equal(part[i].first, i ? part[i - 1].end : 0);
                assert_true(part[i].end > part[i].first);
            }
            assert_int_equal(part[n - 1].end, VAE_STEPS);
            double const share = most(part, n, &sizes[s]);
            if (n <= 5) assert_true(fabs(share - best(0, n, &sizes[s])) <= 1e-12);
            if (!s && shares[n - 1] > 0) assert_true(fabs(share - shares[n - 1]) <= 0.001);
        }
}

static void units_of_a_latent(void **state)
{
    (void)state;
    for (int first = 0; first < VAE_STEPS; first++) {
        struct vae_range const part = { first, VAE_STEPS };
        assert_int_equal(vae_units(part, true), 1);
        assert_int_equal(vae_units(part, false), first > 11 ? 2 : 1);
    }
}

/* ---- a chain in one thread ------------------------------------------------- */

/*
 * One part and the way to the next. Units are taken as late as may be: unit n is
 * copied out of the part that made it when n + 1 leaves there, decoded when n + 2 does.
 */
struct link {
    struct vae *v;
    struct vae_range part;
    struct vae_out out;
    struct link *next;
    struct tensor left; /* made, not copied */
    bool left_first;    /* it is a clip's first */
    int made;           /* units or pictures, of this clip */
    struct {
        bool full, first;
    } inbox[2]; /* of next: copied, not decoded */
    int turn;   /* inbox the next unit is copied to */
    int64_t picture;
};

struct chain {
    int parts;
    struct link link[VAE_PARTS_MAX];
};

static status decode_arrived(struct link *l, int which)
{
    struct link *const to = l->next;

    if (!l->inbox[which].full) return ST_OK;
    l->inbox[which].full = false;
    if (l->inbox[which].first) {
        to->made = 0;
        TRY(vae_reset(to->v));
    }
    TRY(vae_decode_unit(to->v, which, &to->out));
    if (to->next) return ST_OK;
    to->out.pixels = (float *)to->out.pixels + to->out.pictures * to->picture;
    to->made += to->out.pictures;
    return ST_OK;
}

static status copy_left(struct link *l)
{
    struct tensor const to = vae_inbox(l->next->v, l->turn, l->left_first);

    if (!l->left.ndim) return ST_OK;
    if (!tensor_same_shape(&to, &l->left)) return fail(ST_MISMATCH, "inbox of another shape");
    memcpy(to.data, l->left.data, tensor_bytes(&to));
    l->inbox[l->turn].full = true;
    l->inbox[l->turn].first = l->left_first;
    l->turn = !l->turn;
    l->left = (struct tensor){ 0 };
    return ST_OK;
}

static status unit_leaves(void *arg, const struct tensor *unit)
{
    struct link *const l = arg;

    TRY(decode_arrived(l, l->turn));
    TRY(copy_left(l));
    l->left = *unit;
    l->left_first = l->made++ == 0;
    return ST_OK;
}

static status drain(struct chain *c)
{
    for (int i = 0; i < c->parts - 1; i++) {
        struct link *const l = &c->link[i];
        TRY(decode_arrived(l, l->turn));
        TRY(copy_left(l));
        for (int k = 0; k < 2; k++) TRY(decode_arrived(l, (l->turn + k) % 2));
    }
    return ST_OK;
}

struct with {
    const struct clip *clip;
    const struct kern_backend *backend;
    enum dtype precision;
};

static struct vae_config config_of(const struct with *w, struct vae_range part)
{
    return (struct vae_config){
        .backend = w->backend,
        .threads = 2,
        .precision = w->precision,
        .latent_h = w->clip->h,
        .latent_w = w->clip->w,
        .path = strcmp(w->clip->dir, ODD) ? SMALL MODEL : ODD MODEL,
        .part = part,
    };
}

/* beside: over the weights of that chain. */
static struct chain chain_open(const struct with *w, const struct vae_range *part, int parts,
                               struct chain *beside)
{
    struct chain c = { .parts = parts };

    for (int i = 0; i < parts; i++) {
        struct vae_config const config = config_of(w, part[i]);
        c.link[i] = (struct link){ .part = part[i], .picture = picture_count(w->clip) };
        if (beside) ok(vae_open_beside(&c.link[i].v, beside->link[i].v));
        else ok(vae_open(&c.link[i].v, &config));
    }
    return c;
}

static void chain_close(struct chain *c)
{
    for (int i = 0; i < c->parts; i++) vae_close(&c->link[i].v);
}

/* Before a clip: c stands where it stays, and pictures go to `pixels`. */
static void chain_begin(struct chain *c, float *pixels)
{
    for (int i = 0; i < c->parts; i++) {
        struct link *const l = &c->link[i];
        l->next = i + 1 < c->parts ? l + 1 : NULL;
        l->out = l->next ? (struct vae_out){ .unit = unit_leaves, .arg = l }
                         : (struct vae_out){ .pixels = pixels };
    }
    c->link[0].made = 0;
    ok(vae_reset(c->link[0].v));
}

static void chain_latent(struct chain *c, const struct clip *clip, int frame)
{
    struct link *const l = &c->link[0];
    int const before = l->made;

    ok(vae_decode_latents(l->v, clip->latents + frame * latent_count(clip), 1, &l->out));
    assert_int_equal(l->made - before, vae_units(c->link[1].part, frame == 0));
}

/* The clip through the chain; caller frees. */
static float *chain_decode(struct chain *c, const struct clip *clip)
{
    float *const out = poisoned(picture_count(clip) * clip->pictures);

    chain_begin(c, out);
    for (int i = 0; i < clip->frames; i++) chain_latent(c, clip, i);
    ok(drain(c));
    assert_int_equal(c->link[c->parts - 1].made, clip->pictures);
    return out;
}

/* ---- chains against the whole ------------------------------------------------- */

static float *decode_whole(const struct with *w, const struct clip *clip)
{
    struct vae_config const config = config_of(w, (struct vae_range){ 0 });
    struct vae *v;

    ok(vae_open(&v, &config));
    float *const out = decode(v, clip, clip->frames);
    vae_close(&v);
    return out;
}

/* pictures: of w's clip by the whole decoder; backwards: of the clip reversed, or NULL. */
static void equals_whole(const struct with *w, const struct vae_range *part, int parts,
                         const float *pictures, const float *backwards)
{
    struct clip other = reversed(w->clip);
    int64_t const count = picture_count(w->clip) * w->clip->pictures;
    struct chain c = chain_open(w, part, parts, NULL);

    same_and_free(chain_decode(&c, w->clip), pictures, count);
    if (backwards) same_and_free(chain_decode(&c, &other), backwards, count);
    chain_close(&c);
    clip_close_reversed(&other);
}

static void chains(const struct with *w, bool every_cut)
{
    struct clip other = reversed(w->clip);
    float *const pictures = decode_whole(w, w->clip), *const backwards = decode_whole(w, &other);
    struct vae_range part[VAE_PARTS_MAX];

    for (int cut = 1; every_cut && cut < VAE_STEPS; cut++)
        equals_whole(w, (struct vae_range[]){ { 0, cut }, { cut, VAE_STEPS } }, 2, pictures, NULL);
    for (int n = 2; n <= 3; n++) {
        ok(vae_parts(part, n, &release));
        equals_whole(w, part, n, pictures, n == 3 ? backwards : NULL);
    }
    free(pictures);
    free(backwards);
    clip_close_reversed(&other);
}

static void chains_on(const struct kern_backend *real)
{
    struct kern_backend const b = counting(real);

    for (int odd = 0; odd < 2; odd++) {
        struct clip clip = clip_open(odd ? ODD : SMALL);
        chains(&(struct with){ &clip, &b, DT_F32 }, odd);
        chains(&(struct with){ &clip, &b, DT_BF16 }, odd);
        clip_close(&clip);
    }
    assert_int_equal(counted.held, 0);
}

static void parts_make_the_same_pictures(void **state)
{
    (void)state;
    every_backend(chains_on);
}

/* Every step on its own: as many parts as there can be steps. */
static void a_step_each_on(const struct kern_backend *b)
{
    struct clip clip = clip_open(ODD);
    struct with const w = { &clip, b, DT_F32 };
    float *const pictures = decode_whole(&w, &clip);
    int64_t const count = picture_count(&clip) * clip.pictures;

    for (int from = 0; from < VAE_STEPS; from += 6) {
        struct vae_range part[VAE_PARTS_MAX] = { { 0, from } };
        int n = from > 0, i = from;
        for (; i < VAE_STEPS && i < from + 6; i++) part[n++] = (struct vae_range){ i, i + 1 };
        if (i < VAE_STEPS) part[n++] = (struct vae_range){ i, VAE_STEPS };
        struct chain c = chain_open(&w, part, n, NULL);
        same_and_free(chain_decode(&c, &clip), pictures, count);
        chain_close(&c);
    }
    free(pictures);
    clip_close(&clip);
}

static void a_part_may_be_one_step(void **state)
{
    (void)state;
    every_backend(a_step_each_on);
}

/* ---- streams over one set of weights ------------------------------------------ */

enum { STREAMS = 3 };

static void streams_on(const struct kern_backend *real)
{
    struct clip clip = clip_open(SMALL), other = reversed(&clip);
    const struct clip *const plays[STREAMS] = { &clip, &other, &clip };
    struct kern_backend const b = counting(real);
    struct with const w = { &clip, &b, DT_BF16 };
    int64_t const count = picture_count(&clip) * clip.pictures;
    struct vae_range const part[2] = { { 0, 9 }, { 9, VAE_STEPS } };
    float *alone[STREAMS], *out[STREAMS];
    struct chain c[STREAMS];

    for (int s = 0; s < STREAMS; s++) {
        alone[s] = decode_whole(&w, plays[s]);
        out[s] = poisoned(count);
        c[s] = chain_open(&w, part, 2, s ? &c[0] : NULL);
    }
    for (int s = 0; s < STREAMS; s++) chain_begin(&c[s], out[s]);
    for (int i = 0; i < clip.frames + STREAMS; i++)
        for (int s = STREAMS - 1; s >= 0; s--) /* stream s is s frames behind */
            if (i >= s && i - s < clip.frames) chain_latent(&c[s], plays[s], i - s);
    for (int s = 0; s < STREAMS; s++) {
        ok(drain(&c[s]));
        same_and_free(out[s], alone[s], count);
    }
    chain_close(&c[1]);
    same_and_free(chain_decode(&c[0], &other), alone[1], count);
    same_and_free(chain_decode(&c[2], &clip), alone[0], count);
    chain_close(&c[2]);
    chain_close(&c[0]);
    assert_int_equal(counted.held, 0);
    for (int s = 0; s < STREAMS; s++) free(alone[s]);
    clip_close_reversed(&other);
    clip_close(&clip);
}

static void streams_do_not_mix(void **state)
{
    (void)state;
    every_backend(streams_on);
}

static void whole_streams_on(const struct kern_backend *b)
{
    struct clip clip = clip_open(ODD), other = reversed(&clip);
    struct vae_config config =
        config_of(&(struct with){ &clip, b, DT_F32 }, (struct vae_range){ 0 });
    int64_t const pixels = picture_count(&clip) * clip.pictures;
    int64_t const values = latent_count(&clip) * clip.frames;
    struct vae *v, *second;
    int made;

    config.encoder = true;
    ok(vae_open(&v, &config));
    float *const backwards = decode(v, &other, 1);
    float *const latents = poisoned(values);
    ok(vae_reset(v));
    ok(vae_encode(v, clip.pixels, clip.pictures, clip.encoded, &made));
    ok(vae_reset(v));
    ok(vae_open_beside(&second, v));
    ok(vae_encode(second, clip.pixels, 1, latents, &made));
    free(decode(v, &clip, 2));
    ok(vae_encode(second, clip.pixels + picture_count(&clip), clip.pictures - 1,
                  latents + latent_count(&clip), &made));
    assert_int_equal(made, clip.frames - 1);
    same_and_free(latents, clip.encoded, values);
    same_and_free(decode(second, &other, 2), backwards, pixels);
    vae_close(&second);
    assert_null(second);
    vae_close(&v);
    free(backwards);
    clip_close_reversed(&other);
    clip_close(&clip);
}

static void the_encoder_has_streams_too(void **state)
{
    (void)state;
    every_backend(whole_streams_on);
}

/* ---- bytes -------------------------------------------------------------------- */

static void bytes_on(const struct kern_backend *real)
{
    struct clip clip = clip_open(ODD);
    struct kern_backend const b = counting(real);
    struct with const w = { &clip, &b, DT_BF16 };
    struct vae_range const part[4] = { { 0, 4 }, { 4, 10 }, { 10, 17 }, { 17, 20 } };
    struct vae_bytes whole, need;
    struct vae_config config = config_of(&w, (struct vae_range){ 0 });
    size_t weights = 0;
    struct vae *v, *beside;

    ok(vae_measure(&whole, &config));
    assert_int_equal(whole.wire, 0);
    for (int i = 0; i < COUNT_OF(part); i++) {
        config.part = part[i];
        ok(vae_measure(&need, &config));
        counted.bytes = 0;
        ok(vae_open(&v, &config));
        assert_int_equal(counted.bytes, need.weights + need.scratch + need.cache + need.wire);
        counted.bytes = 0;
        ok(vae_open_beside(&beside, v));
        assert_int_equal(counted.bytes, need.cache + need.wire);
        vae_close(&beside);
        vae_close(&v);
        weights += need.weights;
        assert_true(need.wire > 0 && need.cache < whole.cache && need.scratch < whole.scratch);
        assert_int_equal(need.staging, i ? 0 : whole.staging);
    }
    assert_true(weights <= whole.weights); /* what lies between parts aligns them */
    assert_true(weights + COUNT_OF(part) * ARENA_ALIGN > whole.weights);
    clip_close(&clip);
}

static void a_part_takes_what_it_needs(void **state)
{
    (void)state;
    every_backend(bytes_on);
}

/* ---- refusals ----------------------------------------------------------------- */

static void refuses(status st, const char *says)
{
    assert_int_equal(st, ST_ARG);
    assert_string_equal(error_last()->msg, says);
}

static void wrong_parts(void **state)
{
    struct clip clip = clip_open(ODD);
    struct with const w = { &clip, kern_backend_find("ref"), DT_F32 };
    struct vae_config config = config_of(&w, (struct vae_range){ 5, 21 });
    struct vae_range part[VAE_PARTS_MAX];
    struct vae_bytes need;

    (void)state;
    refuses(vae_measure(&need, &config), "vae: steps 5 to 20 of the decoder; it has 0 to 19");
    config.part = (struct vae_range){ 5, 5 };
    refuses(vae_measure(&need, &config), "vae: steps 5 to 4 of the decoder; it has 0 to 19");
    config.part = (struct vae_range){ 0, 5 };
    config.encoder = true;
    refuses(vae_measure(&need, &config), "vae: the encoder needs the whole decoder");
    refuses(vae_parts(part, 0, &release), "vae: decoder in 0 parts; 1 to 8 are possible");
    refuses(vae_parts(part, 9, &release), "vae: decoder in 9 parts; 1 to 8 are possible");
    refuses(vae_parts(part, 2, &(struct vae_size){ 96, 0, 104 }),
            "vae: base width 96, latent of 0 x 104; at least 1, sides to 4096");
    clip_close(&clip);
}

static void wrong_calls(void **state)
{
    struct clip clip = clip_open(ODD);
    struct with const w = { &clip, kern_backend_find("ref"), DT_F32 };
    struct chain c = chain_open(&w, (struct vae_range[]){ { 0, 9 }, { 9, 20 } }, 2, NULL);
    struct vae_out out = { .pixels = clip.decoded };
    int made;

    (void)state;
    refuses(vae_decode(c.link[0].v, clip.latents, 1, clip.decoded, &made),
            "vae: all of the decoder, but this part has steps 0 to 8 of 20");
    refuses(vae_decode_latents(c.link[0].v, clip.latents, 1, &out),
            "vae: out without units, but this part has steps 0 to 8 of 20");
    refuses(vae_decode_unit(c.link[1].v, 0, &(struct vae_out){ .unit = unit_leaves }),
            "vae: out without pixels, but this part has steps 9 to 19 of 20");
    refuses(vae_decode_unit(c.link[0].v, 0, &out),
            "vae: a unit, but this part has steps 0 to 8 of 20");
    refuses(vae_decode_latents(c.link[1].v, clip.latents, 1, &out),
            "vae: a latent, but this part has steps 9 to 19 of 20");
    assert_int_equal(vae_inbox(c.link[0].v, 0, true).ndim, 0);
    assert_int_equal(vae_inbox(c.link[1].v, 0, true).dim[0], 1);
    assert_int_equal(vae_inbox(c.link[1].v, 1, false).dim[0], 2);
    chain_close(&c);
    clip_close(&clip);
}

static void the_base_width(void **state)
{
    int64_t base = 0;

    (void)state;
    ok(vae_base(&base, SMALL MODEL));
    assert_int_equal(base, 4);
    assert_int_equal(vae_base(&base, "tests/golden/vae-odd/inputs.safetensors"), ST_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(work_of_the_release),
        cmocka_unit_test(cuts_balance_the_work),
        cmocka_unit_test(units_of_a_latent),
        cmocka_unit_test(parts_make_the_same_pictures),
        cmocka_unit_test(a_part_may_be_one_step),
        cmocka_unit_test(streams_do_not_mix),
        cmocka_unit_test(the_encoder_has_streams_too),
        cmocka_unit_test(a_part_takes_what_it_needs),
        cmocka_unit_test(wrong_parts),
        cmocka_unit_test(wrong_calls),
        cmocka_unit_test(the_base_width),
    };
    return cmocka_run_group_tests_name("unit_vae_parts", tests, NULL, NULL);
}
