/*
 * cmd_inspect.c - list the tensors of a checkpoint, or say how a clip changes.
 *
 * One row per tensor and a line for the whole, on stdout; then, where it is a part of a model,
 * which one, and what a card says for it. The hashes are those of pipeline/weights/weights.h, of
 * each the first 16 digits.
 */
#include "base/json_build.h"
#include "cmd/cmd.h"
#include "cmd/cmd_internal.h"
#include "cmd/opts.h"
#include "pipeline/weights/weights.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HASH_SHOWN = 16 };

struct listing {
    struct weights *w;
    char (*hash)[DIGEST_HEX]; /* NULL: not wanted */
    char all[DIGEST_HEX];
    int64_t elements;
    size_t bytes;
    struct inspect_model is;
};

static void print_tensor_table(const struct listing *l)
{
    int wide = 4, type = 4;

    for (int i = 0; i < weights_count(l->w); i++) {
        int const n = (int)strlen(weights_at(l->w, i)->name);
        int const t = (int)strlen(weights_at(l->w, i)->dtype);
        if (n > wide) wide = n;
        if (t > type) type = t;
    }
    for (int i = 0; i < weights_count(l->w); i++) {
        const struct weight_info *const info = weights_at(l->w, i);
        char shape[WEIGHT_SHAPE];
        printf("%-*s  %-*s  %-24s %12zu", wide, info->name, type, info->dtype,
               weight_shape(info, shape), info->bytes);
        if (l->hash) printf("  %.*s", HASH_SHOWN, l->hash[i]);
        putchar('\n');
    }
    printf("total: %d tensors, %" PRId64 " parameters, %zu bytes", weights_count(l->w), l->elements,
           l->bytes);
    if (weights_outer_key(l->w)[0]) printf(", outer key %s", weights_outer_key(l->w));
    if (l->hash) printf(", hash %.*s", HASH_SHOWN, l->all);
    putchar('\n');
    inspect_model_print(&l->is);
}

static json_t *build_json_row(const struct listing *l, int i)
{
    const struct weight_info *const info = weights_at(l->w, i);
    json_t *const shape = json_array();
    json_t *const o = json_pack("{s:o, s:s, s:o, s:I}", "name", inspect_text(info->name), "dtype",
                                info->dtype, "shape", shape, "bytes", (json_int_t)info->bytes);

    for (int d = 0; d < info->ndim; d++) json_array_append_new(shape, json_integer(info->dim[d]));
    if (l->hash) json_object_set_new(o, "hash", json_stringn(l->hash[i], HASH_SHOWN));
    return o;
}

static status print_tensor_json(const struct listing *l)
{
    json_t *const rows = json_array();

    for (int i = 0; i < weights_count(l->w); i++) json_array_append_new(rows, build_json_row(l, i));
    json_t *const o = json_pack(
        "{s:o, s:o, s:o, s:i, s:I, s:I}", "file", inspect_text(weights_path(l->w)), "outer_key",
        inspect_text(weights_outer_key(l->w)), "tensors", rows, "count", weights_count(l->w),
        "parameters", (json_int_t)l->elements, "bytes", (json_int_t)l->bytes);
    if (l->hash && o) json_object_set_new(o, "hash", json_stringn(l->all, HASH_SHOWN));
    if (l->is.what && o) json_object_set_new(o, "model", inspect_model_json(&l->is));
    if (json_print(o, JSON_INDENT(1))) return ST_OK;
    return fail(ST_NOMEM, "the listing of %s as JSON", weights_path(l->w));
}

static status list_checkpoint(const char *path, const char *outer_key, bool json, bool hashes)
{
    struct listing l = { 0 };
    status st = ST_OK;

    TRY_OUT(weights_open(&l.w, path, outer_key));
    int const n = weights_count(l.w);
    for (int i = 0; i < n; i++) {
        l.elements += weights_at(l.w, i)->count;
        l.bytes += weights_at(l.w, i)->bytes;
    }
    if (hashes) {
        l.hash = calloc((size_t)n + 1, sizeof *l.hash);
        if (!l.hash) FAIL_OUT(ST_NOMEM, "%s: its hashes", path);
        TRY_OUT(weights_hash(l.w, l.all, l.hash));
    }
    TRY_OUT(inspect_model(&l.is, path, outer_key));
    if (json) TRY_OUT(print_tensor_json(&l));
    else print_tensor_table(&l);
out:
    free(l.hash);
    weights_close(&l.w);
    return st;
}

status cmd_inspect(int argc, char **argv)
{
    const char *outer_key = NULL;
    bool json = false, no_hash = false, listed = false, help;
    struct opt const table[] = {
        { "outer-key", OPT_TEXT, &outer_key, .value = "KEY",
          .help = "of a checkpoint: the dict of a torch file, as \"generator\"" },
        { "json", OPT_FLAG, &json, .help = "print JSON" },
        { "no-hash", OPT_FLAG, &no_hash, .help = "of a checkpoint: do not read the tensors" },
    };
    struct opts const o = {
        .usage = "inspect FILE|FOLDER|CLIP [options]",
        .about =
            "Lists the tensors of a safetensors or torch file: name, dtype, shape, bytes, and the\n"
            "first 16 hex digits of the SHA-256 of its bytes. The hash of the whole is the same for\n"
            "the same weights in either form. Of a part of a model - transformer, text encoder, VAE,\n"
            "LoRA - also its sizes, what is missing, and what to put into a card.\n"
            "Of a folder of several parts: which they are, of each the same, and what is missing.\n"
            "Of a clip, its folder or a video file: how brightness, contrast, saturation, sharpness,\n"
            "and of a folder's latents mean and deviation, change from its beginning to its end.\n",
        .table = table,
        .count = COUNT_OF(table),
    };

    TRY(opts_parse(&o, &argc, argv, &help));
    if (help) return ST_OK;
    if (argc != 2) return fail(ST_ARG, "inspect takes one file or clip; see --help");
    if (is_clip(argv[1])) {
        if (outer_key || no_hash)
            return fail(ST_ARG, "%s is a clip; --outer-key and --no-hash are for checkpoints",
                        argv[1]);
        return inspect_clip(argv[1], json);
    }
    if (!outer_key) TRY(inspect_folder(argv[1], json, &listed));
    return listed ? ST_OK : list_checkpoint(argv[1], outer_key, json, !no_hash);
}
