/*
 * inspect_model.c - a checkpoint is told by a tensor that only such a part has, under whichever of
 * the known names, and its sizes are read off the shapes; then the part itself says what it misses,
 * with the words that a render would have.
 */
#include "base/strbuf.h"
#include "base/utf8.h"
#include "cmd/cmd_internal.h"
#include "pipeline/dit/dit.h"
#include "pipeline/text/umt5.h"
#include "pipeline/vae/vae.h"
#include "pipeline/weights/weight_bind.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct looking {
    struct weights *w; /* under the names of the part */
    const char *path, *outer_key;
    struct inspect_model *to;
};

/* Side `d` of a tensor; 0: it is not there. */
static int side_of(const struct looking *l, const char *name, int d)
{
    int const i = weights_find(l->w, name);
    const struct weight_info *const t = i < 0 ? NULL : weights_at(l->w, i);

    return t && d < t->ndim && t->dim[d] <= INT32_MAX ? (int)t->dim[d] : 0;
}

/* ---- the parts -------------------------------------------------------------------------- */

static status look_at_dit(const struct looking *l)
{
    struct schedule schedule;
    struct dit_config c = {
        .weights = l->path, .outer_key = l->outer_key, .schedule = &schedule, .act = DT_F32
    };

    TRY(dit_shape_measure(&c.shape, l->w));
    snprintf(l->to->detail, sizeof l->to->detail,
             "%d layers of %d, feed-forward %d, prompts of %d, latents of %d channels",
             c.shape.layers, c.shape.dim, c.shape.ffn_dim, c.shape.text_dim, c.shape.channels);
    l->to->dim = c.shape.dim;
    TRY(schedule_make(&schedule, (double[]){ 1000 }, 1, true, 5));
    return dit_check(&c);
}

static status look_at_text(const struct looking *l)
{
    struct umt5_config const c = { .weights = l->w, .precision = DT_F32 };
    struct umt5 *u = NULL;

    snprintf(l->to->detail, sizeof l->to->detail, "UMT5 of %d, %d words",
             side_of(l, "token_embedding.weight", 1), side_of(l, "token_embedding.weight", 0));
    status const st = umt5_open(&u, &c);
    umt5_close(&u);
    return st;
}

static status look_at_vae(const struct looking *l)
{
    int64_t base = 0;

    TRY(vae_base(&base, l->path));
    snprintf(l->to->detail, sizeof l->to->detail, "base width %lld", (long long)base);
    return vae_check(l->path);
}

static bool ends_with(const char *s, const char *end)
{
    size_t const n = strlen(s), m = strlen(end);
    return n > m && !strcmp(s + n - m, end);
}

/* Whether it fits a model only the model can tell. */
static status look_at_lora(const struct looking *l)
{
    int layers = 0, factors = 0;
    bool alpha = false;

    for (int i = 0; i < weights_count(l->w); i++) {
        const char *const name = weights_at(l->w, i)->raw;
        bool const factor = strstr(name, "lora_A") || strstr(name, "down.weight");
        factors += factor;
        layers += factor || ends_with(name, ".diff");
        alpha |= ends_with(name, ".alpha") || ends_with(name, ".lora_alpha");
    }
    snprintf(l->to->detail, sizeof l->to->detail, "%d layers%s", layers,
             alpha || !factors ? "" : "; its file says no alpha: the card must");
    return ST_OK;
}

static bool has_lora_names(const struct weights *w)
{
    for (int i = 0; i < weights_count(w); i++) {
        const char *const name = weights_at(w, i)->raw;
        if (strstr(name, "lora_") || strstr(name, ".lora.") || ends_with(name, ".diff"))
            return true;
    }
    return false;
}

static const struct part {
    const char *what, *key, *tell; /* tell NULL: by names of a LoRA */
    enum weights_family family;
    status (*look)(const struct looking *l);
} parts[] = {
    { "LoRA", NULL, NULL, WEIGHTS_LORA, look_at_lora },
    { "transformer", "weights", "blocks.0.self_attn.q.weight", WEIGHTS_DIT, look_at_dit },
    { "text encoder", "text: {encoder", "token_embedding.weight", WEIGHTS_TEXT, look_at_text },
    { "VAE", "vae", "decoder.conv1.weight", WEIGHTS_VAE, look_at_vae },
};

/* ---- which of them ---------------------------------------------------------------------- */

static bool is_part(const struct part *p, const struct weights *w)
{
    return p->tell ? weights_find(w, p->tell) >= 0 : has_lora_names(w);
}

static void write_card(const struct looking *l, const struct part *p)
{
    struct inspect_model *const to = l->to;
    const char *const outer = weights_outer_key(l->w);

    snprintf(to->outer_key, sizeof to->outer_key, "%.*s", INSPECT_DETAIL - 1, outer);
    if (p->key)
        snprintf(to->card, sizeof to->card, "%s: %s%s%s%s", p->key, l->path,
                 p->family == WEIGHTS_TEXT ? "}" : "",
                 outer[0] && p->family == WEIGHTS_DIT ? "\nouter_key: " : "",
                 p->family == WEIGHTS_DIT ? outer : "");
    else
        snprintf(to->card, sizeof to->card, "lora:\n  - {file: %s%s%s}", l->path,
                 outer[0] ? ", outer_key: " : "", outer);
}

static void write_form(const struct looking *l, const struct part *p)
{
    int const at = p->tell ? weights_find(l->w, p->tell) : -1;
    const char *const raw = at < 0 ? NULL : weights_at(l->w, at)->raw;
    int const files = weights_files(l->w);
    size_t const n = (size_t)snprintf(l->to->form, sizeof l->to->form, "%s", weights_form(l->w));

    if (files > 1) snprintf(l->to->form + n, sizeof l->to->form - n, " in %d files", files);
    else if (raw && strcmp(raw, p->tell) != 0)
        snprintf(l->to->form + n, sizeof l->to->form - n, ", names such as %.90s", raw);
}

static status look_as(struct looking *l, const struct part *p, bool *found)
{
    struct weights_request const r = { l->path, l->outer_key, p->family };

    TRY(weights_open_as(&l->w, &r));
    *found = is_part(p, l->w);
    if (!*found) return ST_OK;
    l->to->what = p->what;
    write_form(l, p);
    write_card(l, p);
    if (p->look(l) == ST_OK) return ST_OK;
    snprintf(l->to->wrong, sizeof l->to->wrong, "%.*s", INSPECT_WRONG - 1, error_last()->msg);
    error_clear();
    return ST_OK;
}

/* The one thing that stands before a transformer's names, where nobody knows it; "": none, or more
 * than one. */
static status find_prefix(char prefix[BIND_PREFIX], const char *path)
{
    static const char tell[] = "blocks.0.self_attn.q.weight";
    char other[BIND_PREFIX];
    struct weights *w;

    TRY(weights_open_as(&w, &(struct weights_request){ .path = path, .family = WEIGHTS_DIT }));
    if (!bind_prefix(w, tell, 0, prefix) || bind_prefix(w, tell, 1, other)) prefix[0] = '\0';
    weights_close(&w);
    return ST_OK;
}

static status look_as_any(struct looking *l, bool *found)
{
    *found = false;
    for (int i = 0; i < COUNT_OF(parts) && !*found; i++) {
        status const st = look_as(l, &parts[i], found);
        weights_close(&l->w);
        TRY(st);
    }
    return ST_OK;
}

status inspect_model(struct inspect_model *out, const char *path, const char *outer_key)
{
    struct looking l = { .path = path, .outer_key = outer_key, .to = out };
    char prefix[BIND_PREFIX] = "";
    bool found;

    *out = (struct inspect_model){ .what = NULL };
    TRY(look_as_any(&l, &found));
    if (found || outer_key) return ST_OK;
    TRY(find_prefix(prefix, path));
    l.outer_key = prefix;
    return prefix[0] ? look_as_any(&l, &found) : ST_OK;
}

/* ---- as text and as JSON ------------------------------------------------------------------ */

/* Each line behind `name` and blanks. */
static void print_lines(const char *name, const char *lines)
{
    while (*lines) {
        size_t const n = strcspn(lines, "\n");
        printf("%-8s %.*s\n", name, (int)n, lines);
        lines += n + (lines[n] == '\n');
        name = "";
    }
}

void inspect_model_print(const struct inspect_model *m)
{
    if (!m->what) return;
    printf("%-8s %s%s%s\n", "is:", m->what, m->detail[0] ? ": " : "", m->detail);
    print_lines("form:", m->form);
    print_lines("wrong:", m->wrong);
    print_lines("card:", m->card);
}

/* JSON is UTF-8; a path and a torch file's names may be any bytes: each that is not is a `?`. */
json_t *inspect_text(const char *s)
{
    json_t *text = NULL;
    char *const copy = str_format("%s", s);
    uint32_t character;

    if (!copy) return NULL;
    for (char *at = copy; *at;) {
        int const n = utf8_decode(&character, at, strlen(at));
        if (!n) *at = '?';
        at += n ? n : 1;
    }
    text = json_string(copy);
    free(copy);
    return text;
}

json_t *inspect_model_json(const struct inspect_model *m)
{
    return json_pack("{s:s, s:o, s:o, s:o, s:o}", "is", m->what, "detail", inspect_text(m->detail),
                     "form", inspect_text(m->form), "wrong", inspect_text(m->wrong), "card",
                     inspect_text(m->card));
}
