/*
 * model_check.c - each file of a model opened once, so that what is wrong is known before a render.
 *
 * Only headers are read, and the tokenizer, which is small. The same functions as in a render say
 * what is wrong; each part is looked at whatever became of the others.
 */
#include "pipeline/engine/model_check.h"
#include "pipeline/engine/workload.h"
#include "pipeline/text/tokenizer.h"
#include "pipeline/text/umt5.h"
#include "pipeline/vae/vae.h"

#include <stdlib.h>
#include <string.h>

/* What is known of the parts when they are held against one another; 0: not known. */
struct parts {
    const struct model_spec *m;
    struct card_line line;
    bool shaped, weighed; /* the config was read; the weights fit it */
    int64_t text_dim, vocab;
    int tokens;
};

static struct dit_config dit_of(const struct parts *p)
{
    return (struct dit_config){ .weights = p->m->weights,
                                .outer_key = p->m->outer_key,
                                .shape = p->line.shape,
                                .schedule = &p->line.schedule,
                                .act = DT_F32 };
}

static status check_weights(struct parts *p)
{
    struct dit_config const c = dit_of(p);
    struct weights *w = NULL;

    if (p->shaped) {
        TRY(dit_check(&c));
        p->weighed = true;
        return ST_OK;
    }
    /* The shape is not known: at least it is a file of weights. */
    status const st = weights_open_as(&w, &(struct weights_request){ .path = c.weights,
                                                                     .outer_key = c.outer_key,
                                                                     .family = WEIGHTS_DIT });
    weights_close(&w);
    return st;
}

static status check_config(struct parts *p)
{
    TRY(card_line_read(&p->line, p->m));
    p->shaped = true;
    return ST_OK;
}

static status check_encoder(struct parts *p)
{
    struct umt5_config c = { .precision = DT_F32 };
    struct umt5 *u = NULL;
    status st = ST_OK;

    TRY_OUT(weights_open_as(
        &c.weights, &(struct weights_request){ .path = p->m->encoder, .family = WEIGHTS_TEXT }));
    TRY_OUT(umt5_open(&u, &c));
    p->text_dim = umt5_shape(u)->dim;
    p->vocab = umt5_shape(u)->vocab;
    if (p->shaped && p->text_dim != p->line.shape.text_dim)
        st = fail(ST_FORMAT, "%s: embeddings have %lld columns, %s expects %d", p->m->encoder,
                  (long long)p->text_dim, p->m->config, p->line.shape.text_dim);
out:
    umt5_close(&u);
    weights_close(&c.weights);
    return st;
}

static status check_tokenizer(struct parts *p)
{
    struct tokenizer *t;

    TRY(tokenizer_open(&t, p->m->tokenizer));
    p->tokens = tokenizer_vocab(t);
    tokenizer_close(&t);
    if (!p->vocab || p->tokens <= p->vocab) return ST_OK;
    return fail(ST_FORMAT, "%s: %d tokens, and the text encoder knows %lld", p->m->tokenizer,
                p->tokens, (long long)p->vocab);
}

static status check_vae(struct parts *p) { return vae_check(p->m->vae); }

static status check_loras(struct parts *p)
{
    struct weight_adapter adapter[MODEL_LORAS];
    struct dit_config c = dit_of(p);

    c.adapter = adapter;
    c.adapters = workload_adapters(adapter, p->m);
    return c.adapters && p->weighed ? dit_check(&c) : ST_OK;
}

static bool is_reported(const struct error_list *wrong, const char *part)
{
    return wrong->text.s && strstr(wrong->text.s, part);
}

status model_check(struct error_list *wrong, const struct model_spec *m)
{
    static const struct {
        const char *key;
        status (*check)(struct parts *p);
    } parts[] = {
        { "config", check_config },
        { "weights", check_weights },
        { "lora", check_loras },
        { "text.encoder", check_encoder },
        { "text.tokenizer", check_tokenizer },
        { "vae", check_vae },
    };
    struct parts p = { .m = m };

    for (int i = 0; i < COUNT_OF(parts); i++) {
        char *const part = str_format("%s: %s: ", m->card, parts[i].key);
        if (!part) return fail(ST_NOMEM, "%s: no memory to check its files", m->card);
        status st = is_reported(wrong, part) ? ST_OK : parts[i].check(&p);
        if (st == ST_FORMAT || st == ST_ARG) st = fail(ST_FORMAT, "%s%s", part, error_last()->msg);
        free(part);
        if (st != ST_OK && !error_list_add(wrong, st)) return st;
    }
    return ST_OK;
}
