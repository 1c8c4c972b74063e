/* plan_json.c - a plan as one JSON object. */
#include "cmd/plan/plan_internal.h"
#include "jobs/spec/json_build.h"

static json_t *json_rank(const struct plan_view *v, int rank)
{
    static const char *const roles[] = { "line", "decode", "idle" };
    const struct role_at *const at = &v->roles.rank[rank];
    struct plan_rank_bytes b;
    json_t *bytes = json_object(), *o = json_object();

    plan_bytes_rank(&b, &v->bytes, &v->roles, rank);
    for (int i = 0; i < PLAN_ARENAS; i++)
        json_set(&bytes, plan_arena_names[i], json_integer((json_int_t)b.arena[i]));
    json_set(&o, "rank", json_integer(rank));
    json_set(&o, "role", json_string(roles[at->role]));
    json_set(&o, "line", at->role == ROLE_IDLE ? json_null() : json_integer(at->line));
    json_set(&o, "place", at->role == ROLE_IDLE ? json_null() : json_integer(at->place));
    json_set(&o, "why", at->role == ROLE_IDLE ? json_string(at->why) : json_null());
    json_set(&o, "bytes", bytes);
    json_set(&o, "all_bytes", json_integer((json_int_t)b.all));
    if (v->bytes.cards) json_set(&o, "card_bytes", json_integer((json_int_t)b.card));
    return o;
}

static json_t *json_plan(const struct plan *p)
{
    static const char *const bounds[] = { "line", "decode", "cores" };
    json_t *o;

    if (!p->ranks_per_line) return json_null();
    o = json_object();
    json_set(&o, "ranks_per_line", json_integer(p->ranks_per_line));
    json_set(&o, "decode_ranks", json_integer(p->decode_ranks));
    json_set(&o, "tick_seconds", json_real(p->cost.tick));
    json_set(&o, "block_seconds", json_real(p->cost.block));
    json_set(&o, "frames_per_second", json_real(p->cost.frames));
    json_set(&o, "first_seconds", json_real(p->cost.first));
    json_set(&o, "all_seconds", json_real(p->cost.all));
    json_set(&o, "all_processor_seconds", json_real(p->cost.work));
    json_set(&o, "set_by", json_string(bounds[p->cost.bound]));
    json_set(&o, "rank_bytes", json_integer((json_int_t)p->rank_bytes));
    json_set(&o, "machine_bytes", json_integer((json_int_t)p->node_bytes));
    json_set(&o, "receive_bytes_per_tick", json_real(p->cost.receive));
    json_set(&o, "send_bytes_per_tick", json_real(p->cost.send));
    json_set(&o, "between_machines_bytes_per_tick", json_real(p->cost.crossing));
    json_set(&o, "exchange_not_hidden_seconds", json_real(p->cost.exposed));
    json_set(&o, "rough", json_boolean(p->cost.rough));
    json_set(&o, "fits", json_boolean(p->fits));
    return o;
}

status plan_json(struct strbuf *out, const struct plan_view *v)
{
    struct strbuf why = { 0 };
    json_t *o = json_object(), *ranks = json_array();

    planner_why(&why, &v->chosen, &v->query);
    for (int r = 0; r < v->roles.ranks; r++) json_add(&ranks, json_rank(v, r));
    json_set(&o, "plan", json_integer(1));
    json_set(&o, "job", json_string(v->jobs.first.job));
    json_set(&o, "model", json_string(v->jobs.model.name));
    json_set(&o, "precision", json_string(dtype_precision(v->jobs.work.act)));
    json_set(&o, "backend", json_string(v->bytes.backend->name));
    json_set(&o, "determinism", json_string(line_determinism_name(v->bytes.mode.determinism)));
    json_set(&o, "exchange", json_string(line_exchange_name(v->bytes.mode.exchange)));
    json_set(&o, "wire", json_string(line_wire_name(v->bytes.mode.wire)));
    json_set(&o, "threads", json_integer(v->cost.parts.threads));
    json_set(&o, "text_encoder_assumed", json_boolean(v->bytes.text_assumed));
    json_set(&o, "speeds", v->bench ? json_string(v->bench) : json_string("estimated"));
    json_set(&o, "goal", json_string(v->query.goal == PLAN_LATENCY ? "latency" : "throughput"));
    json_set(&o, "chosen", json_plan(&v->chosen.best));
    json_set(&o, "line", json_plan(&v->line));
    json_set(&o, "replicas", json_plan(&v->replicas));
    json_set(&o, "why", why.s ? json_string(why.s) : NULL);
    json_set(&o, "ranks", ranks);
    json_set(&o, "links", plan_json_links(v));
    bool const whole = json_append(out, o, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(o);
    strbuf_free(&why);
    return whole ? ST_OK : fail(ST_NOMEM, "no memory to print the plan");
}
