#include "comm/comm_common.h"

enum { DEADLINE_MAX = 1000000 /* s */ };

status rules_deadline(double deadline_s)
{
    if (deadline_s > 0 && deadline_s <= DEADLINE_MAX) return ST_OK;
    return fail(ST_ARG, "a deadline of %g s; up to %d are possible", deadline_s, DEADLINE_MAX);
}

struct timespec rules_until(double deadline_s)
{
    double const s = !(deadline_s > 0) ? 0 : deadline_s < DEADLINE_MAX ? deadline_s : DEADLINE_MAX;
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += (time_t)s;
    t.tv_nsec += (long)((s - (double)(time_t)s) * 1e9);
    if (t.tv_nsec >= 1000000000L) t.tv_sec++, t.tv_nsec -= 1000000000L;
    return t;
}

status rules_parts(const struct comm *c, const struct comm_xfer *parts, int count, bool open)
{
    if (open) return fail(ST_ARG, "start: rank %d has not finished its last", c->world_rank);
    if (count < 0) return fail(ST_ARG, "start: %d parts", count);
    for (int i = 0; i < count; i++)
        if (parts[i].peer < 0 || parts[i].peer >= c->size || parts[i].peer == c->rank)
            return fail(ST_ARG, "start: rank %d, number %d of %d in its group, names %d in part %d",
                        c->world_rank, c->rank, c->size, parts[i].peer, i);
    return ST_OK;
}

status rules_note(const struct comm *c, int peer, bool is_world)
{
    if (!is_world) return fail(ST_ARG, "note: rank %d asks a group, not the world", c->world_rank);
    if (peer >= 0 && peer < c->size) return ST_OK;
    return fail(ST_ARG, "note: rank %d of %d names peer %d", c->world_rank, c->size, peer);
}

bool rules_one_machine(const struct comm *c)
{
    for (int r = 1; r < c->size; r++)
        if (c->node[r] != c->node[0]) return false;
    return true;
}

status rules_fit(const struct comm *c, const struct tensor *to, int from, const struct tensor *sent)
{
    char a[SHAPE_TEXT], b[SHAPE_TEXT];

    if (sent->dtype == to->dtype && tensor_bytes(sent) == tensor_bytes(to)) return ST_OK;
    return fail(ST_ARG, "rank %d receives %s %s, rank %d sends %s %s", c->world_rank,
                dtype_name(to->dtype), tensor_shape(to, a), from, dtype_name(sent->dtype),
                tensor_shape(sent, b));
}

void rules_add_parts(struct strbuf *who, int world_rank, bool send, int parts)
{
    if (parts)
        strbuf_addf(who, "%s rank %d to %s %d part%s", who->len ? "," : "", world_rank,
                    send ? "receive" : "send", parts, parts == 1 ? "" : "s");
}

void rules_add_rank(struct strbuf *who, int world_rank)
{
    strbuf_addf(who, "%s rank %d", who->len ? "," : "", world_rank);
}

status rules_waited(const struct comm *c, const char *call, struct strbuf *who)
{
    status const st = fail(ST_COMM, "%s%srank %d waited %g s for%s", call, *call ? ": " : "",
                           c->world_rank, c->deadline_s, who->s ? who->s : " its peers");
    strbuf_free(who);
    return st;
}

status rules_aborted(const struct comm *c, int by)
{
    return fail(ST_PEER, "rank %d stops: rank %d aborted", c->world_rank, by);
}

void rules_judge(struct verdict *v, int rank, status st)
{
    if (status_outweighs(st, v->st)) *v = (struct verdict){ st, rank };
}

status rules_agreed(status mine, const struct error *own, status met)
{
    if (mine == ST_OK || (mine == ST_CANCELED && status_outweighs(met, mine))) return met;
    error_adopt(own);
    return mine;
}

status rules_tell(status verdict, int culprit, const char *reason)
{
    if (verdict == ST_OK) return ST_OK;
    if (verdict == ST_CANCELED) return fail(ST_CANCELED, "%s", reason);
    return fail(ST_PEER, "rank %d failed: %s: %s", culprit, status_name(verdict), reason);
}
