/*
 * prompt_bank.c - on rank 0: embeddings of the prompts in use, made beside the running line.
 *
 * The rank whose role it is has the text encoder (prompt_encoder.c); the bank asks it for what it
 * has not got, as many texts as possible at a time, since each reading of the encoder's weights
 * may take a while. So a thread of the bank's waits for it, and whoever asks goes on meanwhile. A
 * text that comes again soon is still at hand. Each clip gets rows of its own, so nothing here has
 * to live as long as a clip.
 */
#include "base/array.h"
#include "pipeline/engine/dispatch/dispatch_internal.h"

#include <stdlib.h>
#include <string.h>

struct bank_text {
    char *text;
    int64_t id;
    struct prompt_answer a; /* neither rows nor why: it has not been tried yet */
    int64_t used;           /* question that used it last */
};

/* What the thread is asked for, and what has come of it. */
struct question {
    const char **text; /* [texts]: the bank's own */
    int texts;
    struct prompt_answer *answer; /* [texts] */
    struct group_verdict failed;
};

struct prompt_bank {
    struct group *t;
    struct bank_text *text; /* [texts], rising by text */
    int texts, room;
    int64_t questions, ids;

    struct background thread;
    struct question q; /* the thread's while it answers */
};

static void free_text(struct bank_text *x)
{
    free(x->text);
    prompt_answer_free(&x->a);
}

static void free_question(struct question *q)
{
    for (int i = 0; i < q->texts; i++) prompt_answer_free(&q->answer[i]);
    free(q->answer);
    free(q->text);
    *q = (struct question){ .texts = 0 };
}

void prompt_bank_close(struct prompt_bank **bank)
{
    struct prompt_bank *const p = *bank;

    if (!p) return;
    background_close(&p->thread);
    free_question(&p->q);
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

/* It is used now. *added: the bank's own copy, if it was not there; else NULL. */
static status note_text(struct prompt_bank *p, const char *text, const char **added)
{
    bool there;
    int const at = find_slot(p, text, &there);

    *added = NULL;
    if (!there) {
        struct bank_text *const more = array_grow(p->text, p->texts, &p->room, sizeof *more);
        if (!more) return fail(ST_NOMEM, "%d prompts", p->texts + 1);
        p->text = more;
        char *const copy = strdup(text);
        if (!copy) return fail(ST_NOMEM, "a prompt");
        memmove(p->text + at + 1, p->text + at, (size_t)(p->texts - at) * sizeof *p->text);
        p->text[at] = (struct bank_text){ .text = copy, .id = p->ids++ };
        p->texts++;
        *added = copy;
    }
    p->text[at].used = p->questions;
    return ST_OK;
}

/* Before a question: what failed is asked for again if it comes again; of those that the last one
 * did not use, too many go. */
static void forget_texts(struct prompt_bank *p)
{
    int kept = 0, unused = 0;

    for (int i = 0; i < p->texts; i++) unused += p->text[i].used != p->questions;
    for (int i = 0; i < p->texts; i++) {
        bool const old = p->text[i].used != p->questions && unused > PROMPTS_KEPT;
        if (old || !p->text[i].a.rows) {
            unused -= old;
            free_text(&p->text[i]);
        } else p->text[kept++] = p->text[i];
    }
    p->texts = kept;
}

/* ---- the thread -------------------------------------------------------------------- */

/* Until one fails that speaks for all. */
static status embed_asked(void *arg)
{
    struct prompt_bank *const p = arg;
    struct question *const q = &p->q;
    status st = ST_OK;

    for (int at = 0; at < q->texts && st == ST_OK && q->failed.st == ST_OK; at += PROMPT_TOGETHER) {
        int const n = q->texts - at < PROMPT_TOGETHER ? q->texts - at : PROMPT_TOGETHER;
        st = prompt_request(p->t, q->text + at, n, q->answer + at, &q->failed);
    }
    return st;
}

static status end_requests(void *arg) { return prompt_request_end(((struct prompt_bank *)arg)->t); }

status prompt_bank_open(struct prompt_bank **out, struct group *t)
{
    struct prompt_bank *const p = *out = calloc(1, sizeof *p);

    if (!p) return fail(ST_NOMEM, "prompts: no memory");
    p->t = t;
    background_open(&p->thread, &(struct background_config){ .name = "prompt bank",
                                                             .t = t,
                                                             .answer = embed_asked,
                                                             .finish = end_requests,
                                                             .arg = p });
    return ST_OK;
}

status prompt_bank_start(struct prompt_bank *p) { return background_start(&p->thread); }

status prompt_bank_end(struct prompt_bank *p, status st) { return background_end(&p->thread, st); }

/* ---- asking ------------------------------------------------------------------------ */

status prompt_bank_ask(struct prompt_bank *p, const struct clip_spec *const *clip, int clips)
{
    struct question q = { .texts = 0 };
    size_t most = 0;
    status st = ST_OK;

    if (!background_is_idle(&p->thread)) return ST_OK;
    for (int i = 0; i < clips; i++) most += (size_t)clip[i]->prompts;
    q.text = calloc(most + 1, sizeof *q.text);
    q.answer = calloc(most + 1, sizeof *q.answer);
    if (!q.text || !q.answer) FAIL_OUT(ST_NOMEM, "%zu prompts", most);
    forget_texts(p);
    p->questions++;
    for (int i = 0; i < clips; i++)
        for (int j = 0; j < clip[i]->prompts; j++) {
            const char *added;
            TRY_OUT(note_text(p, clip[i]->prompt[j].text, &added));
            if (added) q.text[q.texts++] = added;
        }
    if (q.texts) {
        p->q = q;
        q = (struct question){ .texts = 0 }; /* handed over */
        background_ask(&p->thread);
    }
out:
    free_question(&q);
    return st;
}

/* Takes an answer's rows or reason over. */
static void keep_answer(struct prompt_bank *p, const char *text, struct prompt_answer *a)
{
    bool there;

    p->text[find_slot(p, text, &there)].a = *a;
    *a = (struct prompt_answer){ 0 };
}

void prompt_bank_collect(struct prompt_bank *p, struct group_verdict *failed)
{
    *failed = (struct group_verdict){ .st = ST_OK };
    if (!background_take(&p->thread)) return;
    for (int i = 0; i < p->q.texts; i++) keep_answer(p, p->q.text[i], &p->q.answer[i]);
    *failed = p->q.failed;
    free_question(&p->q);
}

bool prompt_bank_has(const struct prompt_bank *p, const struct clip_spec *c)
{
    bool tried = true;

    for (int i = 0; i < c->prompts && tried; i++) {
        int const at = find_slot(p, c->prompt[i].text, &tried);
        tried = tried && (p->text[at].a.rows || p->text[at].a.why);
    }
    return tried;
}

/* Rows of its own. */
static status copy_rows(struct embedding *out, const struct bank_text *x, int text_dim)
{
    size_t const bytes = (size_t)x->a.tokens * (size_t)text_dim * sizeof *x->a.rows;

    *out = (struct embedding){ .id = x->id, .tokens = x->a.tokens, .rows = malloc(bytes + 1) };
    if (!out->rows) return fail(ST_NOMEM, "an embedding of %zu bytes", bytes);
    memcpy(out->rows, x->a.rows, bytes);
    return ST_OK;
}

status prompt_bank_give(const struct prompt_bank *p, struct live_clip *c)
{
    int const n = c->spec.prompts;

    c->text = calloc((size_t)n, sizeof *c->text);
    c->text_of = calloc((size_t)n, sizeof *c->text_of);
    if (!c->text || !c->text_of) return fail(ST_NOMEM, "%d prompts", n);
    for (int i = 0; i < n; i++) {
        bool there;
        const struct bank_text *const x = &p->text[find_slot(p, c->spec.prompt[i].text, &there)];
        int at = 0;

        if (!x->a.rows) return fail(x->a.st, "prompt %d of %d: %s", i + 1, n, x->a.why);
        while (at < c->texts && c->text[at].id != x->id) at++;
        c->text_of[i] = at;
        if (at < c->texts) continue;
        TRY(copy_rows(&c->text[c->texts++], x, p->t->g.shape.text_dim));
    }
    return ST_OK;
}
