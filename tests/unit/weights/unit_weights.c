/* unit_weights.c - checkpoints of both forms, and files that lie. */
#define _GNU_SOURCE /* memmem */
#include "tests/support/unit.h"

#include "base/file.h"
#include "base/strbuf.h"
#include "pipeline/weights/weights.h"
#include "pipeline/weights/weights_internal.h"
#include "tools/torch_writer.h"
#include "tools/zip_writer.h"
#include <stdio.h>
#include <unistd.h>
#include <zip.h>

#define ROLLING "tests/golden/rolling-5-step/model/"

static char dir[] = "/tmp/unit_weights.XXXXXX";
static char path[sizeof dir + 16]; /* the one file the tests write */

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(dir)) return -1;
    snprintf(path, sizeof path, "%s/f", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return dir_remove(dir) != ST_OK;
}

static void hash_of(const char *file, const char *key, char hash[DIGEST_HEX])
{
    struct weights *w;

    assert_int_equal(weights_open(&w, file, key), ST_OK);
    assert_int_equal(weights_hash(w, hash, NULL), ST_OK);
    weights_close(&w);
    assert_null(w);
}

/* The weights that count are the same in both of the release's forms. */
static void golden_forms_agree(void **state)
{
    char flat[DIGEST_HEX], ema[DIGEST_HEX], named[DIGEST_HEX], other[DIGEST_HEX];

    (void)state;
    hash_of(ROLLING "diffusion_pytorch_model.safetensors", NULL, flat);
    hash_of(ROLLING "rolling_forcing_dmd.pt", NULL, ema);
    hash_of(ROLLING "rolling_forcing_dmd.pt", "generator_ema", named);
    hash_of(ROLLING "rolling_forcing_dmd.pt", "generator", other);
    assert_string_equal(flat, ema);
    assert_string_equal(flat, named);
    assert_string_not_equal(flat, other);
}

static void golden_lists(void **state)
{
    static const struct {
        const char *file, *key, *name;
        int count;
        enum dtype dtype;
        int64_t first, last; /* dimensions of `name` */
    } rows[] = {
        { ROLLING "diffusion_pytorch_model.safetensors", "", "blocks.1.ffn.0.weight", 69, DT_F32,
          128, 64 },
        { ROLLING "rolling_forcing_dmd.pt", "generator_ema", "blocks.1.modulation", 69, DT_F32, 1,
          64 },
        { "tests/golden/text-small/model/models_t5_umt5-xxl-enc-bf16.pth", "",
          "token_embedding.weight", 32, DT_BF16, 384, 64 },
        { "tests/golden/text-small/inputs.safetensors", "", "ids", 2, DT_I64, 3, 24 },
        { "tests/golden/vae-small/model/Wan2.1_VAE.pth", "", "decoder.head.2.weight", 194, DT_F32,
          3, 3 },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) {
        struct weights *w;
        assert_int_equal(weights_open(&w, rows[i].file, NULL), ST_OK);
        assert_string_equal(weights_path(w), rows[i].file);
        assert_string_equal(weights_outer_key(w), rows[i].key);
        assert_int_equal(weights_count(w), rows[i].count);
        int const at = weights_find(w, rows[i].name);
        assert_true(at >= 0);
        const struct tensor *const t = &weights_at(w, at)->t;
        assert_null(t->data);
        assert_int_equal(t->dtype, rows[i].dtype);
        assert_int_equal(t->dim[0], rows[i].first);
        assert_int_equal(t->dim[t->ndim - 1], rows[i].last);
        assert_int_equal(weights_find(w, "no.such.tensor"), -1);
        weights_close(&w);
    }
}

static void names(void **state)
{
    static const struct {
        const char *raw, *want;
        enum weights_family family;
        bool spare;
    } rows[] = {
        { "blocks.0.q", "blocks.0.q", WEIGHTS_ANY, false },
        { "model.blocks.0.q", "blocks.0.q", WEIGHTS_ANY, false },
        { "model.model.q", "q", WEIGHTS_ANY, false },
        { "_fsdp_wrapped_module.model.blocks.0._fsdp_wrapped_module.q", "blocks.0.q", WEIGHTS_ANY,
          false },
        { "blocks.model.q", "blocks.model.q", WEIGHTS_ANY, false },
        { "submodel.q", "submodel.q", WEIGHTS_ANY, false },
        { "model.", "model.", WEIGHTS_ANY, false },
        { "module.model.q", "q", WEIGHTS_ANY, false },
        { "model.diffusion_model.q", "q", WEIGHTS_ANY, false },
        { "_orig_mod.blocks.0._orig_mod.q", "blocks.0.q", WEIGHTS_ANY, false },
        { "module._orig_mod.blocks.0._fsdp_wrapped_module._checkpoint_wrapped_module.q",
          "blocks.0.q", WEIGHTS_ANY, false },
        { "blocks.module.q", "blocks.module.q", WEIGHTS_ANY, false },
        { "my_orig_mod.q", "my_orig_mod.q", WEIGHTS_ANY, false },
        { "module.diffusion_model.", "diffusion_model.", WEIGHTS_ANY, false },
        { "blocks.3.norm2.weight", "blocks.3.norm2.weight", WEIGHTS_ANY, false },
        { "blocks.3.norm2.weight", "blocks.3.norm3.weight", WEIGHTS_DIT, false },
        { "blocks.3.norm2.weight", "blocks.3.norm2.weight", WEIGHTS_TEXT, false },
        { "blocks.12.attn2.to_out.0.bias", "blocks.12.cross_attn.o.bias", WEIGHTS_DIT, false },
        { "blocks.12.attn1.norm_q.weight", "blocks.12.self_attn.norm_q.weight", WEIGHTS_DIT,
          false },
        { "blocks.x.attn1.to_q.weight", "blocks.x.attn1.to_q.weight", WEIGHTS_DIT, false },
        { "scale_shift_table", "head.modulation", WEIGHTS_DIT, false },
        { "blocks.0.scale_shift_table", "blocks.0.modulation", WEIGHTS_DIT, false },
        { "transformer.model.proj_out.weight", "head.head.weight", WEIGHTS_DIT, false },
        { "net.blocks.0.q", "blocks.0.q", WEIGHTS_DIT, false },
        { "pipe.dit.blocks.0.q", "blocks.0.q", WEIGHTS_DIT, false },
        { "net_ema.blocks.0.q", "net_ema.blocks.0.q", WEIGHTS_DIT, false },
        { "base_model.model.model.blocks.0.attn1.to_k.lora_A.weight",
          "blocks.0.self_attn.k.lora_A.weight", WEIGHTS_LORA, false },
        { "lora_unet_blocks_0_ffn_2.alpha", "blocks_0_ffn_2.alpha", WEIGHTS_LORA, false },
        { "first_stage_model.decoder.up_blocks.2.resnets.1.conv_shortcut.bias",
          "decoder.upsamples.9.shortcut.bias", WEIGHTS_VAE, false },
        { "encoder.mid_block.resnets.1.norm2.gamma", "encoder.middle.2.residual.3.gamma",
          WEIGHTS_VAE, false },
        { "post_quant_conv.weight", "conv2.weight", WEIGHTS_VAE, false },
        { "model.diffusion_model.x", "diffusion_model.x", WEIGHTS_VAE, false },
        { "text_encoders.umt5xxl.transformer.shared.weight", "token_embedding.weight", WEIGHTS_TEXT,
          false },
        { "encoder.embed_tokens.weight", "token_embedding.weight", WEIGHTS_TEXT, true },
        { "encoder.block.10.layer.1.DenseReluDense.wi_1.scale_weight",
          "blocks.10.ffn.fc1.scale_weight", WEIGHTS_TEXT, false },
        { "enc.blk.23.attn_rel_b.weight", "blocks.23.pos_embedding.embedding.weight", WEIGHTS_TEXT,
          false },
    };
    char *name;
    bool spare;

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) {
        name = name_canonical(rows[i].raw, rows[i].family, &spare);
        assert_string_equal(name, rows[i].want);
        assert_int_equal(spare, rows[i].spare);
        free(name);
    }
    assert_int_equal(name_copy(&name, "a\x1b[31m", 6, "f"), ST_FORMAT);
    assert_string_equal(error_last()->msg, "f: the name `a?[31m` holds a control character");
    assert_int_equal(name_copy(&name, "", 0, "f"), ST_FORMAT);
    assert_string_equal(error_last()->msg, "f: a tensor's name has 0 bytes; 1 to 255 are allowed");
}

/* Open the file and expect this message behind its path. */
static void expect_refusal(const char *key, const char *message)
{
    char want[1024];
    struct weights *w;

    snprintf(want, sizeof want, "%s: %s", path, message);
    error_clear();
    assert_int_equal(weights_open(&w, path, key), ST_FORMAT);
    assert_null(w);
    assert_string_equal(error_last()->msg, want);
}

/* ---- safetensors -------------------------------------------------------------------- */

static void write_flat(const char *json, uint64_t length, int data_bytes)
{
    static const char zeros[64];
    struct strbuf t = { 0 };

    for (int i = 0; i < 8; i++) {
        char const c = (char)(length >> (8 * i));
        strbuf_add(&t, &c, 1);
    }
    strbuf_addf(&t, "%s", json);
    strbuf_add(&t, zeros, (size_t)data_bytes);
    assert_false(t.failed);
    assert_int_equal(file_write(path, t.s, t.len), ST_OK);
    strbuf_free(&t);
}

#define ONE(dtype, shape, from, to)                                                                \
    "{\"a\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" #from "," #to "]}}"
#define A "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}"

static void broken_safetensors(void **state)
{
    static const struct {
        const char *json, *message;
        int data_bytes;
    } rows[] = {
        { "{" A "", "header:1:54: `,` or `}` is expected", 8 },
        { "{" A "," A "}", "header:1:108: an object that ends here has two members of one name",
          8 },
        { "{\"a\":7}", "a: not an object", 0 },
        { "{\"a\":{}}", "a: no dtype", 0 },
        { ONE("F8_E4M3", "[7]", 0, 8), "a: F8_E4M3 [7] is 7 bytes, data_offsets say 8", 8 },
        { ONE("F4", "[65]", 0, 8), "a: F4 [65] in 8 bytes", 8 },
        { ONE("f32", "[2]", 0, 8), "a: `f32` is no dtype's name", 8 },
        { ONE("F8_E4M3_WITH_A_NAME", "[8]", 0, 8), "a: `F8_E4M3_WITH_A_NAME` is no dtype's name",
          8 },
        { ONE("F32", "[-2]", 0, 8), "a: size 0 of its shape is not a whole number", 8 },
        { ONE("F32", "[2.5]", 0, 8), "a: size 0 of its shape is not a whole number", 8 },
        { ONE("F32", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2]", 0, 8),
          "a: shape must be a list of at most 16 sizes", 8 },
        { ONE("F32", "7", 0, 8), "a: shape must be a list of at most 16 sizes", 8 },
        { ONE("F32", "[4611686018427387904,4]", 0, 8), "a: not a shape a tensor can have", 8 },
        { ONE("F32", "[4611686018427387904]", 0, 8),
          "a: its shape has more bytes than a file can hold", 8 },
        { ONE("F32", "[3]", 0, 8), "a: F32 [3] is 12 bytes, data_offsets say 8", 8 },
        { ONE("F32", "[2]", 0, 8),
          "a: lies at bytes 0 to 8 of 7; the file is truncated or its header is wrong", 7 },
        { ONE("F32", "[2]", 16, 8),
          "a: lies at bytes 16 to 8 of 16; the file is truncated or its header is wrong", 16 },
        { ONE("F32", "[2]", -8, 0), "a: data_offsets must be two whole numbers", 8 },
        { ONE("F32", "[2]", 0, 8), "1 bytes behind the last tensor belong to none", 9 },
        { ONE("F32", "[2]", 4, 12), "a hole of 4 bytes before a", 12 },
        { "{" A ",\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[6,10]}}",
          "b overlaps the tensor before it by 2 bytes", 10 },
        { "{\"a\\u0007\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}",
          "the name `a?` holds a control character", 4 },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) {
        write_flat(rows[i].json, strlen(rows[i].json), rows[i].data_bytes);
        expect_refusal(NULL, rows[i].message);
    }
    write_flat("{}", 1000, 0);
    expect_refusal(NULL,
                   "a header of 1000 bytes; the file has 2 behind its length and 100000000 are "
                   "allowed");
    write_flat("{}", UINT64_MAX, 0);
    expect_refusal(NULL, "a header of 18446744073709551615 bytes; the file has 2 behind its length "
                         "and 100000000 are allowed");
    write_flat("{" A "}", strlen("{" A "}"), 8);
    expect_refusal("generator",
                   "outer key `generator`: a safetensors file has no dictionaries, and "
                   "no name in it begins with `generator.`");
    assert_int_equal(file_write(path, "hello", 5), ST_OK);
    expect_refusal(NULL, "neither a safetensors, a GGUF nor a torch zip file");
    assert_int_equal(file_write(path, "", 0), ST_OK);
    expect_refusal(NULL, "an empty file");
    assert_int_equal(file_write(path, "<html>", 6), ST_OK);
    expect_refusal(NULL, "a web page; the download failed or needs a login");
    assert_int_equal(file_write(path, "{\"meta\":{}}", 11), ST_OK);
    expect_refusal(NULL, "a JSON text");
    assert_int_equal(unlink(path), 0);
    expect_refusal(NULL, "No such file or directory");
}

/* A record of the training makes a header of 9 MiB. */
static void long_header(void **state)
{
    struct strbuf json = { 0 };
    struct weights *w;

    (void)state;
    strbuf_addf(&json, "{\"__metadata__\":{\"workflow\":\"");
    for (int i = 0; i < 9 << 16; i++) strbuf_add(&json, "[,{\\\"x,]}{,[0,::", 16);
    strbuf_addf(&json, "\"}," A "}");
    assert_false(json.failed);
    write_flat(json.s, json.len, 8);
    strbuf_free(&json);
    assert_int_equal(weights_open(&w, path, NULL), ST_OK);
    assert_int_equal(weights_count(w), 1);
    weights_close(&w);
}

/* Types and ranks that are only listed: with their bytes, and nothing to compute with. */
static void unread_types(void **state)
{
    static const struct {
        const char *json, *dtype, *shape;
        int64_t count;
        size_t bytes;
    } rows[] = {
        { ONE("F8_E4M3", "[2,4]", 0, 8), "F8_E4M3", "[2, 4]", 8, 8 },
        { ONE("BOOL", "[]", 0, 1), "BOOL", "[]", 1, 1 },
        { ONE("I16", "[3]", 0, 6), "I16", "[3]", 3, 6 },
        { ONE("F32", "[1,1,1,1,1,2]", 0, 8), "F32", "[1, 1, 1, 1, 1, 2]", 2, 8 },
        { ONE("F4", "[5]", 0, 3), "F4", "[5]", 5, 3 },
        { ONE("NEW_TYPE", "[0]", 0, 0), "NEW_TYPE", "[0]", 0, 0 },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) {
        char shape[WEIGHT_SHAPE], hash[DIGEST_HEX];
        struct weights *w;
        const void *data;
        write_flat(rows[i].json, strlen(rows[i].json), (int)rows[i].bytes);
        assert_int_equal(weights_open(&w, path, NULL), ST_OK);
        const struct weight_info *const info = weights_at(w, 0);
        assert_false(info->usable);
        assert_int_equal(tensor_count(&info->t), 0);
        assert_string_equal(info->dtype, rows[i].dtype);
        assert_string_equal(weight_shape(info, shape), rows[i].shape);
        assert_int_equal(info->count, rows[i].count);
        assert_int_equal(info->bytes, rows[i].bytes);
        assert_int_equal(weights_fetch(w, 0, &data), ST_OK);
        assert_int_equal(weights_hash(w, hash, NULL), ST_OK);
        weights_close(&w);
    }
}

/* Data behind a header of odd length still arrives aligned, and stays. */
static void askew_safetensors(void **state)
{
    const char *const json = "{\"pad\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                             "\"x\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[1,9]},"
                             "\"y\":{\"dtype\":\"I64\",\"shape\":[2,0],\"data_offsets\":[9,9]}}";
    struct weights *w;
    const void *x, *again;

    (void)state;
    write_flat(json, strlen(json), 9);
    assert_int_equal(weights_open(&w, path, NULL), ST_OK);
    int const at = weights_find(w, "x");
    assert_int_equal(weights_at(w, at)->t.ndim, 0);
    assert_int_equal(weights_fetch(w, at, &x), ST_OK);
    assert_int_equal((uintptr_t)x % 8, 0);
    assert_true(*(const double *)x == 0);
    assert_int_equal(weights_fetch(w, at, &again), ST_OK);
    assert_ptr_equal(x, again);
    weights_close(&w);
}

/* ---- torch ---------------------------------------------------------------------------- */

/* What a pickle says of a tensor, and what stands in its storage. */
struct claim {
    const char *storage; /* its class */
    int count;           /* elements of the storage */
    int offset;
    const char *size, *stride; /* opcodes of the two tuples */
    int bytes;                 /* of the member */
    const char *message;       /* behind "a: "; NULL: it is sound */
};

/* {'a': _rebuild_tensor_v2(persid, offset, size, stride, False, {})} */
static void write_claim(const struct claim *c)
{
    static const float content[16] = { 0, 1, 2, 3, 4, 5 };
    struct strbuf t = { 0 };
    struct zip_writer *z;

    strbuf_addf(&t, "\x80\x02}X");
    strbuf_add(&t, "\1\0\0\0a", 5);
    strbuf_addf(&t, "ctorch._utils\n_rebuild_tensor_v2\n((X");
    strbuf_add(&t, "\7\0\0\0storage", 11);
    strbuf_addf(&t, "ctorch\n%s\nX", c->storage);
    strbuf_add(&t,
               "\1\0\0\0"
               "0",
               5);
    strbuf_add(&t, "X\3\0\0\0cpu", 8);
    strbuf_addf(&t, "K%ctQK", c->count);
    char const offset = (char)c->offset;
    strbuf_add(&t, &offset, 1);
    strbuf_addf(&t, "%s%s\x89}tRs.", c->size, c->stride);
    assert_false(t.failed);
    assert_int_equal(zip_writer_open(&z, path), ST_OK);
    assert_int_equal(zip_writer_member(z, "f/data.pkl", t.s, t.len), ST_OK);
    assert_int_equal(zip_writer_member(z, "f/data/0", content, (size_t)c->bytes), ST_OK);
    assert_int_equal(zip_writer_commit(z), ST_OK);
    zip_writer_close(&z);
    strbuf_free(&t);
}

static void torch_claims(void **state)
{
    static const struct claim rows[] = {
        { "FloatStorage", 6, 0, "K\2K\3\x86", "K\3K\1\x86", 24, NULL },
        { "FloatStorage", 6, 2, "K\4\x85", "K\1\x85", 24, NULL },
        { "DoubleStorage", 6, 0, "K\1K\6\x86", "K\7K\1\x86", 48, NULL },
        { "HalfStorage", 6, 6, "K\7\x85", "K\1\x85", 12,
          "[7] from element 6 on leaves its storage of 6" },
        { "FloatStorage", 6, 3, "K\4\x85", "K\1\x85", 24,
          "[4] from element 3 on leaves its storage of 6" },
        { "FloatStorage", 6, 7, "K\1\x85", "K\1\x85", 24,
          "[1] from element 7 on leaves its storage of 6" },
        { "FloatStorage", 6, 0, "K\2K\3\x86", "K\1K\2\x86", 24, NULL },
        { "FloatStorage", 6, 1, "K\2K\3\x86", "K\1K\2\x86", 24,
          "[2, 3] from element 1 on leaves its storage of 6" },
        { "FloatStorage", 6, 0, "K\2K\3\x86", "K\2K\2\x86", 24,
          "[2, 3] from element 0 on leaves its storage of 6" },
        { "FloatStorage", 6, 0, "K\2K\3\x86", "K\1K\1\x86", 24, NULL },
        { "FloatStorage", 6, 0, "K\3K\3\x86", "K\1K\1\x86", 24,
          "[3, 3] from element 0 on leaves its storage of 6" },
        { "FloatStorage", 6, 5, "K\2\x85", "J\xff\xff\xff\xff\x85", 24,
          "[2] from element 5 on leaves its storage of 6" },
        { "FloatStorage", 6, 0, "K\3\x85", "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x85", 24,
          "[3] from element 0 on leaves its storage of 6" },
        { "FloatStorage", 6, 0, "J\xff\xff\xff\xff\x85", "K\1\x85", 24,
          "not a shape a tensor can have" },
        { "FloatStorage", 6, 0, "J\xff\xff\xff\x7fJ\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x87",
          "K\1K\1K\1\x87", 24, "not a shape a tensor can have" },
        { "FloatStorage", 6, 0, "K\6\x85", "K\1\x85", 23, "a storage of 6 F32 in 23 bytes" },
        { "FloatStorage", 6, 0, "K\6\x85", "K\1\x85", 20, "a storage of 6 F32 in 20 bytes" },
        { "BoolStorage", 6, 0, "K\6\x85", "K\1\x85", 6, NULL },
        { "ComplexDoubleStorage", 2, 0, "K\2\x85", "K\1\x85", 32, NULL },
        { "ShortStorage", 6, 0, "(K\1K\1K\1K\1K\2K\3t", "(K\6K\6K\6K\6K\3K\1t", 12, NULL },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) {
        char message[256];
        struct weights *w;
        const void *data;
        write_claim(&rows[i]);
        if (rows[i].message) {
            snprintf(message, sizeof message, "a: %s", rows[i].message);
            expect_refusal(NULL, message);
            continue;
        }
        assert_int_equal(weights_open(&w, path, NULL), ST_OK);
        assert_int_equal(weights_fetch(w, 0, &data), ST_OK);
        weights_close(&w);
    }
}

/* Other strides than row-major: a transposed view, channels_last, a window that moves. */
static void gathered(void **state)
{
    static const struct {
        struct claim claim;
        float want[6];
    } rows[] = {
        { { "FloatStorage", 6, 0, "K\2K\3\x86", "K\1K\2\x86", 24, NULL }, { 0, 2, 4, 1, 3, 5 } },
        { { "FloatStorage", 6, 0, "K\3K\2\x86", "K\1K\3\x86", 24, NULL }, { 0, 3, 1, 4, 2, 5 } },
        { { "FloatStorage", 6, 0, "K\1K\2K\3\x87", "K\6K\1K\2\x87", 24, NULL },
          { 0, 2, 4, 1, 3, 5 } },
        { { "FloatStorage", 6, 0, "(K\1K\3K\1K\1K\2t", "(K\6K\1K\6K\6K\3t", 24, NULL },
          { 0, 3, 1, 4, 2, 5 } },
        { { "FloatStorage", 6, 0, "K\2K\3\x86", "K\1K\1\x86", 24, NULL }, { 0, 1, 2, 1, 2, 3 } },
        { { "FloatStorage", 6, 0, "K\3\x85", "K\2\x85", 24, NULL }, { 0, 2, 4 } },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) {
        struct weights *w;
        const void *data;
        write_claim(&rows[i].claim);
        assert_int_equal(weights_open(&w, path, NULL), ST_OK);
        for (int twice = 0; twice < 2; twice++) {
            assert_int_equal(weights_fetch(w, 0, &data), ST_OK);
            assert_memory_equal(data, rows[i].want, weights_at(w, 0)->bytes);
        }
        weights_close(&w);
    }
}

/* The file as it should be, to be spoilt: {'a': F32 [6]}, and a key that is no tensor. */
static const struct claim sound = { "FloatStorage", 6, 0, "K\6\x85", "K\1\x85", 24, NULL };

static void spoil(const char *find, size_t find_len, size_t at, const char *with, size_t len)
{
    char *text;
    size_t size;

    assert_int_equal(file_read(path, 1 << 20, &text, &size), ST_OK);
    char *const hit = memmem(text, size, find, find_len);
    assert_non_null(hit);
    memcpy(hit + at, with, len);
    assert_int_equal(file_write(path, text, size), ST_OK);
    free(text);
}

static void add_by_libzip(const char *name, const char *bytes, size_t len, bool deflate)
{
    int why;
    zip_t *const z = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &why);

    assert_non_null(z);
    zip_int64_t const i = zip_file_add(z, name, zip_source_buffer(z, bytes, len, 0), 0);
    assert_true(i >= 0);
    zip_set_file_compression(z, (zip_uint64_t)i, deflate ? ZIP_CM_DEFLATE : ZIP_CM_STORE, 9);
    assert_int_equal(zip_close(z), 0);
}

/* A zip file of one or two plain members. */
static void write_zip(const char *const name[2], const char *const bytes[2], const size_t len[2])
{
    struct zip_writer *z;

    assert_int_equal(zip_writer_open(&z, path), ST_OK);
    for (int i = 0; i < 2 && name[i]; i++)
        assert_int_equal(zip_writer_member(z, name[i], bytes[i], len[i]), ST_OK);
    assert_int_equal(zip_writer_commit(z), ST_OK);
    zip_writer_close(&z);
}

static void wrong_members(void **state)
{
    static char bomb[1 << 20];
    static const char empty[] = "\x80\2}."; /* a pickle of {} */

    (void)state;
    add_by_libzip("f/data.pkl", bomb, sizeof bomb, true);
    expect_refusal(NULL, "f/data.pkl is compressed or encrypted; torch stores its members plain");
    add_by_libzip("f/other", bomb, 10, false);
    expect_refusal(NULL, "a zip file without NAME/data.pkl: no torch checkpoint");

    write_zip((const char *const[]){ "f/data.pkl", "g/data.pkl" },
              (const char *const[]){ empty, empty }, (const size_t[]){ 4, 4 });
    expect_refusal(NULL, "both f/data.pkl and g/data.pkl; one is allowed");
    write_zip((const char *const[]){ "f/data.pkl", "f/byteorder" },
              (const char *const[]){ empty, "big" }, (const size_t[]){ 4, 3 });
    expect_refusal(NULL, "byte order `big`; only `little` is read");
    write_zip((const char *const[]){ "f/data.pkl", NULL }, (const char *const[]){ empty, NULL },
              (const size_t[]){ 4, 0 });
    expect_refusal(NULL, "holds no tensors; its keys are: (none)");

    write_claim(&sound);
    expect_refusal("generator", "has no dict under the outer key `generator`; its keys are: a");
    write_claim(&sound);
    spoil("f/data/0", 8, 7, "9", 1); /* in the local header, whose name is not read */
    spoil("f/data/0", 8, 7, "9", 1); /* in the directory */
    expect_refusal(NULL, "has no member f/data/0");
}

/* Beside the weights and among them: what is no tensor is passed over, a tensor of a kind that is
 * not read is listed. */
static void objects_beside(void **state)
{
    static const char code[] = "\x80\2}(X\4\0\0\0argscargparse\nNamespace\n)\x81}X\1\0\0\0xNsb"
                               "X\11\0\0\0generator}(X\1\0\0\0wctorch._utils\n_rebuild_tensor_v2\n"
                               "((X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0"
                               "0X\3\0\0\0cpuK\4tQK\0K\4\x85K\1\x85\x89}tR"
                               "X\6\0\0\0devicectorch\ndevice\nX\4\0\0\0cuda\x85R"
                               "X\1\0\0\0sctorch._utils\n_rebuild_sparse_tensor\n)R"
                               "X\1\0\0\0ncnumpy.core.multiarray\n_reconstruct\n)Ruu.";
    static const char whole[] = "\x80\2cmy.models\nWan\n)\x81}b.";
    const float data[4] = { 1, 2, 3, 4 };
    struct weights *w;
    const void *at;
    char hash[DIGEST_HEX];

    (void)state;
    write_zip((const char *const[]){ "f/data.pkl", "f/data/0" },
              (const char *const[]){ code, (const char *)data },
              (const size_t[]){ sizeof code - 1, sizeof data });
    assert_int_equal(weights_open(&w, path, NULL), ST_OK);
    assert_string_equal(weights_outer_key(w), "generator");
    assert_int_equal(weights_count(w), 3);
    assert_int_equal(weights_fetch(w, weights_find(w, "w"), &at), ST_OK);
    assert_memory_equal(at, data, sizeof data);
    for (int i = 0; i < 2; i++) {
        const struct weight_info *const unread = weights_at(w, weights_find(w, i ? "n" : "s"));
        assert_false(unread->usable);
        assert_string_equal(unread->dtype, "UNREAD");
        assert_int_equal(unread->bytes, 0);
    }
    assert_int_equal(weights_hash(w, hash, NULL), ST_OK);
    weights_close(&w);
    expect_refusal("args",
                   "has no dict under the outer key `args`; allowed as outer key: generator");

    write_zip((const char *const[]){ "f/data.pkl", NULL }, (const char *const[]){ whole, NULL },
              (const size_t[]){ sizeof whole - 1, 0 });
    expect_refusal(NULL, "holds a Python object, made with Wan; save its state_dict()");
}

/* The checksum of the member, kept by the file's directory, tells of a flipped bit. */
static void damaged_members(void **state)
{
    struct weights *w;
    const void *data;
    char want[256], *text;
    size_t size;

    (void)state;
    write_claim(&sound);
    spoil("cpu", 3, 0, "xpu", 3);
    expect_refusal(NULL, "f/data.pkl: CRC error");
    write_claim(&sound);
    spoil("f/data/0", 8, 56, "\x40", 1);
    assert_int_equal(weights_open(&w, path, NULL), ST_OK);
    assert_int_equal(weights_fetch(w, 0, &data), ST_FORMAT);
    snprintf(want, sizeof want, "%s: f/data/0: CRC error", path);
    assert_string_equal(error_last()->msg, want);
    weights_close(&w);

    /* The directory claims a storage of nearly 4 GB. */
    write_claim(&sound);
    spoil("\x18\0\0\0\x18\0\0\0\x08\0", 10, 0, "\xf8\xff\xff\xff\xf8\xff\xff\xff", 8);
    assert_int_equal(file_read(path, 1 << 20, &text, &size), ST_OK);
    free(text);
    snprintf(want, sizeof want,
             "f/data/0 claims 4294967288 bytes, stored in 4294967288 of a file of %zu", size);
    expect_refusal(NULL, want);

    /* Cut in the middle: no directory is left. */
    write_claim(&sound);
    assert_int_equal(truncate(path, 200), 0);
    assert_int_equal(weights_open(&w, path, NULL), ST_FORMAT);
    assert_memory_equal(error_last()->msg, path, strlen(path));
}

/* Two tensors of one storage share one read; order does not matter. */
static void fetch_keeps_the_bytes_apart(void **state)
{
    static const char *const name[] = { "a", "b", "empty" };
    static const float values[] = { 1, 2, 3, 4, 5, 6 };
    struct torch_writer *t;
    struct tensor shape[3];
    struct weights *w;
    const void *data;

    (void)state;
    assert_int_equal(tensor_make(&shape[0], DT_F32, DIMS(2, 1)), ST_OK);
    assert_int_equal(tensor_make(&shape[1], DT_F32, DIMS(4)), ST_OK);
    assert_int_equal(tensor_make(&shape[2], DT_F32, DIMS(0, 3)), ST_OK);
    struct torch_writer_dict const dict = { NULL, name, shape, 3, true };
    assert_int_equal(torch_writer_open(&t, path, &dict, 1), ST_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(torch_writer_begin(t, i, tensor_bytes(&shape[i])), ST_OK);
        assert_int_equal(torch_writer_bytes(t, values + 2 * i, tensor_bytes(&shape[i])), ST_OK);
        assert_int_equal(torch_writer_end(t), ST_OK);
    }
    assert_int_equal(torch_writer_commit(t), ST_OK);
    torch_writer_close(&t);

    assert_int_equal(weights_open(&w, path, NULL), ST_OK);
    static const int order[] = { 2, 1, 0, 0, 2, 1 };
    for (int i = 0; i < COUNT_OF(order); i++) {
        assert_int_equal(weights_fetch(w, order[i], &data), ST_OK);
        assert_memory_equal(data, values + 2 * order[i], tensor_bytes(&shape[order[i]]));
    }
    weights_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_forms_agree),
        cmocka_unit_test(golden_lists),
        cmocka_unit_test(names),
        cmocka_unit_test(broken_safetensors),
        cmocka_unit_test(long_header),
        cmocka_unit_test(unread_types),
        cmocka_unit_test(askew_safetensors),
        cmocka_unit_test(torch_claims),
        cmocka_unit_test(gathered),
        cmocka_unit_test(objects_beside),
        cmocka_unit_test(wrong_members),
        cmocka_unit_test(damaged_members),
        cmocka_unit_test(fetch_keeps_the_bytes_apart),
    };
    return cmocka_run_group_tests_name("unit_weights", tests, setup, teardown);
}
