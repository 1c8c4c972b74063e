/*
 * inspect_model.c - a checkpoint is told by a tensor that only such a part has, under whichever of
 * the known names, and its sizes are read off the shapes; then the part itself says what it misses,
 * with the words that a render would have.
 *
 * How many heads a transformer has stands in no file of weights: they are of 128, as in all of the
 * family, and where that does not divide there is one. It changes nothing in what is looked for.
 */
#include "cmd/cmd_internal.h"
#include "pipeline/dit/dit.h"
#include "pipeline/text/umt5.h"
#include "pipeline/vae/vae.h"

#include <stdio.h>
#include <string.h>

enum { HEAD = 128, TEXT_LEN = 512 };

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

static int count_layers(const struct looking *l)
{
    int n = 0;

    for (char name[96];; n++) {
        snprintf(name, sizeof name, "blocks.%d.self_attn.q.weight", n);
        if (weights_find(l->w, name) < 0) return n;
    }
}

static status look_at_dit(const struct looking *l)
{
    struct schedule schedule;
    int const dim = side_of(l, "blocks.0.self_attn.q.weight", 0);
    struct dit_shape const s = {
        .dim = dim,
        .ffn_dim = side_of(l, "blocks.0.ffn.0.weight", 0),
        .heads = dim % HEAD ? 1 : dim / HEAD,
        .layers = count_layers(l),
        .text_dim = side_of(l, "text_embedding.0.weight", 1),
        .text_len = TEXT_LEN,
        .freq_dim = side_of(l, "time_embedding.0.weight", 1),
        .channels = side_of(l, "patch_embedding.weight", 1),
    };
    struct dit_config const c = { .weights = l->path,
                                  .outer_key = l->outer_key,
                                  .shape = s,
                                  .schedule = &schedule,
                                  .act = DT_F32 };

    snprintf(l->to->detail, sizeof l->to->detail,
             "%d layers of %d, feed-forward %d, prompts of %d, latents of %d channels", s.layers,
             s.dim, s.ffn_dim, s.text_dim, s.channels);
    if (!s.ffn_dim || !s.text_dim || !s.freq_dim || !s.channels)
        return fail(ST_FORMAT, "%s: what is around its layers is not there", l->path);
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

status inspect_model(struct inspect_model *out, const char *path, const char *outer_key)
{
    struct looking l = { .path = path, .outer_key = outer_key, .to = out };
    bool found = false;

    *out = (struct inspect_model){ .what = NULL };
    for (int i = 0; i < COUNT_OF(parts) && !found; i++) {
        status const st = look_as(&l, &parts[i], &found);
        weights_close(&l.w);
        TRY(st);
    }
    return ST_OK;
}
