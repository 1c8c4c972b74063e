/*
 * prompt_encoder.c - the text encoder of a group, on the rank whose role it is.
 *
 * Where that is rank 0 the prompt bank's request is a call. Elsewhere a thread serves it, beside
 * whatever the rank does: a request is a broadcast in a group of two, texts that end in NUL, and
 * so is the answer: how the encoder fared, a head per text, then rows and reasons. A request of one
 * NUL is the end.
 *
 * A bad prompt costs its own clip alone, and is told from a bad encoder by when it fails: texts are
 * cleaned and tokenized one by one before any weight is read, and what is not finite afterwards is
 * looked at text by text. All else - a damaged file, a card that fails - is the group's.
 */
#include "base/log.h"
#include "base/strbuf.h"
#include "base/thread.h"
#include "pipeline/engine/dispatch/dispatch_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct prompt_encoder {
    struct group *t;
    struct text_encoder *text;
    struct track *track;
    struct task task; /* where it is not rank 0 */
};

void prompt_answer_free(struct prompt_answer *a)
{
    free(a->rows);
    free(a->why);
    *a = (struct prompt_answer){ 0 };
}

/* ---- embedding --------------------------------------------------------------------- */

static status keep_rows(struct prompt_answer *a, const float *rows, int tokens, int text_dim)
{
    size_t const bytes = (size_t)tokens * (size_t)text_dim * sizeof *rows;

    a->rows = malloc(bytes + 1);
    if (!a->rows) return fail(ST_NOMEM, "embedding of %zu bytes", bytes);
    memcpy(a->rows, rows, bytes);
    a->tokens = tokens;
    return ST_OK;
}

static status keep_reason(struct prompt_answer *a)
{
    a->st = error_last()->st;
    a->why = strdup(error_last()->msg);
    error_clear();
    return a->why ? ST_OK : fail(ST_NOMEM, "a reason");
}

/* A text that is none, or whose embedding is no number, is its own clip's failure: `answer` says
 * why. What fails otherwise is the encoder's, and fails for all. rows: room for all of them. */
static status embed_texts(struct prompt_encoder *e, const char *const *text, int texts, float *rows,
                          struct prompt_answer *answer)
{
    const struct dit_shape *const s = &e->t->g.shape;
    size_t const one = (size_t)s->text_len * (size_t)s->text_dim;
    const char *good[PROMPT_TOGETHER];
    int tokens[PROMPT_TOGETHER], at[PROMPT_TOGETHER], goods = 0;

    for (int i = 0; i < texts; i++) {
        status const st = text_check(e->text, text[i]);
        if (st == ST_FORMAT || st == ST_ARG) TRY(keep_reason(&answer[i]));
        else if (st != ST_OK) return st;
        else {
            at[goods] = i;
            good[goods++] = text[i];
        }
    }
    if (goods) TRY(text_encode_many(e->text, good, goods, rows, tokens));
    for (int i = 0; i < goods; i++) {
        struct prompt_answer *const a = &answer[at[i]];
        if (tokens[i]) TRY(keep_rows(a, rows + (size_t)i * one, tokens[i], s->text_dim));
        else {
            (void)fail(ST_MISMATCH, "its embedding is not finite");
            TRY(keep_reason(a));
        }
    }
    return ST_OK;
}

/* Nobody waits for embeddings any more. */
static bool is_over(void *arg)
{
    const struct prompt_encoder *const e = arg;
    return comm_stopped(e->t->world) || comm_aborted(e->t->world);
}

/* How the encoder fared; what is not ST_OK speaks for the whole group. */
static void judge_encoder(const struct group *t, status st, struct group_verdict *out)
{
    char why[GROUP_WHY];

    *out = (struct group_verdict){ .st = st };
    if (st == ST_OK) return;
    snprintf(why, sizeof why, "prompts: %.*s", GROUP_WHY - 32, error_last()->msg);
    group_verdict_set(out, st, t->world->rank, why);
    error_clear();
}

/* The encoder is read anew each time. Whatever came of it: a changed file is the reason. */
static status check_files_behind(struct group *t, status st)
{
    struct error const own = *error_last();
    status const changed = group_check_files(t);

    if (changed != ST_OK) return changed;
    if (st != ST_OK) error_adopt(&own);
    return st;
}

static status serve_texts(struct prompt_encoder *e, const char *const *text, int texts,
                          struct prompt_answer *answer)
{
    const struct engine_rank *const rank = e->t->rank;
    const struct dit_shape *const s = &e->t->g.shape;
    float *const rows =
        malloc((size_t)texts * (size_t)s->text_len * (size_t)s->text_dim * sizeof *rows);

    if (!rows) return fail(ST_NOMEM, "embeddings of %d prompts", texts);
    log_info("prompts: %d to embed", texts);
    track_begin(e->track, TRACK_TEXT, TRACK_NOWHERE); /* first: the track has long been still */
    watchdog_add(rank->watch, e->track, rank->o->deadline_s, rank->o->deadline_s);
    status st = embed_texts(e, text, texts, rows, answer);
    if (st != ST_CANCELED) st = check_files_behind(e->t, st);
    track_end(e->track);
    track_lap(e->track);
    watchdog_drop(rank->watch, e->track);
    free(rows);
    return st;
}

/* ---- between two ranks --------------------------------------------------------------- */

struct answer_head {
    int64_t tokens, st, why; /* bytes of the reason; 0: there are rows */
};

static status send_answers(struct group *t, const struct prompt_answer *a, int texts,
                           const struct group_verdict *failed)
{
    struct strbuf bytes = { 0 };
    status st = ST_OK;

    strbuf_add(&bytes, failed, sizeof *failed);
    for (int i = 0; i < texts; i++) {
        struct answer_head const head = { a[i].tokens, a[i].st,
                                          a[i].why ? (int64_t)strlen(a[i].why) : 0 };
        strbuf_add(&bytes, &head, sizeof head);
    }
    for (int i = 0; i < texts; i++)
        if (a[i].rows)
            strbuf_add(&bytes, a[i].rows,
                       (size_t)a[i].tokens * (size_t)t->g.shape.text_dim * sizeof(float));
        else if (a[i].why) strbuf_add(&bytes, a[i].why, strlen(a[i].why));
    if (bytes.failed) st = fail(ST_NOMEM, "embeddings of %d prompts", texts);
    if (st == ST_OK) st = comm_broadcast(t->texts, 1, &bytes.s, &bytes.len);
    strbuf_free(&bytes);
    return st;
}

static status receive_answer(const struct group *t, const struct answer_head *head, const char **at,
                             const char *end, struct prompt_answer *a)
{
    size_t const bytes = head->why
                             ? (size_t)head->why
                             : (size_t)head->tokens * (size_t)t->g.shape.text_dim * sizeof(float);

    if (head->tokens < 0 || head->why < 0 || bytes > (size_t)(end - *at))
        return fail(ST_COMM, "an answer of %zu bytes in a message of %zu", bytes,
                    (size_t)(end - *at));
    char *const copy = calloc(1, bytes + 1);
    if (!copy) return fail(ST_NOMEM, "an embedding of %zu bytes", bytes);
    memcpy(copy, *at, bytes);
    *at += bytes;
    if (head->why) a->why = copy;
    else a->rows = (float *)(void *)copy;
    a->st = (status)head->st;
    a->tokens = (int)head->tokens;
    return ST_OK;
}

static status receive_answers(struct group *t, struct prompt_answer *answer, int texts,
                              struct group_verdict *failed)
{
    size_t const heads = sizeof *failed, ends = heads + (size_t)texts * sizeof(struct answer_head);
    char *bytes = NULL;
    size_t len = 0;
    status st = ST_OK;

    TRY(comm_broadcast(t->texts, 1, &bytes, &len));
    const char *at = bytes + ends, *const end = bytes + len;
    if (ends > len) st = fail(ST_COMM, "%d answers in %zu bytes", texts, len);
    else memcpy(failed, bytes, sizeof *failed);
    for (int i = 0; i < texts && st == ST_OK && failed->st == ST_OK; i++) {
        struct answer_head head;
        memcpy(&head, bytes + heads + (size_t)i * sizeof head, sizeof head);
        st = receive_answer(t, &head, &at, end, &answer[i]);
    }
    free(bytes);
    return st;
}

/* One request. *over: it was the end. */
static status serve_request(struct prompt_encoder *e, bool *over)
{
    const char *text[PROMPT_TOGETHER] = { NULL };
    struct prompt_answer answer[PROMPT_TOGETHER] = { { 0 } };
    struct group_verdict failed;
    char *bytes = NULL;
    size_t len = 0;
    int texts = 0;
    status st = ST_OK;

    TRY(comm_broadcast(e->t->texts, 0, &bytes, &len));
    for (const char *at = bytes + 1; at < bytes + len && texts < PROMPT_TOGETHER;
         at += strlen(at) + 1)
        text[texts++] = at;
    *over = len == 1;
    if (!*over) {
        judge_encoder(e->t, serve_texts(e, text, texts, answer), &failed);
        st = send_answers(e->t, answer, texts, &failed);
    }
    for (int i = 0; i < texts; i++) prompt_answer_free(&answer[i]);
    free(bytes);
    return st;
}

static status serve_requests(void *arg)
{
    struct prompt_encoder *const e = arg;
    status st = ST_OK;

    for (bool over = false; !over && st == ST_OK;) st = serve_request(e, &over);
    if (st != ST_OK && st != ST_PEER) comm_abort(e->t->world);
    return st;
}

status prompt_request(struct group *t, const char *const *text, int texts,
                      struct prompt_answer *answer, struct group_verdict *failed)
{
    struct strbuf bytes = { 0 };
    status st = ST_OK;

    *failed = (struct group_verdict){ .st = ST_OK };
    if (!t->texts) {
        judge_encoder(t, serve_texts(t->prompt_encoder, text, texts, answer), failed);
        return ST_OK;
    }
    strbuf_add(&bytes, "", 1); /* so that not even an empty text looks like the end */
    for (int i = 0; i < texts; i++) strbuf_add(&bytes, text[i], strlen(text[i]) + 1);
    if (bytes.failed) st = fail(ST_NOMEM, "%d prompts", texts);
    if (st == ST_OK) st = comm_broadcast(t->texts, 0, &bytes.s, &bytes.len);
    if (st == ST_OK) st = receive_answers(t, answer, texts, failed);
    strbuf_free(&bytes);
    return st;
}

status prompt_request_end(struct group *t)
{
    char nothing = '\0', *bytes = &nothing;
    size_t len = 1;

    return t->texts ? comm_broadcast(t->texts, 0, &bytes, &len) : ST_OK;
}

/* ---- open and close ------------------------------------------------------------------ */

status prompt_encoder_open(struct prompt_encoder **out, struct group *t)
{
    struct prompt_encoder *e = calloc(1, sizeof *e);
    struct text_config const text = { .encoder_path = t->model.encoder,
                                      .tokenizer_path = t->model.tokenizer,
                                      .cache_dir = t->rank->o->prompt_cache,
                                      .cache_bytes = t->rank->o->prompt_cache_bytes,
                                      .text_len = t->g.shape.text_len,
                                      .backend = t->g.o.text_backend,
                                      .threads = t->rank->threads,
                                      .device = t->rank->device,
                                      .precision = t->g.act,
                                      .stop = is_over,
                                      .stop_arg = e };
    status st = ST_OK;

    *out = NULL;
    if (!e) return fail(ST_NOMEM, "prompts: no memory");
    e->t = t;
    TRY_OUT(text_open(&e->text, &text));
    if (text_dim(e->text) != t->g.shape.text_dim)
        FAIL_OUT(ST_FORMAT, "%s: embeddings of %lld numbers; the transformer takes %d",
                 t->model.encoder, (long long)text_dim(e->text), t->g.shape.text_dim);
    TRY_OUT(track_open(&e->track, t->rank->trace, TRACK_ROW_TEXT, "prompts"));
    *out = e;
    e = NULL; /* handed over */
out:
    prompt_encoder_close(&e);
    return st;
}

status prompt_encoder_start(struct prompt_encoder *e)
{
    if (!e || !e->t->texts) return ST_OK;
    return task_start(&e->task, "prompts", e->t->world->rank, serve_requests, e);
}

status prompt_encoder_join(struct prompt_encoder *e, status st)
{
    return e ? task_join(&e->task, st) : st;
}

void prompt_encoder_close(struct prompt_encoder **encoder)
{
    struct prompt_encoder *const e = *encoder;

    if (!e) return;
    task_join(&e->task, ST_OK);
    track_close(&e->track);
    text_close(&e->text);
    free(e);
    *encoder = NULL;
}

const char *prompt_encoder_hash(const struct prompt_encoder *e)
{
    return text_encoder_hash(e->text);
}
