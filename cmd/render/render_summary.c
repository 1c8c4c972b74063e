/*
 * render_summary.c - the engine's events as people read them: a role map when a group begins, a
 * bar or a line from time to time, a table at the end.
 */
#include "base/log.h"
#include "base/strbuf.h"
#include "cmd/render/render_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct render_summary {
    const struct engine_options *o;
    struct render_report *report; /* or NULL */
    int64_t all_clips;
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

static void print_roles(void *arg, const struct engine_group *g)
{
    const struct kern_backend *const backend = g->o.backend;
    struct strbuf map = { 0 };
    char kernels[KERN_TEXT], mode[LINE_MODE_TEXT];

    (void)arg;
    log_info("group: %lld clips of %dx%d, %s, %s %s (%s), %s", (long long)g->outlook.clips,
             g->width, g->height, g->model->name, backend->name, dtype_name(g->act),
             backend->kernels(kernels), line_mode_text(g->o.mode, mode));
    roles_print(&map, &g->roles);
    if (!map.failed) log_lines(&map);
    strbuf_free(&map);
}

/* ---- progress ---------------------------------------------------------------------- */

static void begin_progress(void *arg, const struct engine_group *g)
{
    struct render_summary *const r = arg;

    log_info("line: every rank is ready; the first pictures come after %d ticks",
             g->schedule.levels);
    render_progress_begin(&r->progress,
                          &(struct render_progress){ .clips = (int)r->all_clips,
                                                     .clips_done = r->progress.clips_done,
                                                     .blocks = g->outlook.blocks,
                                                     .lines = g->roles.lines,
                                                     .stages_each = g->roles.stages });
}

static void show_tick(void *arg, int line, int busy)
{
    struct render_summary *const r = arg;
    r->progress.stages[line] = busy;
}

static void show_blocks(void *arg, const struct clip_spec *clip, int64_t block, int64_t blocks,
                        int64_t pictures)
{
    struct render_summary *const r = arg;
    render_progress_blocks(&r->progress, clip, block, blocks, pictures);
}

/* ---- the table --------------------------------------------------------------------- */

/* Columns in percent; less than zero: nothing to say. */
enum { OCCUPIED, COMPUTE, EXCHANGE, NEIGHBOUR, QUEUE, DECODE, ENCODE, COLUMNS };

static double percent_of(double part, double whole)
{
    return whole > 0 ? 100.0 * part / whole : -1;
}

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
static void print_stages(const struct engine_group *g, int rank, const struct rank_stats *a)
{
    const struct role_at *const at = &g->roles.rank[rank];
    bool const decodes = roles_decodes(&g->roles, rank);
    struct split split;

    if (split_make(&split, g->roles.stages, g->roles.line[at->line].ranks) != ST_OK) return;
    int const first = split.first[at->place], end = split.first[at->place + 1];
    for (int s = first; s < end; s++) {
        bool const head = s == first;
        char name[16];
        snprintf(name, sizeof name, s == g->schedule.levels ? "clean" : "%d", s);
        print_row(
            rank, at->line, name,
            (double[]){ [OCCUPIED] = percent_of(a->stage[s].busy, a->stage[s].span),
                        [COMPUTE] = percent_of(a->stage[s].compute.wall, a->wall),
                        [EXCHANGE] = head ? percent_of(a->exchange.wall, a->wall) : -1,
                        [NEIGHBOUR] = head ? percent_of(a->hand_over.wall, a->wall) : -1,
                        [QUEUE] = head ? percent_of(a->queue.wall, a->wall) : -1,
                        [DECODE] = head && decodes ? percent_of(a->decode.wall, a->wall) : -1,
                        [ENCODE] = head && decodes ? percent_of(a->encode.wall, a->wall) : -1 });
    }
}

static void print_times(const struct engine_group *g, const struct rank_stats *all)
{
    log_info("where the time went: ticks with a block, counted between the first and the last such "
             "tick; then seconds, in %% of the run but for idle time");
    log_info("  rank  line  stage   occupied   compute  exchange neighbour     queue    decode    "
             "encode");
    for (int r = 0; r < g->roles.ranks; r++) {
        const struct role_at *const at = &g->roles.rank[r];
        if (at->role == ROLE_LINE) print_stages(g, r, &all[r]);
        if (at->role == ROLE_DECODE)
            print_row(r, at->line, "decode",
                      (double[]){ [OCCUPIED] = -1,
                                  [COMPUTE] = -1,
                                  [EXCHANGE] = -1,
                                  [NEIGHBOUR] = -1,
                                  [QUEUE] = percent_of(all[r].queue.wall, all[r].wall),
                                  [DECODE] = percent_of(all[r].decode.wall, all[r].wall),
                                  [ENCODE] = percent_of(all[r].encode.wall, all[r].wall) });
    }
}

static status end_group(void *arg, const struct engine_group *g, const struct group_run *run,
                        const struct rank_stats *all)
{
    struct render_summary *const r = arg;

    render_progress_end(&r->progress);
    print_times(g, all);
    return r->report ? render_report_add(r->report, g, run, all) : ST_OK;
}

/* ---- open and close ------------------------------------------------------------------ */

status render_summary_open(struct render_summary **out, const struct engine_options *o)
{
    *out = calloc(1, sizeof **out);
    if (!*out) return fail(ST_NOMEM, "summary: no memory");
    (*out)->o = o;
    return ST_OK;
}

void render_summary_close(struct render_summary **r)
{
    if (!*r) return;
    render_progress_end(&(*r)->progress);
    free(*r);
    *r = NULL;
}

void render_summary_set(struct render_summary *r, int64_t all_clips, struct render_report *report)
{
    r->all_clips = all_clips;
    r->report = report;
}

struct engine_events render_summary_events(struct render_summary *r)
{
    return (struct engine_events){ .arg = r,
                                   .group_begin = print_roles,
                                   .group_ready = begin_progress,
                                   .tick = show_tick,
                                   .blocks = show_blocks,
                                   .group_end = end_group };
}
