/*
 * clip_feed.c - clips from the dispatcher to the ranks of their line, and reports of what became
 * of them back.
 *
 *   dispatcher (rank 0) --feed of a line: broadcast--> its line ranks and decode ranks
 *   encoder of a line   --report-->                     rank 0, to the dispatcher
 *
 * Per line one group of ranks, rooted at rank 0, and on each of its other ranks a thread that
 * waits in the broadcast, as long as it takes: so a clip arrives whatever the workers do
 * meanwhile. What the thread receives goes on the rank's board. Rank 0 puts a clip on its own board
 * itself, and its own encoders report to it without a message.
 *
 * When a clip joins the line is not decided here: the line's head looks at its board at the
 * boundary of a tick, and its decision travels with that tick's agree. Another rank of the line may
 * then have to wait for the clip's description, never the other way round.
 */
#include "base/byte_reader.h"
#include "base/strbuf.h"
#include "base/thread.h"
#include "jobs/spec/spec_json.h"
#include "pipeline/engine/dispatch/dispatch.h"
#include "pipeline/engine/output_formats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One message: the head, per text its id and tokens, per prompt the index of its text, the rows
 * of all texts, the given blocks, the folder it goes on from, the clip as JSON. All ranks have the
 * same byte order. */
struct feed_head {
    int64_t kind, number, texts, prompts, given, json;
    int64_t resume;                  /* bytes of resume_dir, in front of the JSON */
    int64_t resumed, coded, extends; /* see struct live_clip */
};
struct feed_text {
    int64_t id, tokens;
};

struct feed_thread {
    struct clip_feed *feed;
    int line;
    struct task task;
};

struct clip_feed {
    struct group *t;
    struct feed_thread in[ROLES_RANKS];   /* by line: clips come; not on rank 0 */
    struct feed_thread back[ROLES_RANKS]; /* by line: reports come; rank 0 */
};

/* ---- bytes ------------------------------------------------------------------------- */

/* Of a block's latent. */
static size_t block_bytes(const struct engine_group *g)
{
    return (size_t)group_block_latent(g) * sizeof(float);
}

static status write_clip(struct strbuf *to, const struct live_clip *c, const struct engine_group *g)
{
    int const text_dim = g->shape.text_dim;
    struct feed_head head = { .kind = FEED_CLIP,
                              .number = c->number,
                              .texts = c->texts,
                              .prompts = c->spec.prompts,
                              .given = c->given_blocks };
    struct strbuf json = { 0 };
    status st = ST_OK;

    TRY_OUT(clip_spec_to_json(&json, &c->spec));
    head.json = (int64_t)json.len;
    head.resume = c->resume_dir ? (int64_t)strlen(c->resume_dir) : 0;
    head.resumed = c->resumed;
    head.coded = c->coded;
    head.extends = c->extends;
    strbuf_add(to, &head, sizeof head);
    for (int i = 0; i < c->texts; i++)
        strbuf_add(to, &(struct feed_text){ c->text[i].id, c->text[i].tokens },
                   sizeof(struct feed_text));
    strbuf_add(to, c->text_of, (size_t)c->spec.prompts * sizeof *c->text_of);
    for (int i = 0; i < c->texts; i++)
        strbuf_add(to, c->text[i].rows,
                   (size_t)c->text[i].tokens * (size_t)text_dim * sizeof *c->text[i].rows);
    if (c->given) strbuf_add(to, c->given, (size_t)c->given_blocks * block_bytes(g));
    strbuf_add(to, c->resume_dir, (size_t)head.resume);
    strbuf_add(to, json.s, json.len);
    if (to->failed) st = fail(ST_NOMEM, "clip %s: no memory to send it", c->spec.name);
out:
    strbuf_free(&json);
    return st;
}

/* What comes from a peer of the same build; its sizes are checked all the same. */
static status read_bytes(struct byte_reader *r, void *to, size_t bytes)
{
    if (byte_reader_take(r, to, bytes)) return ST_OK;
    return fail(ST_COMM, "a clip's message ends before its end: it is not of this program");
}

static status read_texts(struct byte_reader *r, struct live_clip *c, const struct feed_head *head,
                         int text_dim)
{
    if (head->texts < 1 || head->texts > head->prompts || head->prompts > r->end - r->at)
        return fail(ST_COMM, "a clip with %lld texts of %lld prompts", (long long)head->texts,
                    (long long)head->prompts);
    c->text = calloc((size_t)head->texts, sizeof *c->text);
    c->text_of = calloc((size_t)head->prompts, sizeof *c->text_of);
    if (!c->text || !c->text_of)
        return fail(ST_NOMEM, "a clip of %lld prompts", (long long)head->prompts);
    c->texts = (int)head->texts;
    for (int i = 0; i < c->texts; i++) {
        struct feed_text text;
        TRY(read_bytes(r, &text, sizeof text));
        c->text[i].id = text.id;
        c->text[i].tokens = (int)text.tokens;
    }
    TRY(read_bytes(r, c->text_of, (size_t)head->prompts * sizeof *c->text_of));
    for (int i = 0; i < head->prompts; i++)
        if (c->text_of[i] < 0 || c->text_of[i] >= c->texts)
            return fail(ST_COMM, "prompt %d has text %d of %d", i, c->text_of[i], c->texts);
    for (int i = 0; i < c->texts; i++) {
        size_t const bytes = (size_t)c->text[i].tokens * (size_t)text_dim * sizeof *c->text[i].rows;
        if (c->text[i].tokens < 0 || bytes > (size_t)(r->end - r->at))
            return fail(ST_COMM, "a text of %d tokens", c->text[i].tokens);
        c->text[i].rows = malloc(bytes + 1);
        if (!c->text[i].rows) return fail(ST_NOMEM, "an embedding of %zu bytes", bytes);
        TRY(read_bytes(r, c->text[i].rows, bytes));
    }
    return ST_OK;
}

static status read_given(struct byte_reader *r, struct live_clip *c, const struct feed_head *head,
                         const struct engine_group *g)
{
    size_t const one = block_bytes(g);

    if (head->given < 0 || (size_t)head->given > (size_t)(r->end - r->at) / one)
        return fail(ST_COMM, "a clip with %lld given blocks", (long long)head->given);
    if (!head->given) return ST_OK;
    c->given = malloc((size_t)head->given * one);
    if (!c->given) return fail(ST_NOMEM, "%lld given blocks", (long long)head->given);
    c->given_blocks = head->given;
    return read_bytes(r, c->given, (size_t)head->given * one);
}

static status read_resume(struct byte_reader *r, struct live_clip *c, const struct feed_head *head)
{
    if (!head->resume) return ST_OK;
    if (head->resume < 0 || head->resume > r->end - r->at || head->resumed < 1 || head->coded < 0 ||
        head->coded > head->resumed)
        return fail(ST_COMM, "a clip that resumes after block %lld", (long long)head->resumed);
    c->resume_dir = strndup(r->at, (size_t)head->resume);
    if (!c->resume_dir) return fail(ST_NOMEM, "a clip: no memory");
    r->at += head->resume;
    c->resumed = head->resumed;
    c->coded = head->coded;
    c->extends = head->extends != 0;
    return ST_OK;
}

static status read_clip(struct live_clip **out, struct byte_reader *r, const struct feed_head *head,
                        int line, const struct engine_group *g)
{
    struct live_clip *c = calloc(1, sizeof *c);
    status st = ST_OK;

    *out = NULL;
    if (!c) return fail(ST_NOMEM, "a clip: no memory");
    c->number = (int)head->number;
    c->line = line;
    TRY_OUT(read_texts(r, c, head, g->shape.text_dim));
    TRY_OUT(read_given(r, c, head, g));
    TRY_OUT(read_resume(r, c, head));
    if (head->json != r->end - r->at) {
        st = fail(ST_COMM, "a clip's message has another length than it says");
        goto out;
    }
    TRY_OUT(clip_spec_from_json(&c->spec, r->at, (size_t)head->json));
    if (c->spec.prompts != head->prompts) {
        st = fail(ST_COMM, "clip %s has %d prompts, its message %lld", c->spec.name,
                  c->spec.prompts, (long long)head->prompts);
        goto out;
    }
    c->formats = clip_pixel_formats(&c->spec);
    *out = c;
    c = NULL; /* handed over */
out:
    live_clip_free(c);
    return st;
}

/* ---- the receiving side ------------------------------------------------------------ */

/* Workers of a rank that take a line's clip from its board. */
static int users_of(const struct group *t, int rank, int line)
{
    const struct role_at *const at = &t->g.roles.rank[rank];

    return (at->role == ROLE_LINE && at->line == line) + (roles_encoder(&t->g.roles, line) == rank);
}

static status take_message(struct group *t, int line, const char *bytes, size_t len, bool *over)
{
    struct byte_reader r = { bytes, bytes + len };
    struct feed_head head;
    struct live_clip *c;

    TRY(read_bytes(&r, &head, sizeof head));
    *over = head.kind == FEED_CLOSE;
    if (head.kind == FEED_END) clip_board_end(t->board, line);
    if (head.kind == FEED_CUT) clip_board_cut(t->board, line, (int)head.number);
    if (head.kind != FEED_CLIP) return ST_OK;
    TRY(read_clip(&c, &r, &head, line, &t->g));
    clip_board_post(t->board, c, users_of(t, t->world->rank, line));
    return ST_OK;
}

static status receive_clips(void *arg)
{
    const struct feed_thread *const me = arg;
    struct group *const t = me->feed->t;
    status st = ST_OK;

    for (bool over = false; !over && st == ST_OK;) {
        char *bytes = NULL;
        size_t len = 0;
        st = comm_broadcast(t->feeds[me->line], 0, &bytes, &len);
        if (st == ST_OK) st = take_message(t, me->line, bytes, len, &over);
        free(bytes);
    }
    if (st == ST_OK) return ST_OK;
    clip_board_break(t->board, error_last());
    if (st != ST_PEER) comm_abort(t->world);
    return st;
}

/* ---- reports ------------------------------------------------------------------------ */

static struct comm_xfer report_xfer(struct clip_report *r, int peer, bool send)
{
    return (struct comm_xfer){
        .t = { .data = r, .dtype = DT_U8, .ndim = 1, .dim = { sizeof *r } },
        .peer = peer,
        .send = send,
    };
}

static status receive_reports(void *arg)
{
    const struct feed_thread *const me = arg;
    struct group *const t = me->feed->t;
    struct comm *const from = t->reports[me->line];
    struct clip_report r = { .number = 0 };
    status st = ST_OK;

    while (st == ST_OK && r.number >= 0) {
        struct comm_xfer const xfer = report_xfer(&r, 1, false);
        st = comm_post(from, &xfer, 1);
        if (st == ST_OK) st = comm_wait(from);
        r.why[sizeof r.why - 1] = '\0';
        if (st == ST_OK) dispatch_list_take_report(t->work, me->line, &r);
    }
    if (st != ST_OK && st != ST_PEER) comm_abort(t->world);
    return st;
}

status clip_report_send(struct group *t, int line, int number, status st, const char *why)
{
    struct clip_report r = { .number = number, .st = (int32_t)st };

    snprintf(r.why, sizeof r.why, "%s", why ? why : "");
    if (t->work) {
        dispatch_list_take_report(t->work, line, &r);
        return ST_OK;
    }
    struct comm_xfer const xfer = report_xfer(&r, 0, true);
    TRY(comm_post(t->reports[line], &xfer, 1));
    return comm_wait(t->reports[line]);
}

/* ---- the sending side --------------------------------------------------------------- */

static status send_bytes(struct group *t, int line, char *bytes, size_t len)
{
    return t->feeds[line] ? comm_broadcast(t->feeds[line], 0, &bytes, &len) : ST_OK;
}

static status send_head(struct group *t, int line, enum feed_kind kind, int number)
{
    struct feed_head head = { .kind = kind, .number = number };
    return send_bytes(t, line, (char *)&head, sizeof head);
}

status clip_feed_send(struct group *t, struct live_clip *c)
{
    struct strbuf bytes = { 0 };
    int const line = c->line;
    status st = ST_OK;

    if (t->feeds[line]) {
        st = write_clip(&bytes, c, &t->g);
        if (st == ST_OK) st = send_bytes(t, line, bytes.s, bytes.len);
    }
    strbuf_free(&bytes);
    if (st == ST_OK) clip_board_post(t->board, c, users_of(t, 0, line));
    else live_clip_free(c);
    return st;
}

status clip_feed_cut(struct group *t, int line, int number)
{
    TRY(send_head(t, line, FEED_CUT, number));
    clip_board_cut(t->board, line, number);
    return ST_OK;
}

status clip_feed_end(struct group *t, int line)
{
    TRY(send_head(t, line, FEED_END, -1));
    clip_board_end(t->board, line);
    return ST_OK;
}

status clip_feed_finish(struct group *t, int line) { return send_head(t, line, FEED_CLOSE, -1); }

/* ---- threads ------------------------------------------------------------------------ */

static status start_thread(struct clip_feed *f, struct feed_thread *th, int line, const char *what,
                           status (*main)(void *))
{
    char name[32]; /* cut by task_start */

    *th = (struct feed_thread){ .feed = f, .line = line };
    snprintf(name, sizeof name, "%s %d", what, line);
    return task_start(&th->task, name, f->t->world->rank, main, th);
}

status clip_feed_open(struct clip_feed **out, struct group *t)
{
    struct clip_feed *f = calloc(1, sizeof *f);
    bool const first = t->world->rank == 0;
    status st = ST_OK;

    *out = NULL;
    if (!f) return fail(ST_NOMEM, "feeds: no memory");
    f->t = t;
    *out = f; /* threads that run are joined by whoever closes, also after a failure */
    for (int line = 0; line < t->g.roles.lines && st == ST_OK; line++) {
        if (t->feeds[line] && !first)
            st = start_thread(f, &f->in[line], line, "feed", receive_clips);
        if (st == ST_OK && t->reports[line] && first)
            st = start_thread(f, &f->back[line], line, "reports", receive_reports);
    }
    return st;
}

status clip_feed_join(struct clip_feed *f, status st)
{
    if (!f) return st;
    for (int line = 0; line < f->t->g.roles.lines; line++) {
        st = task_join(&f->in[line].task, st);
        st = task_join(&f->back[line].task, st);
    }
    return st;
}

void clip_feed_close(struct clip_feed **feed)
{
    free(*feed);
    *feed = NULL;
}
