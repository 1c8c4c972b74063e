/*
 * dit_shape.c - config.json of a Wan-family transformer, as the release writes it or as diffusers
 * does, which calls its keys otherwise, says the size of a head in place of the width, and leaves
 * out how long a prompt is: its pipeline takes the release's 512. Repackaged weights come without
 * one; then their own shapes say all but the heads, which are of 128 in the whole family.
 */
#include "base/file.h"
#include "base/file_kind.h"
#include "base/file_watch.h"
#include "base/json_tree.h"
#include "pipeline/dit/dit.h"
#include "pipeline/weights/weight_bind.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIG_BYTES = 1 << 20, DIM_MAX = 65536, HEADS_MAX = 1024, TEXT_LEN = 512, HEAD = 128 };

static status read_whole(const struct json_node *root, const char *path, const char *key, int max,
                         int *out)
{
    const struct json_node *const v = json_tree_member(root, key);

    if (!v) return fail(ST_FORMAT, "%s: %s: missing; a whole number from 1 to %d", path, key, max);
    if (!json_tree_is(v, NODE_WHOLE) || v->whole < 1 || v->whole > max)
        return fail(ST_FORMAT, "%s: %s: a whole number from 1 to %d is allowed", path, key, max);
    *out = (int)v->whole;
    return ST_OK;
}

/* The only value this program computes with; `word`: how diffusers says it, or NULL. */
static status check_true(const struct json_node *root, const char *path, const char *key,
                         const char *word)
{
    const struct json_node *const v = json_tree_member(root, key);
    const char *const text = json_tree_text(v);

    if (!v || v->truth || (text && word && !strcmp(text, word))) return ST_OK;
    return fail(ST_FORMAT, "%s: %s: only true is supported", path, key);
}

static bool is_whole(const struct json_node *v, int64_t n)
{
    return json_tree_is(v, NODE_WHOLE) && v->whole == n;
}

static status check_patch_size(const struct json_node *root, const char *path)
{
    const struct json_node *const v = json_tree_member(root, "patch_size");
    int const want[] = { 1, 2, 2 };

    for (size_t i = 0; v && i < 3; i++)
        if (v->count != 3 || !is_whole(json_tree_item(v, i), want[i]))
            return fail(ST_FORMAT, "%s: patch_size: only [1, 2, 2] is supported", path);
    return ST_OK;
}

static status check_model_type(const struct json_node *root, const char *path)
{
    const struct json_node *const v = json_tree_member(root, "model_type");

    const char *const text = json_tree_text(v);

    if (v && (!text || strcmp(text, "t2v") != 0))
        return fail(ST_FORMAT, "%s: model_type: %s; only \"t2v\" is supported", path,
                    text ? text : "not a text");
    return ST_OK;
}

static status read_release_sizes(struct dit_shape *out, int *out_dim, const struct json_node *root,
                                 const char *path)
{
    TRY(read_whole(root, path, "dim", DIM_MAX, &out->dim));
    TRY(read_whole(root, path, "num_heads", HEADS_MAX, &out->heads));
    TRY(read_whole(root, path, "text_len", DIM_MAX, &out->text_len));
    TRY(read_whole(root, path, "in_dim", 1024, &out->channels));
    return read_whole(root, path, "out_dim", 1024, out_dim);
}

static status read_diffusers_sizes(struct dit_shape *out, int *out_dim,
                                   const struct json_node *root, const char *path)
{
    int head;

    TRY(read_whole(root, path, "num_attention_heads", HEADS_MAX, &out->heads));
    TRY(read_whole(root, path, "attention_head_dim", DIM_MAX / out->heads, &head));
    out->dim = out->heads * head;
    out->text_len = TEXT_LEN;
    TRY(read_whole(root, path, "in_channels", 1024, &out->channels));
    return read_whole(root, path, "out_channels", 1024, out_dim);
}

static status read_config(struct dit_shape *out, const struct json_node *root, const char *path)
{
    bool const diffusers = json_tree_member(root, "num_attention_heads");
    int out_dim;

    TRY(check_model_type(root, path));
    TRY(check_patch_size(root, path));
    TRY(check_true(root, path, "qk_norm", "rms_norm_across_heads"));
    TRY(check_true(root, path, "cross_attn_norm", NULL));
    TRY((diffusers ? read_diffusers_sizes : read_release_sizes)(out, &out_dim, root, path));
    TRY(read_whole(root, path, "ffn_dim", 1 << 20, &out->ffn_dim));
    TRY(read_whole(root, path, "num_layers", 1024, &out->layers));
    TRY(read_whole(root, path, "text_dim", DIM_MAX, &out->text_dim));
    TRY(read_whole(root, path, "freq_dim", DIM_MAX, &out->freq_dim));

    const struct json_node *const eps = json_tree_member(root, "eps");
    out->eps = eps ? (float)eps->number : 1e-6f;
    if (!(out->eps > 0.0f && out->eps < 1.0f))
        return fail(ST_FORMAT, "%s: eps: a number between 0 and 1 is allowed", path);
    if (out->channels != out_dim)
        return fail(ST_FORMAT, "%s: %s differ: %d and %d", path,
                    diffusers ? "in_channels and out_channels" : "in_dim and out_dim",
                    out->channels, out_dim);
    if (out->dim % out->heads || (out->dim / out->heads) % 2)
        return fail(ST_FORMAT, "%s: dim %d does not split into %d heads of even size", path,
                    out->dim, out->heads);
    if (out->freq_dim % 2)
        return fail(ST_FORMAT, "%s: freq_dim: %d; an even number is allowed", path, out->freq_dim);
    return ST_OK;
}

/* ---- by the weights ---- */

/* Side `d` of a tensor; 0: it is not there. */
static int side_of(const struct weights *w, const char *name, int d)
{
    int const i = weights_find(w, name);
    const struct weight_info *const t = i < 0 ? NULL : weights_at(w, i);

    return t && d < t->ndim && t->dim[d] <= DIM_MAX ? (int)t->dim[d] : 0;
}

static int count_layers(const struct weights *w)
{
    int n = 0;

    for (char name[96];; n++) {
        snprintf(name, sizeof name, "blocks.%d.self_attn.q.weight", n);
        if (weights_find(w, name) < 0) return n;
    }
}

status dit_shape_measure(struct dit_shape *out, const struct weights *w)
{
    int const dim = side_of(w, "blocks.0.self_attn.q.weight", 0);

    *out = (struct dit_shape){
        .dim = dim,
        .ffn_dim = side_of(w, "blocks.0.ffn.0.weight", 0),
        .heads = dim % HEAD ? 1 : dim / HEAD,
        .layers = count_layers(w),
        .text_dim = side_of(w, "text_embedding.0.weight", 1),
        .text_len = TEXT_LEN,
        .freq_dim = side_of(w, "time_embedding.0.weight", 1),
        .channels = side_of(w, "patch_embedding.weight", 1),
        .eps = 1e-6f,
    };
    if (dim && out->ffn_dim && out->text_dim && out->freq_dim && out->channels) return ST_OK;
    return fail(ST_FORMAT, "%s: %s", weights_path(w),
                dim ? "what is around its layers is not there" : bind_guess(w));
}

static status measure_file(struct dit_shape *out, const char *path)
{
    struct weights *w;
    status st = ST_OK;

    TRY(weights_open_as(&w, &(struct weights_request){ .path = path, .family = WEIGHTS_DIT }));
    TRY_OUT(dit_shape_measure(out, w));
    if (out->dim % HEAD || out->freq_dim % 2)
        st = fail(ST_FORMAT,
                  "%s: a width of %d says nothing of the heads, which are of %d where there is no "
                  "config.json; allowed: the model's config.json",
                  path, out->dim, HEAD);
out:
    weights_close(&w);
    return st;
}

static bool is_weights(const char *kind)
{
    static const char *const weights[] = { FILE_KIND_ZIP, FILE_KIND_SAFETENSORS, FILE_KIND_GGUF,
                                           FILE_KIND_INDEX };

    for (int i = 0; kind && i < COUNT_OF(weights); i++)
        if (!strcmp(kind, weights[i])) return true;
    return false;
}

/* What the file seems to be, by its first bytes, and how many are a mark of the byte order. */
static status look_at_kind(const char **kind, size_t *mark, const char *path)
{
    struct file_map m;

    TRY(file_map(&m, path));
    file_watch_map(path, m.data, file_watch_piece(m.size));
    *mark = m.size >= 3 && !memcmp(m.data, "\xef\xbb\xbf", 3) ? 3 : 0;
    *kind = file_kind(*mark ? m.data + *mark : m.data, m.size - *mark);
    file_unmap(&m);
    return ST_OK;
}

status dit_shape_read(struct dit_shape *out, const char *path)
{
    struct json_node *root = NULL;
    const char *kind;
    char *text = NULL;
    size_t len, mark;
    status st = ST_OK;

    *out = (struct dit_shape){ 0 };
    TRY(look_at_kind(&kind, &mark, path));
    if (is_weights(kind)) return measure_file(out, path);
    if (kind && strcmp(kind, FILE_KIND_JSON) != 0)
        return fail(ST_FORMAT, "%s: %s; the model's config.json is expected", path, kind);
    TRY_OUT(file_read(path, CONFIG_BYTES, &text, &len));
    if (len < mark) FAIL_OUT(ST_FORMAT, "%s: it is being written", path);
    TRY_OUT(json_tree_read(&root, text + mark, len - mark, path));
    if (!json_tree_is(root, NODE_OBJECT)) FAIL_OUT(ST_FORMAT, "%s: an object is expected", path);
    TRY_OUT(read_config(out, root, path));
out:
    json_tree_free(&root);
    free(text);
    return st;
}
