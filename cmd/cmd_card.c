/*
 * cmd_card.c - write a card for the files of a folder.
 *
 * Which file is what part its tensors say (model_folder.c); what no file says - steps, shift,
 * window, license - is another card's (card_like.c). Paths are written relative to the folder,
 * where the card belongs.
 */
#include "base/file.h"
#include "base/strbuf.h"
#include "cmd/cmd.h"
#include "cmd/cmd_internal.h"
#include "cmd/opts.h"
#include "jobs/spec/clip_spec.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { HEAD = 128, NAME = 128 };

/* What goes into the card; NULL: it is not there. */
struct choice {
    const struct model_folder *folder;
    const struct card_like *like;
    const struct model_part *weights, *config, *encoder, *tokenizer, *vae;
};

/* ---- which files --------------------------------------------------------------------------- */

static bool is_same_file(const char *a, const char *b)
{
    struct stat x, y;
    return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* The one that was asked for; else the only one. */
static status choose_weights(struct choice *c, const char *path)
{
    const struct model_folder *const f = c->folder;
    const struct model_part *p = model_folder_find(f, "transformer", 0);
    struct inspect_model m;
    struct stat s;

    if (stat(path, &s) == 0 && S_ISDIR(s.st_mode)) {
        const struct model_part *const other =
            p ? model_folder_find(f, "transformer", (int)(p - f->part) + 1) : NULL;
        if (other)
            return fail(ST_FORMAT, "%s and %s are transformers; name the one that the card is for",
                        p->path, other->path);
        c->weights = p;
        return ST_OK;
    }
    while (p && !is_same_file(p->path, path))
        p = model_folder_find(f, "transformer", (int)(p - f->part) + 1);
    c->weights = p;
    if (p) return ST_OK;
    TRY(inspect_model(&m, path, NULL));
    return fail(ST_FORMAT,
                "%s: found %s; allowed: a transformer's weights, of several files their "
                "index",
                path, m.what ? m.what : "no part of a model");
}

/* The config.json of the transformer's width; else the weights themselves, where they say it. */
static void choose_config(struct choice *c)
{
    const struct model_folder *const f = c->folder;

    for (int i = 0; i < f->parts; i++) {
        const struct model_part *const p = &f->part[i];
        if (strcmp(p->what, "config.json") != 0 || (c->weights && p->dim != c->weights->dim))
            continue;
        c->config = p;
        return;
    }
    if (c->weights && c->weights->dim % HEAD == 0) c->config = c->weights;
}

static status check_choice(const struct choice *c)
{
    const struct {
        const struct model_part *part;
        const char *what;
    } rows[] = {
        { c->weights, "a transformer" },
        { c->config, "its config.json" },
        { c->encoder, "a text encoder" },
        { c->tokenizer, "spiece.model" },
        { c->vae, "a VAE" },
    };
    struct strbuf missing = { 0 };

    for (int i = 0; i < COUNT_OF(rows); i++)
        if (!rows[i].part) strbuf_addf(&missing, "%s%s", missing.len ? ", " : "", rows[i].what);
    status const st =
        missing.len ? fail(ST_FORMAT, "%s: not in it: %s", c->folder->dir, missing.s) : ST_OK;
    strbuf_free(&missing);
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
    for (; *text; text++)
        if (iscntrl((unsigned char)*text)) printf("\\x%02X", (unsigned)*text);
        else printf("%s%c", *text == '"' || *text == '\\' ? "\\" : "", *text);
    printf("\"\n");
}

/* A comment, of one line whatever the path is. */
static void print_comment(const char *what, const char *path)
{
    printf("# %s: ", what);
    for (; *path; path++) putchar(iscntrl((unsigned char)*path) ? '?' : *path);
    putchar('\n');
}

/* Behind the folder, as the card has it; a line of what is not there, and of others of its kind. */
static void print_part(const char *key, const struct choice *c, const struct model_part *p)
{
    const struct model_folder *const f = c->folder;

    if (!p) {
        printf("# %s: not in this folder\n", key);
        return;
    }
    print_text(key, model_folder_inside(f, p->path));
    for (int i = (int)(p - f->part) + 1; p != c->weights && i < f->parts; i++)
        if (!strcmp(f->part[i].what, p->what))
            print_comment("or", model_folder_inside(f, f->part[i].path));
}

static const char *last_name(const char *path)
{
    const char *const slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Those of the other card that are there, by their names, with its numbers. */
static void print_loras(const struct choice *c)
{
    const struct model_folder *const f = c->folder;
    const struct card *const like = &c->like->card;
    const char *head = "lora:\n";

    for (int i = 0; i < f->parts; i++) {
        const struct model_lora *l = NULL;
        if (strcmp(f->part[i].what, "LoRA") != 0) continue;
        for (int k = 0; c->like->sure && k < like->loras; k++)
            if (!strcmp(last_name(like->lora[k].file), last_name(f->part[i].path)))
                l = &like->lora[k];
        const char *const file = model_folder_inside(f, f->part[i].path);
        if (!l) {
            print_comment("a LoRA, for `lora`", file);
            continue;
        }
        fputs(head, stdout);
        print_text("  - file", file);
        if (l->outer_key) print_text("    outer_key", l->outer_key);
        if (l->rank) printf("    rank: %d\n", l->rank);
        if (l->alpha > 0) printf("    alpha: %g\n", l->alpha);
        if (l->scale != 1) printf("    scale: %g\n", l->scale);
        head = "";
    }
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

/* Of a release its own; else the folder's, as far as a name may have it. */
static void print_name(const struct choice *c)
{
    const char *name = c->like->sure ? c->like->card.name : last_name(c->folder->dir);

    printf("name: ");
    if (!strcmp(name, ".") || !strcmp(name, "..") || !*name) name = "unnamed";
    for (int n = 0; *name && n < NAME; name++, n++)
        putchar(isalnum((unsigned char)*name) || strchr("._-", *name) ? *name : '-');
    putchar('\n');
}

static void print_head(const struct choice *c)
{
    const struct card_like *const l = c->like;

    printf("# Belongs into %s. Steps, window and what is below them are those of %s.\n",
           c->folder->dir, l->card.path);
    if (l->sure) return;
    printf(
        "# No file says which release this is, and its name is none of theirs. If it is another,\n"
        "# its steps and window are too: --like NAME writes them, for one of\n# %s.\n",
        l->names);
}

static void print_card(const struct choice *c)
{
    const struct card *const like = &c->like->card;

    print_head(c);
    printf("card: 1\n");
    print_name(c);
    printf("family: %s\n", card_family_name(like->family));
    print_part("weights", c, c->weights);
    if (c->weights && c->weights->outer_key[0]) print_text("outer_key", c->weights->outer_key);
    print_loras(c);
    print_part("config", c, c->config);
    printf("text:\n");
    print_part("  encoder", c, c->encoder);
    print_part("  tokenizer", c, c->tokenizer);
    print_part("vae", c, c->vae);
    print_steps("steps", like->step, like->steps);
    print_steps("first_block_steps", like->first_step, like->first_steps);
    printf("warp: %s\nshift: %g\nframes_per_block: %d\n", like->warp ? "true" : "false",
           like->shift, like->frames_per_block);
    print_window(like);
    print_starts(like->starts);
    if (like->width) printf("size: %dx%d\n", like->width, like->height);
    print_text("license", c->like->sure ? like->license : "as where its files come from");
}

static status write_card(const char *path, const char *asked)
{
    struct model_part const unknown = { .path = (char[]){ "" } };
    struct model_folder folder;
    struct card_like like = { .sure = false };
    struct choice c = { .folder = &folder, .like = &like };
    status st = ST_OK;

    TRY_OUT(model_folder_read(&folder, path));
    TRY_OUT(choose_weights(&c, path));
    TRY_OUT(card_like_choose(&like, c.weights ? c.weights : &unknown, asked));
    choose_config(&c);
    c.encoder = model_folder_find(&folder, "text encoder", 0);
    c.tokenizer = model_folder_find(&folder, "tokenizer", 0);
    c.vae = model_folder_find(&folder, "VAE", 0);
    print_card(&c);
    TRY_OUT(check_choice(&c));
out:
    card_like_close(&like);
    model_folder_free(&folder);
    return st;
}

status cmd_card(int argc, char **argv)
{
    const char *like = NULL;
    bool help;
    struct opt const table[] = {
        { "like", OPT_TEXT, &like, .value = "CARD",
          .help =
              "whose steps, shift, window and license hold: a path, or a name as self-forcing-1.3b; "
              "left out: the release whose file has this name, else the plainest" },
    };
    struct opts const o = {
        .usage = "card FOLDER|FILE [--like CARD]",
        .about =
            "Writes a model card to stdout for the files of a folder, each told by its tensors: a\n"
            "transformer, its config.json, a text encoder, a tokenizer, a VAE. With a FILE: for that\n"
            "transformer, and what lies beside it. What is not there is a line of its own, and the\n"
            "exit code 2.\n",
        .table = table,
        .count = COUNT_OF(table),
    };

    TRY(opts_parse(&o, &argc, argv, &help));
    if (help) return ST_OK;
    if (argc != 2) return fail(ST_ARG, "card takes one folder or file; see --help");
    return write_card(argv[1], like);
}
