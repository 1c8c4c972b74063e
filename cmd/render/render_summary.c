#include "cmd/render/render_summary.h"
#include "base/clock.h"
#include "base/log.h"
#include "cmd/render/render_progress.h"
#include "cmd/render/render_report_json.h"
#include "comm/heartbeat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct render_summary {
    const struct batch *t;
    struct render_progress progress;
};

static void log_lines(const struct strbuf *t)
{
    for (const char *at = t->s; at && *at;) {
        const char *const end = strchr(at, '\n');
        int const len = end ? (int)(end - at) : (int)strlen(at);
        log_info("%.*s", len, at);
        at += len + (end != NULL);
    }
}

void render_summary_roles(const struct batch *t)
{
    const struct kern_backend *const backend = t->rank->o->backend;
    struct strbuf map = { 0 };
    char kernels[KERN_TEXT], mode[LINE_MODE_TEXT];

    log_info("batch: %d clips of %dx%d, %s, %s %s (%s), %s", t->b->clips,
             t->b->clip[0]->spec->width, t->b->clip[0]->spec->height, t->b->clip[0]->card->name,
             backend->name, dtype_name(t->act), backend->kernels(kernels),
             line_mode_text(t->rank->o->mode, mode));
    roles_print(&map, &t->roles, t->schedule.levels + 1);
    if (!map.failed) log_lines(&map);
    strbuf_free(&map);
}

/* ---- progress ---------------------------------------------------------------------- */

static void heard(void *arg, const struct comm_control *note)
{
    struct render_summary *const r = arg;

    if (note->kind == CONTROL_TICK) r->progress.stages[note->value[0]] = (int)note->value[1];
    if (note->kind != CONTROL_BLOCK) return;
    render_progress_block(&r->progress, r->t->b->clip[note->value[1]]->spec, note->value[2],
                          (int)note->value[3]);
}

status render_summary_open(struct render_summary **out, const struct batch *t)
{
    struct render_summary *const r = calloc(1, sizeof *r);
    int64_t blocks = 0;

    *out = NULL;
    if (!r) return fail(ST_NOMEM, "report: no memory");
    r->t = t;
    for (int i = 0; i < t->b->clips; i++) blocks += t->b->clip[i]->spec->blocks;
    log_info("line: every rank is ready; the first pictures come after %d ticks",
             t->schedule.levels);
    render_progress_begin(&r->progress,
                          &(struct render_progress){ .clips = t->b->all_clips,
                                                     .clips_done = t->b->clips_done,
                                                     .blocks = blocks,
                                                     .lines = t->roles.lines,
                                                     .stages_each = t->schedule.levels + 1 });
    heartbeat_listen(t->rank->pulse, heard, r);
    *out = r;
    return ST_OK;
}

void render_summary_close(struct render_summary **report)
{
    struct render_summary *const r = *report;

    if (!r) return;
    heartbeat_listen(r->t->rank->pulse, NULL, NULL);
    render_progress_end(&r->progress);
    free(r);
    *report = NULL;
}

/* ---- the table --------------------------------------------------------------------- */

/* Columns in percent; less than zero: nothing to say. */
enum { OCCUPIED, COMPUTE, EXCHANGE, NEIGHBOUR, QUEUE, DECODE, ENCODE, COLUMNS };

static double share(double part, double whole) { return whole > 0 ? 100.0 * part / whole : -1; }

static void print_row(int rank, int line, const char *stage, const double column[COLUMNS])
{
    struct strbuf row = { 0 };

    strbuf_addf(&row, "  %4d  %4d  %-6s", rank, line, stage);
    for (int i = 0; i < COLUMNS; i++)
        if (column[i] < 0) strbuf_addf(&row, "%10s", "");
        else strbuf_addf(&row, "%10.1f", column[i]);
    while (row.len && row.s[row.len - 1] == ' ') row.s[--row.len] = '\0';
    if (!row.failed) log_info("%s", row.s);
    strbuf_free(&row);
}

/* What is of the rank, not of a stage, goes into its first row. */
static void print_stages(const struct batch *t, int rank, const struct rank_stats *a)
{
    const struct role_at *const at = &t->roles.rank[rank];
    int const tail = roles_tail(&t->roles, at->line, t->schedule.levels + 1);
    bool const decodes = rank == tail && !t->roles.line[at->line].decode_ranks;
    struct split split;

    if (split_make(&split, t->schedule.levels + 1, t->roles.line[at->line].ranks) != ST_OK) return;
    int const first = split.first[at->place], end = split.first[at->place + 1];
    for (int s = first; s < end; s++) {
        bool const head = s == first;
        char name[16];
        snprintf(name, sizeof name, s == t->schedule.levels ? "clean" : "%d", s);
        print_row(rank, at->line, name,
                  (double[]){ [OCCUPIED] = share(a->stage[s].busy, a->stage[s].span),
                              [COMPUTE] = share(a->stage[s].compute.wall, a->wall),
                              [EXCHANGE] = head ? share(a->exchange.wall, a->wall) : -1,
                              [NEIGHBOUR] = head ? share(a->hand_over.wall, a->wall) : -1,
                              [QUEUE] = head ? share(a->queue.wall, a->wall) : -1,
                              [DECODE] = head && decodes ? share(a->decode.wall, a->wall) : -1,
                              [ENCODE] = head && decodes ? share(a->encode.wall, a->wall) : -1 });
    }
}

static void print_table(const struct batch *t, const struct rank_stats *all)
{
    log_info("where the time went: ticks with a block, counted between the first and the last such "
             "tick; then seconds, in %% of the run");
    log_info("  rank  line  stage   occupied   compute  exchange neighbour     queue    decode    "
             "encode");
    for (int r = 0; r < t->roles.ranks; r++) {
        const struct role_at *const at = &t->roles.rank[r];
        if (at->role == ROLE_LINE) print_stages(t, r, &all[r]);
        if (at->role == ROLE_DECODE)
            print_row(r, at->line, "decode",
                      (double[]){ [OCCUPIED] = -1,
                                  [COMPUTE] = -1,
                                  [EXCHANGE] = -1,
                                  [NEIGHBOUR] = -1,
                                  [QUEUE] = share(all[r].queue.wall, all[r].wall),
                                  [DECODE] = share(all[r].decode.wall, all[r].wall),
                                  [ENCODE] = share(all[r].encode.wall, all[r].wall) });
    }
}

static struct comm_xfer part_of(const struct rank_stats *a, int peer, bool send)
{
    return (struct comm_xfer){ .t = { .data = (void *)(uintptr_t)a,
                                      .dtype = DT_F64,
                                      .ndim = 1,
                                      .dim = { sizeof *a / sizeof(double) } },
                               .peer = peer,
                               .send = send };
}

status render_summary_print(const struct batch *t, const struct batch_run *mine)
{
    struct comm *const world = t->world;
    bool const first = world->rank == 0;
    struct rank_stats *const all = calloc((size_t)world->size, sizeof *all);
    struct comm_xfer *const part = calloc((size_t)world->size, sizeof *part);
    int parts = 0;
    status st = ST_OK;

    if (!all || !part) {
        st = fail(ST_NOMEM, "%d accounts", world->size);
        goto out;
    }
    all[world->rank] = mine->account;
    if (!first) part[parts++] = part_of(&mine->account, 0, true);
    for (int r = 1; first && r < world->size; r++) part[parts++] = part_of(&all[r], r, false);
    TRY_OUT(comm_post(world, part, parts));
    TRY_OUT(comm_wait(world));
    if (first) print_table(t, all);
    if (first && t->rank->report) TRY_OUT(render_report_add(t->rank->report, t, mine, all));
out:
    free(all);
    free(part);
    return st;
}
