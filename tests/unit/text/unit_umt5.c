/* unit_umt5.c - the golden prompts through UMT5; the text encoder and its cache. */
#define _GNU_SOURCE /* memmem */
#include "tests/support/unit.h"

#include "base/digest.h"
#include "base/file.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "pipeline/text/text_encoder.h"
#include "pipeline/text/tokenizer.h"
#include "pipeline/text/umt5.h"
#include "pipeline/weights/tensor_file.h"
#include "tools/random_model.h"
#include "tools/spiece.h"
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#define GOLDEN "tests/golden/text-small/"

/* ---- golden ---------------------------------------------------------------------- */

static void *fetch_copy(const char *file, const char *name, struct tensor *t)
{
    struct weights *w;
    const void *data;

    assert_int_equal(weights_open(&w, file, NULL), ST_OK);
    int const at = weights_find(w, name);
    assert_true(at >= 0);
    *t = weights_at(w, at)->t;
    assert_int_equal(weights_fetch(w, at, &data), ST_OK);
    t->data = malloc(tensor_bytes(t));
    assert_non_null(t->data);
    memcpy(t->data, data, tensor_bytes(t));
    weights_close(&w);
    return t->data;
}

static void check_golden(const struct kern_backend *backend, enum dtype precision, double tolerance)
{
    struct tensor ids, lengths, want;
    struct weights *w;
    struct umt5 *u;
    double error = 0, size = 0;

    fetch_copy(GOLDEN "inputs.safetensors", "ids", &ids);
    fetch_copy(GOLDEN "inputs.safetensors", "lengths", &lengths);
    fetch_copy(GOLDEN "expected.safetensors", "prompt_embeds", &want);
    int const n = (int)ids.dim[0], len = (int)ids.dim[1];
    int64_t const dim = want.dim[2];
    struct umt5_prompt *const prompts = calloc((size_t)n, sizeof *prompts);
    int32_t *const tokens = malloc((size_t)(n * len) * sizeof *tokens);
    float *const got = malloc(tensor_bytes(&want));

    assert_true(prompts && tokens && got);
    for (int i = 0; i < n * len; i++) tokens[i] = (int32_t)((const int64_t *)ids.data)[i];
    for (int64_t i = 0; i < tensor_count(&want); i++) got[i] = NAN;
    for (int i = 0; i < n; i++)
        prompts[i] = (struct umt5_prompt){ .ids = tokens + i * len,
                                           .count = (int)((const int64_t *)lengths.data)[i],
                                           .embeds = got + i * len * dim };
    assert_int_equal(weights_open(&w, GOLDEN "model/models_t5_umt5-xxl-enc-bf16.pth", NULL), ST_OK);
    assert_int_equal(umt5_open(&u, &(struct umt5_config){ .weights = w,
                                                          .backend = backend,
                                                          .threads = 2,
                                                          .precision = precision }),
                     ST_OK);
    assert_int_equal(umt5_shape(u)->heads, 4);
    assert_int_equal(umt5_shape(u)->layers, 3);
    assert_int_equal(umt5_encode(u, prompts, n), ST_OK);
    for (int i = 0; i < n; i++)
        for (int64_t k = 0; k < prompts[i].count * dim; k++) {
            double const v = ((const float *)want.data)[i * len * dim + k];
            double const d = (double)prompts[i].embeds[k] - v;
            error += d * d;
            size += v * v;
        }
    print_message("%s %s: %.3g\n", backend->name, dtype_name(precision), sqrt(error / size));
    assert_true(sqrt(error / size) <= tolerance);
    umt5_close(&u);
    weights_close(&w);
    free(ids.data);
    free(lengths.data);
    free(want.data);
    free(prompts);
    free(tokens);
    free(got);
}

static void golden(void **state)
{
    (void)state;
    for (int i = 0; kern_backend_at(i); i++) {
        if (kern_backend_at(i)->absent()) continue;
        check_golden(kern_backend_at(i), DT_F32, 1e-4);
        check_golden(kern_backend_at(i), DT_BF16, 2e-2);
    }
}

/* ---- weights that are quantised -------------------------------------------------------- */

enum { PACKED_LEN = 24, PACKED_DIM = 32 };

static void encode_packed(const char *file, float out[PACKED_LEN * PACKED_DIM])
{
    struct weights_request const r = { .path = file, .family = WEIGHTS_TEXT };
    int32_t ids[PACKED_LEN];
    struct weights *w;
    struct umt5 *u;

    for (int i = 0; i < PACKED_LEN; i++) ids[i] = (7 * i + 3) % 32;
    assert_int_equal(weights_open_as(&w, &r), ST_OK);
    assert_int_equal(umt5_open(&u, &(struct umt5_config){ .weights = w,
                                                          .backend = kern_backend_find("ref"),
                                                          .threads = 1,
                                                          .precision = DT_F32 }),
                     ST_OK);
    struct umt5_prompt const p = { .ids = ids, .count = PACKED_LEN, .embeds = out };
    assert_int_equal(umt5_encode(u, &p, 1), ST_OK);
    umt5_close(&u);
    weights_close(&w);
}

/* Of the embeddings of a file, relative to those wanted. */
static double packed_error(const char *file, const float want[PACKED_LEN * PACKED_DIM])
{
    float got[PACKED_LEN * PACKED_DIM];
    double error = 0, size = 0;

    encode_packed(file, got);
    for (int k = 0; k < PACKED_LEN * PACKED_DIM; k++) {
        double const d = (double)got[k] - (double)want[k];
        error += d * d;
        size += (double)want[k] * (double)want[k];
    }
    return sqrt(error / size);
}

/* Of a small encoder of two layers, logits of about 1. A weight is off by e of itself, root mean
 * square: 2^-4 / sqrt 3 in e4m3; in Q8_0 by a step's 1 / sqrt 12, 127 steps to the largest of 32,
 * which is 2.1 times their root mean square on average. A branch is at most two products in a row
 * that act on values and two that act on logits, 2 e; there are four of them, whose errors add in
 * squares, and the table of tokens: sqrt(17) e, with what gets through nonlinearities below 1. The
 * lower bound finds a file that is compared with itself. */
static void quantised(void **state)
{
    static const struct {
        const char *file;
        double e;
    } rows[] = {
        { "tests/formats/umt5-fp8.safetensors", 0.0361 },
        { "tests/formats/umt5-fp8-scaled.safetensors", 0.0361 },
        { "tests/formats/umt5-q8_0.gguf", 2.1 / 127 / 3.4641 },
    };
    float want[PACKED_LEN * PACKED_DIM];

    (void)state;
    encode_packed("tests/formats/umt5.safetensors", want);
    for (int i = 0; i < COUNT_OF(rows); i++) {
        double const off = packed_error(rows[i].file, want), bound = sqrt(17) * rows[i].e;
        print_message("%s: %.3g of %.3g\n", rows[i].file, off, bound);
        assert_true(off <= bound);
        assert_true(off > bound / 20);
    }
}

/* The scales count: under names that nobody knows they are none. */
static void without_scales(void **state)
{
    char path[] = "/tmp/unit_umt5_scales.XXXXXX", *bytes, *at;
    float want[PACKED_LEN * PACKED_DIM];
    size_t len;
    int const fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0 && !close(fd));
    encode_packed("tests/formats/umt5.safetensors", want);
    assert_int_equal(file_read("tests/formats/umt5-fp8-scaled.safetensors", 1 << 20, &bytes, &len),
                     ST_OK);
    while ((at = memmem(bytes, len, "scale_weight", 12))) memcpy(at, "other_weight", 12);
    assert_int_equal(file_write(path, bytes, len), ST_OK);
    assert_true(packed_error(path, want) > 0.5);
    assert_int_equal(unlink(path), 0);
    free(bytes);
}

/* Worked out by hand from the definition. */
static void buckets(void **state)
{
    static const struct {
        int distance, bucket;
    } table[] = {
        { 0, 0 },    { -1, 1 },   { -7, 7 },   { -8, 8 },    { -11, 8 },   { -12, 9 },
        { -15, 9 },  { -16, 10 }, { -23, 11 }, { -31, 11 },  { -32, 12 },  { -63, 13 },
        { -64, 14 }, { -90, 14 }, { -91, 15 }, { -127, 15 }, { -128, 15 }, { -500, 15 },
        { 1, 17 },   { 7, 23 },   { 8, 24 },   { 16, 26 },   { 128, 31 },  { 511, 31 },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(table); i++)
        assert_int_equal(umt5_bucket(table[i].distance, 32), table[i].bucket);
}

/* ---- a small encoder of our own ---------------------------------------------------- */

static char dir[] = "/tmp/unit_umt5.XXXXXX";
static char *encoder, *tokenizer, *cache;

static const struct model_size small = { .name = "small",
                                         .text_dim = 16,
                                         .text_ffn = 24,
                                         .text_heads = 2,
                                         .text_layers = 2,
                                         .vocab = 2048 };

enum { LEN = 12, DIM = 16 };

static int loud = -1; /* a token whose embedding the last norm takes beyond what a float holds */

/* One number of its row outweighs the others, and the last norm is near the end of the range. */
static void make_loud(const struct random_list *list)
{
    uint16_t *const row = (uint16_t *)list->at[0].t.data + loud * DIM;
    uint16_t *const norm = list->at[list->count - 1].t.data;

    assert_string_equal(list->at[list->count - 1].name, "norm.weight");
    for (int i = 0; i < DIM; i++) row[i] = i ? 0 : 0x447a /* 1000 */;
    for (int i = 0; i < DIM; i++) norm[i] = 0x7e87; /* 9e37 */
}

/* The small encoder without tensor `skip`, with `also` as one more. */
static void write_encoder(const char *path, int skip, const char *also)
{
    struct random_list list = { 0 };
    struct tensor_file_item item[64];
    int n = 0;

    random_text(&list, &small);
    assert_true(!list.failed && list.count < COUNT_OF(item));
    for (int i = 0; i < list.count; i++) {
        struct random_tensor *const r = &list.at[i];
        r->t.data = malloc(tensor_bytes(&r->t));
        assert_non_null(r->t.data);
        random_fill(r->t.data, r, 7, 0, tensor_count(&r->t));
        if (i != skip) item[n++] = (struct tensor_file_item){ r->name, r->t };
    }
    if (loud >= 0) make_loud(&list);
    if (also) item[n++] = (struct tensor_file_item){ also, list.at[1].t };
    assert_int_equal(tensor_file_write(path, item, n), ST_OK);
    for (int i = 0; i < list.count; i++) free(list.at[i].t.data);
    random_free(&list);
}

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(dir)) return -1;
    log_set_level(LOG_QUIET);
    encoder = path_join(dir, "encoder.safetensors");
    tokenizer = path_join(dir, "spiece.model");
    cache = path_join(dir, "cache/text");
    write_encoder(encoder, -1, NULL);
    return spiece_write(tokenizer) != ST_OK;
}

static int teardown(void **state)
{
    (void)state;
    free(encoder);
    free(tokenizer);
    free(cache);
    return dir_remove(dir) != ST_OK;
}

static struct text_config config_of(const char *cache_dir)
{
    return (struct text_config){ .encoder_path = encoder,
                                 .tokenizer_path = tokenizer,
                                 .cache_dir = cache_dir,
                                 .cache_bytes = 1 << 30,
                                 .text_len = LEN,
                                 .backend = kern_backend_find("ref"),
                                 .threads = 1,
                                 .precision = DT_F32 };
}

static struct text_encoder *open_text(const char *cache_dir)
{
    struct text_config const c = config_of(cache_dir);
    struct text_encoder *t = NULL;

    assert_int_equal(text_open(&t, &c), ST_OK);
    assert_int_equal(text_dim(t), DIM);
    return t;
}

static void poison(float *x, int n)
{
    for (int i = 0; i < n; i++) x[i] = NAN;
}

/* Several at once are each what they are alone; rows behind the prompt are zero. */
static void many_as_alone(void **state)
{
    static const char *const prompts[] = { "a red kite", "", "a red  kite\n",
                                           "the river and the sea and the river and the sea" };
    enum { N = COUNT_OF(prompts) };
    float all[N][LEN * DIM], one[LEN * DIM];
    int tokens[N], count;
    struct text_encoder *t = open_text(NULL);

    (void)state;
    poison(all[0], N * LEN * DIM);
    assert_int_equal(text_encode_many(t, prompts, N, all[0], tokens), ST_OK);
    for (int i = 0; i < N; i++) {
        poison(one, LEN * DIM);
        assert_int_equal(text_encode(t, prompts[i], one, &count), ST_OK);
        assert_int_equal(count, tokens[i]);
        assert_memory_equal(one, all[i], sizeof one);
        for (int k = count * DIM; k < LEN * DIM; k++) assert_true(one[k] == 0);
        for (int k = 0; k < count * DIM; k++) assert_true(isfinite(one[k]));
    }
    assert_int_equal(tokens[1], 1);
    assert_int_equal(tokens[3], LEN);
    assert_memory_equal(all[0], all[2], sizeof all[0]);
    assert_memory_not_equal(all[0], all[3], sizeof all[0]);
    assert_int_equal(text_encode_many(t, prompts, 0, NULL, NULL), ST_OK);
    text_close(&t);
    text_close(&t);
    assert_null(t);
}

static char *only_entry(void)
{
    DIR *const d = opendir(cache);
    char *path = NULL;

    assert_non_null(d);
    for (struct dirent *e = readdir(d); e; e = readdir(d))
        if (strstr(e->d_name, ".embeds")) {
            assert_null(path);
            path = path_join(cache, e->d_name);
        }
    closedir(d);
    assert_non_null(path);
    return path;
}

/* Change the last weight to NaN, behind the encoder's back. */
static void spoil_weights(void)
{
    static const unsigned char nan[4] = { 0xff, 0xff, 0xff, 0xff };
    FILE *const f = fopen(encoder, "r+b");

    assert_non_null(f);
    assert_int_equal(fseek(f, -4, SEEK_END), 0);
    assert_int_equal(fwrite(nan, 1, 4, f), 4);
    assert_int_equal(fclose(f), 0);
}

/* A cached prompt needs no weights; another does. */
static void cache_spares_weights(void **state)
{
    float fresh[LEN * DIM], again[LEN * DIM];
    int tokens, count;
    struct text_encoder *t = open_text(cache);

    (void)state;
    assert_int_equal(text_encode(t, "a red kite", fresh, &tokens), ST_OK);
    spoil_weights();
    poison(again, LEN * DIM);
    assert_int_equal(text_encode(t, " a red &#107;ite", again, &count), ST_OK);
    assert_int_equal(count, tokens);
    assert_memory_equal(fresh, again, sizeof fresh);
    assert_int_equal(text_encode(t, "another", again, &count), ST_FORMAT);
    assert_non_null(strstr(error_last()->msg, "has changed since it was opened"));
    text_close(&t);
    write_encoder(encoder, -1, NULL);
    assert_int_equal(dir_remove(cache), ST_OK);
}

/* Whatever is wrong with an entry, the prompt is encoded again and the entry mended. */
static void damaged_entries(void **state)
{
    enum { HEADER = 16 + 64 + 8 + 8 + 64 };
    static const int at[] = { 0, 20, 80, 88, 100, HEADER + 5 };
    float want[LEN * DIM], got[LEN * DIM];
    int tokens, count;
    struct text_encoder *t = open_text(cache);
    char *good, *bad;
    size_t len, bad_len;

    (void)state;
    assert_int_equal(text_encode(t, "a red kite", want, &tokens), ST_OK);
    char *const path = only_entry();
    assert_int_equal(file_read(path, 1 << 20, &good, &len), ST_OK);
    assert_int_equal(len, HEADER + tokens * DIM * 4);
    for (int i = 0; i < COUNT_OF(at) + 3; i++) {
        size_t const cut[3] = { 0, HEADER - 1, len - 1 };
        if (i < COUNT_OF(at)) good[at[i]] ^= 0x55;
        assert_int_equal(file_write(path, good, i < COUNT_OF(at) ? len : cut[i - COUNT_OF(at)]),
                         ST_OK);
        if (i < COUNT_OF(at)) good[at[i]] ^= 0x55;
        poison(got, LEN * DIM);
        assert_int_equal(text_encode(t, "a red kite", got, &count), ST_OK);
        assert_int_equal(count, tokens);
        assert_memory_equal(want, got, sizeof want);
        assert_int_equal(file_read(path, 1 << 20, &bad, &bad_len), ST_OK);
        assert_int_equal(bad_len, len);
        assert_memory_equal(bad, good, len);
        free(bad);
    }
    free(good);
    free(path);
    text_close(&t);
    assert_int_equal(dir_remove(cache), ST_OK);
}

/* A cache that cannot be written costs time, not the clip. */
static void cache_not_writable(void **state)
{
    float embeds[LEN * DIM];
    int tokens;
    struct text_encoder *t = open_text("/dev/null/cache");

    (void)state;
    assert_int_equal(text_encode(t, "a red kite", embeds, &tokens), ST_OK);
    text_close(&t);
}

/* The hash tells encoders and tokenizers apart. */
static void hash_tells(void **state)
{
    struct text_encoder *t = open_text(NULL);
    float embeds[LEN * DIM];
    char first[DIGEST_HEX];
    int tokens;

    (void)state;
    strcpy(first, text_encoder_hash(t));
    text_close(&t);
    t = open_text(cache);
    assert_string_equal(first, text_encoder_hash(t));
    text_close(&t);
    spoil_weights();
    t = open_text(NULL);
    assert_string_not_equal(first, text_encoder_hash(t));
    assert_int_equal(text_encode(t, "a red kite", embeds, &tokens), ST_FORMAT);
    assert_non_null(strstr(error_last()->msg, "weights must be finite"));
    text_close(&t);
    write_encoder(encoder, -1, NULL);
}

static void refuse(const struct text_config *c, status st, const char *part)
{
    struct text_encoder *t = NULL;

    assert_int_equal(text_open(&t, c), st);
    if (!strstr(error_last()->msg, part)) print_message("%s\n", error_last()->msg);
    assert_non_null(strstr(error_last()->msg, part));
    assert_null(t);
}

static void refusals(void **state)
{
    struct text_config c = config_of(NULL);
    struct text_encoder *t = open_text(NULL);
    float embeds[LEN * DIM];
    int tokens;

    (void)state;
    assert_int_equal(text_encode(t, "ab\xff", embeds, &tokens), ST_FORMAT);
    assert_string_equal(error_last()->msg, "prompt: byte 0xFF at byte 2 is not UTF-8");
    text_close(&t);

    c.text_len = 0;
    refuse(&c, ST_ARG, "text: length 0; at least 1 is needed");
    c = config_of(NULL);
    c.precision = DT_F16;
    refuse(&c, ST_ARG, "UMT5: precision F16; F32 and BF16 are allowed");
    c = config_of(NULL);
    c.tokenizer_path = encoder;
    refuse(&c, ST_FORMAT, "encoder.safetensors");
    c = config_of(NULL);
    c.encoder_path = tokenizer;
    refuse(&c, ST_FORMAT, "spiece.model");

    char *const other = path_join(dir, "other.safetensors");
    c = config_of(NULL);
    c.encoder_path = other;
    refuse(&c, ST_FORMAT, "other.safetensors");
    write_encoder(other, -1, "blocks.0.attn.q.bias"); /* what is beside is left alone */
    assert_int_equal(text_open(&t, &c), ST_OK);
    text_close(&t);
    write_encoder(other, 0, NULL);
    refuse(&c, ST_FORMAT, "no matrix token_embedding.weight, which a UMT5 encoder has");
    write_encoder(other, 3, NULL);
    refuse(&c, ST_FORMAT, "tensors: 1 missing, 0 of another shape or dtype");
    free(other);
}

/* A token that only `prompt` has. */
static int token_of(const char *prompt, const char *other)
{
    int32_t ids[2][LEN];
    struct tokenizer *t;
    int count[2], found = -1;

    assert_int_equal(tokenizer_open(&t, tokenizer), ST_OK);
    assert_int_equal(tokenizer_encode(t, prompt, ids[0], LEN, &count[0]), ST_OK);
    assert_int_equal(tokenizer_encode(t, other, ids[1], LEN, &count[1]), ST_OK);
    for (int i = 0; i < count[0] && found < 0; i++) {
        found = ids[0][i];
        for (int k = 0; k < count[1]; k++)
            if (ids[1][k] == found) found = -1;
    }
    tokenizer_close(&t);
    assert_true(found >= 0);
    return found;
}

/* Embeddings that are no numbers are their prompts' alone, and not kept. */
static void one_is_not_finite(void **state)
{
    static const char *const prompts[] = { "the river", "a red kite", "the sea", "a red kite" };
    enum { N = COUNT_OF(prompts) };
    float all[N][LEN * DIM], one[LEN * DIM];
    int tokens[N], count;

    (void)state;
    loud = token_of("a red kite", "the river and the sea");
    write_encoder(encoder, -1, NULL);
    for (int cached = 0; cached < 2; cached++) {
        struct text_encoder *t = open_text(cache);
        assert_int_equal(text_encode_many(t, prompts, N, all[0], tokens), ST_OK);
        for (int i = 0; i < N; i++) assert_int_equal(tokens[i] == 0, i % 2);
        assert_int_equal(text_encode(t, prompts[0], one, &count), ST_OK);
        assert_memory_equal(one, all[0], sizeof one);
        assert_int_equal(text_encode(t, prompts[1], one, &count), ST_MISMATCH);
        text_close(&t);
    }
    loud = -1;
    write_encoder(encoder, -1, NULL);
    assert_int_equal(dir_remove(cache), ST_OK);
}

static int stop_in;
static bool stop_soon(void *arg)
{
    (void)arg;
    return --stop_in < 0;
}

/* Asked for each of two layers and three prompts, wherever it comes. */
static void a_stop_cuts_it_short(void **state)
{
    static const char *const prompts[] = { "the river", "a red kite", "the sea" };
    enum { N = COUNT_OF(prompts), ASKED = 2 * N };
    float all[N][LEN * DIM];
    int tokens[N];
    struct text_config c = config_of(NULL);
    struct text_encoder *t = NULL;

    (void)state;
    c.stop = stop_soon;
    assert_int_equal(text_open(&t, &c), ST_OK);
    for (int i = 0; i <= ASKED; i++) {
        stop_in = i;
        assert_int_equal(text_encode_many(t, prompts, N, all[0], tokens),
                         i < ASKED ? ST_CANCELED : ST_OK);
    }
    text_close(&t);
}

static void broken_ids(void **state)
{
    static const int32_t ids[2] = { 1, 2048 };
    float embeds[2 * DIM];
    struct weights *w;
    struct umt5 *u;

    (void)state;
    assert_int_equal(weights_open(&w, encoder, NULL), ST_OK);
    assert_int_equal(umt5_open(&u, &(struct umt5_config){ .weights = w,
                                                          .backend = kern_backend_find("ref"),
                                                          .threads = 1,
                                                          .precision = DT_F32 }),
                     ST_OK);
    assert_int_equal(umt5_encode(u, &(struct umt5_prompt){ ids, 2, embeds }, 1), ST_ARG);
    assert_string_equal(error_last()->msg, "UMT5: token 2048; 0 to 2047 are allowed");
    assert_int_equal(umt5_encode(u, &(struct umt5_prompt){ ids, 0, embeds }, 1), ST_ARG);
    assert_string_equal(error_last()->msg, "UMT5: a prompt of 0 tokens; at least 1 is needed");
    umt5_close(&u);
    weights_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden),
        cmocka_unit_test(quantised),
        cmocka_unit_test(without_scales),
        cmocka_unit_test(buckets),
        cmocka_unit_test(many_as_alone),
        cmocka_unit_test(cache_spares_weights),
        cmocka_unit_test(damaged_entries),
        cmocka_unit_test(cache_not_writable),
        cmocka_unit_test(hash_tells),
        cmocka_unit_test(refusals),
        cmocka_unit_test(broken_ids),
        cmocka_unit_test(one_is_not_finite),
        cmocka_unit_test(a_stop_cuts_it_short),
    };
    return cmocka_run_group_tests_name("unit_umt5", tests, setup, teardown);
}
