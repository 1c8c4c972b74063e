/*
 * cmd_card.c - write a card for the files of a folder.
 *
 * Which file is what part its tensors say (inspect_model.c), so names do not matter. What no file
 * says - steps, shift, window, license - is another card's: that of the release whose checkpoint
 * this is. Paths are written relative to the folder, where the card belongs.
 */
#include "base/file.h"
#include "base/strbuf.h"
#include "cmd/cmd.h"
#include "cmd/cmd_internal.h"
#include "cmd/opts.h"
#include "jobs/spec/card.h"
#include "jobs/spec/clip_spec.h"
#include "pipeline/dit/dit.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { DEPTH = 5, FILES = 4096 };

/* Of the folder, in the order of their names. Paths are owned. */
struct finds {
    char *weights, *encoder, *vae, *tokenizer, *config;
    char outer_key[INSPECT_DETAIL];
    bool chosen; /* weights are what was asked for */
    int files;
};

static void free_finds(struct finds *f)
{
    char *const own[] = { f->weights, f->encoder, f->vae, f->tokenizer, f->config };

    for (int i = 0; i < COUNT_OF(own); i++) free(own[i]);
}

/* ---- the files -------------------------------------------------------------------------- */

static bool ends_with(const char *s, const char *end)
{
    size_t const n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

/* Of a set of shards the index stands for all. */
static bool may_be_weights(const char *name)
{
    static const char *const ends[] = { ".safetensors", ".safetensors.index.json",
                                        ".pt",          ".pth",
                                        ".gguf",        ".bin" };

    if (strstr(name, "-of-") && !ends_with(name, ".json")) return false;
    for (int i = 0; i < COUNT_OF(ends); i++)
        if (ends_with(name, ends[i])) return true;
    return false;
}

static status keep_path(char **to, const char *path)
{
    if (*to) return ST_OK;
    *to = str_format("%s", path);
    return *to ? ST_OK : fail(ST_NOMEM, "%s: no memory", path);
}

/* What is no part of a model, or not to be read, is passed over. */
static status look_at_weights(struct finds *f, const char *path)
{
    struct inspect_model m;

    if (f->chosen && !strcmp(path, f->weights)) return ST_OK;
    if (inspect_model(&m, path, NULL) != ST_OK || !m.what) {
        error_clear();
        return ST_OK;
    }
    if (!strcmp(m.what, "text encoder")) return keep_path(&f->encoder, path);
    if (!strcmp(m.what, "VAE")) return keep_path(&f->vae, path);
    if (strcmp(m.what, "transformer") != 0 || f->chosen) return ST_OK;
    if (f->weights)
        return fail(ST_FORMAT, "%s and %s are transformers; name the one that the card is for",
                    f->weights, path);
    snprintf(f->outer_key, sizeof f->outer_key, "%s", m.outer_key);
    return keep_path(&f->weights, path);
}

static status look_at_file(struct finds *f, const char *path, const char *name)
{
    struct dit_shape shape;

    if (++f->files > FILES) return fail(ST_FORMAT, "%s: more than %d files beside it", path, FILES);
    if (!strcmp(name, "spiece.model")) return keep_path(&f->tokenizer, path);
    if (!strcmp(name, "config.json") && dit_shape_read(&shape, path) == ST_OK)
        return keep_path(&f->config, path);
    error_clear();
    return may_be_weights(name) ? look_at_weights(f, path) : ST_OK;
}

static status look_at_folder(struct finds *f, const char *dir, int depth)
{
    struct dirent **entry = NULL;
    int const n = scandir(dir, &entry, NULL, alphasort);
    status st = n < 0 ? fail(ST_IO, "%s: cannot be read", dir) : ST_OK;

    for (int i = 0; i < n; i++) {
        char *const path = str_format("%s/%s", dir, entry[i]->d_name);
        struct stat s;
        bool const seen = path && entry[i]->d_name[0] != '.' && stat(path, &s) == 0;
        if (!path) st = fail(ST_NOMEM, "%s: no memory", dir);
        if (st == ST_OK && seen && S_ISREG(s.st_mode)) st = look_at_file(f, path, entry[i]->d_name);
        if (st == ST_OK && seen && S_ISDIR(s.st_mode) && depth < DEPTH)
            st = look_at_folder(f, path, depth + 1);
        free(path);
        free(entry[i]);
    }
    free(entry);
    return st;
}

/* ---- the card --------------------------------------------------------------------------- */

/* In quotes where YAML could take it for something else. */
static void print_text(const char *key, const char *text)
{
    size_t const plain = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                      "0123456789._/-");

    printf("%s: ", key);
    if (!text[plain] && text[0] != '-') {
        printf("%s\n", text);
        return;
    }
    putchar('"');
    for (; *text; text++) printf("%s%c", *text == '"' || *text == '\\' ? "\\" : "", *text);
    printf("\"\n");
}

/* Behind the folder, as the card has it; a line of what is not there. */
static void print_path(const char *key, const char *path, const char *dir)
{
    size_t const n = strlen(dir);

    if (path) print_text(key, strncmp(path, dir, n) ? path : path + n + 1);
    else printf("# %s: not in this folder\n", key);
}

static void print_steps(const char *key, const double *step, int count)
{
    if (!count) return;
    printf("%s: [", key);
    for (int i = 0; i < count; i++) printf("%s%g", i ? ", " : "", step[i]);
    printf("]\n");
}

static void print_heads(const struct kv_profile *p)
{
    for (int i = 0; i < p->layers; i++) {
        const char *before = "";
        printf("%s[", i ? ", " : ", static_heads: [");
        for (int h = 0; h < KV_HEADS; h++) {
            if (!kv_head_is_static(p, i, h)) continue;
            printf("%s%d", before, h);
            before = ", ";
        }
        printf("]%s", i == p->layers - 1 ? "]" : "");
    }
}

static void print_window(const struct card *c)
{
    printf("window: {kind: %s, attention_frames: %d, sink_frames: %d", kv_window_name(c->window),
           c->attention_frames, c->sink_frames);
    if (c->sink) printf(", sink_positions: %s", kv_sink_name(c->sink));
    if (c->rule != KV_USUAL) printf(", policy: %s", kv_rule_name(c->rule));
    for (int i = 0; i < KV_KEYS_COUNT; i++) {
        const struct kv_key_bounds *const b = kv_key_bounds(c->rule, (enum kv_key)i);
        if (b && c->key[i] != b->usual) printf(", %s: %g", kv_key_name((enum kv_key)i), c->key[i]);
    }
    print_heads(&c->profile);
    printf("}\n");
}

static void print_starts(unsigned starts)
{
    const char *before = "starts: [";

    for (int k = CLIP_START_LATENTS; k <= CLIP_START_CLIP; k++)
        if (starts & 1u << k) {
            printf("%s%s", before, clip_start_name((enum clip_start_kind)k));
            before = ", ";
        }
    if (starts) printf("]\n");
}

static void print_card(const struct finds *f, const char *dir, const struct card *like)
{
    printf("# Belongs into %s. Steps, window and what is below them are those of %s.\n", dir,
           like->path);
    printf("card: 1\nname: %s\nfamily: %s\n", like->name, card_family_name(like->family));
    print_path("weights", f->weights, dir);
    if (f->outer_key[0]) print_text("outer_key", f->outer_key);
    print_path("config", f->config, dir);
    printf("text:\n");
    print_path("  encoder", f->encoder, dir);
    print_path("  tokenizer", f->tokenizer, dir);
    print_path("vae", f->vae, dir);
    print_steps("steps", like->step, like->steps);
    print_steps("first_block_steps", like->first_step, like->first_steps);
    printf("warp: %s\nshift: %g\nframes_per_block: %d\n", like->warp ? "true" : "false",
           like->shift, like->frames_per_block);
    print_window(like);
    print_starts(like->starts);
    if (like->width) printf("size: %dx%d\n", like->width, like->height);
    print_text("license", like->license);
}

static status check_finds(const struct finds *f, const char *dir)
{
    if (f->weights && f->encoder && f->vae && f->tokenizer && f->config) return ST_OK;
    return fail(ST_FORMAT, "%s: not in it:%s%s%s%s%s", dir, f->weights ? "" : " a transformer",
                f->config ? "" : " its config.json", f->encoder ? "" : " a text encoder",
                f->tokenizer ? "" : " spiece.model", f->vae ? "" : " a VAE");
}

/* The one that was asked for; what else the card needs lies in its folder. */
static status choose_weights(struct finds *f, const char *path)
{
    struct inspect_model m;

    TRY(inspect_model(&m, path, NULL));
    if (!m.what || strcmp(m.what, "transformer") != 0)
        return fail(ST_FORMAT, "%s: found %s; allowed: a transformer's weights", path,
                    m.what ? m.what : "no part of a model");
    snprintf(f->outer_key, sizeof f->outer_key, "%s", m.outer_key);
    f->chosen = true;
    return keep_path(&f->weights, path);
}

static status write_card(const char *path, const struct card *like)
{
    struct finds f = { .weights = NULL };
    struct stat s;
    char *dir = NULL;
    status st = ST_OK;

    if (stat(path, &s)) return fail(ST_FORMAT, "%s: no such file or folder", path);
    dir = S_ISDIR(s.st_mode) ? str_format("%.*s", (int)(strlen(path) - ends_with(path, "/")), path)
                             : path_dir(path);
    if (!dir) FAIL_OUT(ST_NOMEM, "%s: no memory", path);
    if (!S_ISDIR(s.st_mode)) TRY_OUT(choose_weights(&f, path));
    TRY_OUT(look_at_folder(&f, dir, 0));
    print_card(&f, dir, like);
    TRY_OUT(check_finds(&f, dir));
out:
    free(dir);
    free_finds(&f);
    return st;
}

status cmd_card(int argc, char **argv)
{
    const char *like = NULL;
    struct card card;
    bool help;
    struct opt const table[] = {
        { "like", OPT_TEXT, &like, .value = "CARD",
          .help = "whose steps, shift, window and license hold; models/ has those of releases" },
    };
    struct opts const o = {
        .usage = "card FOLDER|FILE --like CARD",
        .about =
            "Writes a model card to stdout for the files of a folder, each told by its tensors: a\n"
            "transformer, its config.json, a text encoder, a tokenizer, a VAE. With a FILE: for that\n"
            "transformer, and what lies beside it. What is not there is a line of its own, and the\n"
            "exit code 1.\n",
        .table = table,
        .count = COUNT_OF(table),
    };

    TRY(opts_parse(&o, &argc, argv, &help));
    if (help) return ST_OK;
    if (argc != 2 || !like) return fail(ST_ARG, "card takes one folder or file, and --like CARD");
    TRY(card_load(&card, like));
    status const st = write_card(argv[1], &card);
    card_close(&card);
    return st;
}
