/*
 * prompt_bank.c - on rank 0: embeddings of the prompts in use, made beside the running line.
 *
 * The rank whose role it is has the text encoder (prompt_encoder.c); the bank asks it for what it
 * has not got, as many texts as possible at a time, since each reading of the encoder's weights
 * may take a while. A text that comes again soon is still at hand. Each clip gets rows of its
 * own, so nothing here has to live as long as a clip.
 */
#include "base/array.h"
#include "base/strbuf.h"
#include "pipeline/engine/engine_internal.h"

#include <stdlib.h>
#include <string.h>

/* Texts that are kept though nobody asks for them now. */
enum { KEEP = 128 };

struct bank_text {
    char *text;
    struct embedding e; /* rows NULL: it could not be embedded */
    char *why;          /* then the reason */
    int64_t used;       /* call that used it last */
};

struct prompt_bank {
    struct group *t;
    struct bank_text *text; /* [texts], rising by text */
    int texts, room;
    int64_t calls, ids;
};

status prompt_bank_open(struct prompt_bank **out, struct group *t)
{
    *out = calloc(1, sizeof **out);
    if (!*out) return fail(ST_NOMEM, "prompts: no memory");
    (*out)->t = t;
    return ST_OK;
}

static void free_text(struct bank_text *x)
{
    free(x->text);
    free(x->e.rows);
    free(x->why);
}

void prompt_bank_close(struct prompt_bank **bank)
{
    struct prompt_bank *const p = *bank;

    if (!p) return;
    for (int i = 0; i < p->texts; i++) free_text(&p->text[i]);
    free(p->text);
    free(p);
    *bank = NULL;
}

/* ---- the sorted list --------------------------------------------------------------- */

/* Where the text is, or where it belongs. */
static int find_slot(const struct prompt_bank *p, const char *text, bool *there)
{
    int low = 0, high = p->texts;

    while (low < high) {
        int const mid = low + (high - low) / 2;
        if (strcmp(p->text[mid].text, text) < 0) low = mid + 1;
        else high = mid;
    }
    *there = low < p->texts && !strcmp(p->text[low].text, text);
    return low;
}

/* A text without rows yet; *added: it was not there. */
static status note_text(struct prompt_bank *p, const char *text, bool *added)
{
    bool there;
    int const at = find_slot(p, text, &there);

    *added = !there;
    if (!there) {
        struct bank_text *const more = array_grow(p->text, p->texts, &p->room, sizeof *more);
        if (!more) return fail(ST_NOMEM, "%d prompts", p->texts + 1);
        p->text = more;
        char *const copy = strdup(text);
        if (!copy) return fail(ST_NOMEM, "a prompt");
        memmove(p->text + at + 1, p->text + at, (size_t)(p->texts - at) * sizeof *p->text);
        p->text[at] = (struct bank_text){ .text = copy, .e.id = p->ids++ };
        p->texts++;
    }
    p->text[at].used = p->calls;
    return ST_OK;
}

/* Before a call: what failed is asked for again if it comes again; of those that the last call
 * did not use, too many go. */
static void forget_texts(struct prompt_bank *p)
{
    int kept = 0, unused = 0;

    for (int i = 0; i < p->texts; i++) unused += p->text[i].used != p->calls;
    for (int i = 0; i < p->texts; i++) {
        bool const old = p->text[i].used != p->calls && unused > KEEP;
        if (old || !p->text[i].e.rows) {
            unused -= old;
            free_text(&p->text[i]);
        } else p->text[kept++] = p->text[i];
    }
    p->texts = kept;
}

/* ---- embedding --------------------------------------------------------------------- */

/* Takes an answer's rows or reason over. */
static void keep_answer(struct prompt_bank *p, const char *text, struct prompt_answer *a)
{
    bool there;
    struct bank_text *const x = &p->text[find_slot(p, text, &there)];

    x->e.tokens = a->tokens;
    x->e.rows = a->rows;
    x->why = a->why;
    *a = (struct prompt_answer){ 0 };
}

static status embed_missing(struct prompt_bank *p, const char **text, int texts)
{
    struct prompt_answer answer[PROMPT_TOGETHER];
    status st = ST_OK;

    for (int at = 0; at < texts && st == ST_OK; at += PROMPT_TOGETHER) {
        int const n = texts - at < PROMPT_TOGETHER ? texts - at : PROMPT_TOGETHER;
        memset(answer, 0, sizeof answer);
        st = prompt_request(p->t, text + at, n, answer);
        for (int i = 0; i < n; i++) {
            if (st == ST_OK) keep_answer(p, text[at + i], &answer[i]);
            prompt_answer_free(&answer[i]);
        }
    }
    return st;
}

status prompt_bank_embed(struct prompt_bank *p, const struct clip_spec *const *clip, int clips)
{
    const char **missing = NULL;
    size_t most = 0;
    int texts = 0;
    status st = ST_OK;

    for (int i = 0; i < clips; i++) most += (size_t)clip[i]->prompts;
    missing = calloc(most + 1, sizeof *missing);
    if (!missing) return fail(ST_NOMEM, "%zu prompts", most);
    forget_texts(p);
    p->calls++;
    for (int i = 0; i < clips; i++)
        for (int j = 0; j < clip[i]->prompts; j++) {
            bool added;
            TRY_OUT(note_text(p, clip[i]->prompt[j].text, &added));
            if (added) missing[texts++] = clip[i]->prompt[j].text;
        }
    if (texts) TRY_OUT(embed_missing(p, missing, texts));
out:
    free(missing);
    return st;
}

bool prompt_bank_has(const struct prompt_bank *p, const struct clip_spec *c)
{
    bool there = true;

    for (int i = 0; i < c->prompts && there; i++) find_slot(p, c->prompt[i].text, &there);
    return there;
}

/* Rows of its own. */
static status copy_rows(struct embedding *out, const struct embedding *from, int text_dim)
{
    size_t const bytes = (size_t)from->tokens * (size_t)text_dim * sizeof *from->rows;

    *out = *from;
    out->rows = malloc(bytes + 1);
    if (!out->rows) return fail(ST_NOMEM, "an embedding of %zu bytes", bytes);
    memcpy(out->rows, from->rows, bytes);
    return ST_OK;
}

status prompt_bank_give(const struct prompt_bank *p, struct live_clip *c, char **why)
{
    int const n = c->spec.prompts;

    *why = NULL;
    c->text = calloc((size_t)n, sizeof *c->text);
    c->text_of = calloc((size_t)n, sizeof *c->text_of);
    if (!c->text || !c->text_of) return fail(ST_NOMEM, "%d prompts", n);
    for (int i = 0; i < n; i++) {
        bool there;
        const struct bank_text *const x = &p->text[find_slot(p, c->spec.prompt[i].text, &there)];
        int at = 0;

        if (!x->e.rows) {
            *why = str_format("prompt %d of %d: %s", i + 1, n, x->why);
            return *why ? ST_OK : fail(ST_NOMEM, "a reason");
        }
        while (at < c->texts && c->text[at].id != x->e.id) at++;
        c->text_of[i] = at;
        if (at < c->texts) continue;
        TRY(copy_rows(&c->text[c->texts++], &x->e, p->t->g.shape.text_dim));
    }
    return ST_OK;
}
