/* plan_links.c - what goes over each link of a plan per tick. */
#include "cmd/plan/plan_internal.h"

static void print_keys(struct strbuf *out, const struct plan_view *v, const struct split *split,
                       const struct role_line *line)
{
    strbuf_addf(out, "\nMiB of %s per tick, from the rank at the left to the one above%s\n%-8s",
                v->cost.shape.heads ? "queries, keys, values and results" : "keys and values",
                v->roles.lines > 1 ? "; other lines alike" : "", "");
    for (int to = 0; to < line->ranks; to++) strbuf_addf(out, " %9d", line->first + to);
    strbuf_addf(out, "\n");
    for (int from = 0; from < line->ranks; from++) {
        strbuf_addf(out, "rank %-3d", line->first + from);
        for (int to = 0; to < line->ranks; to++)
            strbuf_addf(out, " %9.1f",
                        bytes_mib(cost_link(&v->cost.shape, split, from, to).exchanged));
        strbuf_addf(out, "\n");
    }
}

void plan_print_links(struct strbuf *out, const struct plan_view *v)
{
    const struct role_line *const line = &v->roles.line[0];
    double const latent = bytes_mib(v->cost.shape.latent_bytes);
    struct split split;

    if (split_make(&split, v->cost.shape.stages, line->ranks) != ST_OK) return;
    if (line->ranks > 1) print_keys(out, v, &split, line);
    if (line->ranks > 1)
        strbuf_addf(out, "and %.1f MiB of latents from each rank to the next, per tick\n", latent);
    if (line->decode_ranks > 0)
        strbuf_addf(out, "%.1f MiB per block from rank %d to rank %d, to be decoded\n", latent,
                    roles_tail(&v->roles, 0), line->decode);
}

static json_t *json_link(const struct plan_view *v, const struct split *split, int from, int to)
{
    const struct role_line *const line = &v->roles.line[0];
    struct cost_link const l = cost_link(&v->cost.shape, split, from, to);

    return json_pack("{s:i, s:i, s:f, s:f}", "from", line->first + from, "to", line->first + to,
                     "keys_bytes_per_tick", l.exchanged, "latent_bytes_per_tick", l.latents);
}

json_t *plan_json_links(const struct plan_view *v)
{
    int const ranks = v->roles.line[0].ranks;
    json_t *const links = json_array();
    struct split split;

    if (split_make(&split, v->cost.shape.stages, ranks) != ST_OK) return links;
    for (int from = 0; from < ranks; from++)
        for (int to = 0; to < ranks; to++)
            if (from != to) json_array_append_new(links, json_link(v, &split, from, to));
    return links;
}
