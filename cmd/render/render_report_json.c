/* render_report_json.c - the report as one JSON document, written whole each time a group ends, so
 * that it can be read at any time. */
#include "base/file.h"
#include "base/json_build.h"
#include "base/version.h"
#include "cmd/render/render_internal.h"

#include <stdlib.h>
#include <string.h>

struct render_report {
    const char *path; /* borrowed */
    json_t *root;
};

static status write_out(struct render_report *f)
{
    char *const text =
        f->root ? json_write(f->root, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    status const st =
        text ? file_write(f->path, text, strlen(text)) : fail(ST_NOMEM, "%s: no memory", f->path);

    free(text);
    return st;
}

status render_report_open(struct render_report **out, const char *path,
                          const struct engine_options *o, int ranks)
{
    struct render_report *const f = calloc(1, sizeof *f);
    char cpu[VERSION_CPU];

    *out = NULL;
    if (!f) return fail(ST_NOMEM, "%s: no memory", path);
    f->path = path;
    f->root = json_object();
    json_set(&f->root, "report", json_integer(1));
    json_set(&f->root, "program", json_string(version_program));
    json_set(&f->root, "commit", json_string(version_commit));
    json_set(&f->root, "cpu", json_string(version_cpu(cpu)));
    json_set(&f->root, "backend", json_string(o->backend->name));
    json_set(&f->root, "world", json_integer(ranks));
    json_set(&f->root, "batches", json_array());
    status const st = write_out(f);
    *out = f;
    if (st != ST_OK) render_report_close(out);
    return st;
}

void render_report_close(struct render_report **f)
{
    if (!*f) return;
    json_decref((*f)->root);
    free(*f);
    *f = NULL;
}

static void set_count(json_t **to, const char *key, double count)
{
    json_set(to, key, json_integer((json_int_t)count));
}

static void set_spent(json_t **to, const char *wall, const char *processor,
                      const struct cpu_wall *s)
{
    json_set(to, wall, json_real(s->wall));
    json_set(to, processor, json_real(s->processor));
}

static json_t *json_stages(const struct engine_group *g, int rank, const struct rank_stats *a)
{
    const struct role_at *const at = &g->roles.rank[rank];
    json_t *list = json_array();
    struct split split;

    if (split_make(&split, g->roles.stages, g->roles.line[at->line].ranks) != ST_OK) return list;
    for (int s = split.first[at->place]; s < split.first[at->place + 1]; s++) {
        json_t *o = json_object();
        json_set(&o, "stage", json_integer(s));
        set_count(&o, "ticks", a->stage[s].busy);
        set_count(&o, "span_ticks", a->stage[s].span);
        set_spent(&o, "compute_seconds", "compute_processor_seconds", &a->stage[s].compute);
        json_add(&list, o);
    }
    return list;
}

static json_t *json_rank(const struct engine_group *g, int rank, const struct rank_stats *a)
{
    static const char *const roles[] = { "line", "decode", "idle" };
    const struct role_at *const at = &g->roles.rank[rank];
    bool const idle = at->role == ROLE_IDLE;
    json_t *o = json_object();

    json_set(&o, "rank", json_integer(rank));
    json_set(&o, "machine", json_integer(g->node[rank]));
    json_set(&o, "role", json_string(roles[at->role]));
    json_set(&o, "line", idle ? json_null() : json_integer(at->line));
    json_set(&o, "place", idle ? json_null() : json_integer(at->place));
    json_set(&o, "why", idle ? json_string(at->why) : json_null());
    set_count(&o, "threads", a->threads);
    set_count(&o, "ticks", a->ticks);
    json_set(&o, "wall_seconds", json_real(a->wall));
    json_set(&o, "idle_seconds", json_real(a->idle));
    json_set(&o, "process_seconds", json_real(a->process));
    json_set(&o, "stages", at->role == ROLE_LINE ? json_stages(g, rank, a) : json_array());
    set_spent(&o, "exchange_seconds", "exchange_processor_seconds", &a->exchange);
    set_spent(&o, "neighbour_seconds", "neighbour_processor_seconds", &a->hand_over);
    set_spent(&o, "queue_seconds", "queue_processor_seconds", &a->queue);
    set_spent(&o, "decode_seconds", "decode_processor_seconds", &a->decode);
    set_spent(&o, "encode_seconds", "encode_processor_seconds", &a->encode);
    return o;
}

static json_t *json_group(const struct engine_group *g, const struct group_run *run,
                          const struct rank_stats *all)
{
    json_t *o = json_object(), *ranks = json_array();
    double blocks = 0, pictures = 0;

    for (int r = 0; r < g->roles.ranks; r++) {
        json_add(&ranks, json_rank(g, r, &all[r]));
        blocks += all[r].blocks;
        pictures += all[r].pictures;
    }
    json_set(&o, "model", json_string(g->model->name));
    json_set(&o, "precision", json_string(dtype_precision(g->act)));
    json_set(&o, "backend", json_string(g->o.backend->name));
    json_set(&o, "determinism", json_string(line_determinism_name(g->o.mode.determinism)));
    json_set(&o, "wire", json_string(line_wire_name(g->o.mode.wire)));
    json_set(&o, "width", json_integer(g->width));
    json_set(&o, "height", json_integer(g->height));
    json_set(&o, "clips", json_integer(g->outlook.clips));
    json_set(&o, "lines", json_integer(g->roles.lines));
    json_set(&o, "ranks_per_line", json_integer(g->roles.line[0].ranks));
    json_set(&o, "stopped", json_boolean(run->stopped));
    json_set(&o, "load_seconds", json_real(run->load));
    json_set(&o, "run_seconds", json_real(run->seconds));
    set_count(&o, "blocks", blocks);
    set_count(&o, "pictures", pictures);
    json_set(&o, "frames_per_second", json_real(run->seconds > 0 ? pictures / run->seconds : 0));
    json_set(&o, "ranks", ranks);
    return o;
}

status render_report_add(struct render_report *f, const struct engine_group *g,
                         const struct group_run *run, const struct rank_stats *all)
{
    json_t *const groups = json_object_get(f->root, "batches");
    json_t *const group = json_group(g, run, all);

    if (!group || json_array_append_new(groups, group))
        return fail(ST_NOMEM, "%s: no memory for a group", f->path);
    return write_out(f);
}
