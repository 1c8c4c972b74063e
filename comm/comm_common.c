/*
 * comm_common.c - what every transport checks, decides and says alike.
 *
 * The transports differ in how bytes travel; what a caller may ask, who is to blame and in
 * which words must not depend on them: the same checks (tests/comm) pass over all.
 */
#include "comm/comm_internal.h"

enum { DEADLINE_MAX = 1000000 /* s */ };

/* ---- checks ------------------------------------------------------------------------------ */

status comm_check_deadline(double deadline_s)
{
    if (deadline_s > 0 && deadline_s <= DEADLINE_MAX) return ST_OK;
    return fail(ST_ARG, "a deadline of %g s; it must be above 0 and at most %d s", deadline_s,
                DEADLINE_MAX);
}

status comm_check_post(const struct comm *c, const struct comm_xfer *xfers, int count, bool open)
{
    if (open) return fail(ST_ARG, "post: rank %d has not waited for its last post", c->world_rank);
    if (count < 0) return fail(ST_ARG, "post: %d transfers", count);
    for (int i = 0; i < count; i++)
        if (xfers[i].peer < 0 || xfers[i].peer >= c->size || xfers[i].peer == c->rank)
            return fail(ST_ARG,
                        "post: rank %d, number %d of %d in its group, names %d in "
                        "transfer %d",
                        c->world_rank, c->rank, c->size, xfers[i].peer, i);
    return ST_OK;
}

status comm_check_control(const struct comm *c, int peer, bool is_world)
{
    if (!is_world)
        return fail(ST_ARG, "send_control: rank %d calls it on a group, not the world",
                    c->world_rank);
    if (peer >= 0 && peer < c->size) return ST_OK;
    return fail(ST_ARG, "send_control: rank %d of %d names peer %d", c->world_rank, c->size, peer);
}

status comm_check_fit(const struct comm *c, const struct tensor *to, int from,
                      const struct tensor *sent)
{
    char a[SHAPE_TEXT], b[SHAPE_TEXT];

    if (sent->dtype == to->dtype && tensor_bytes(sent) == tensor_bytes(to)) return ST_OK;
    return fail(ST_ARG, "rank %d receives %s %s, rank %d sends %s %s", c->world_rank,
                dtype_name(to->dtype), tensor_shape(to, a), from, dtype_name(sent->dtype),
                tensor_shape(sent, b));
}

/* ---- times and places ---------------------------------------------------------------------- */

struct timespec comm_time_after(double s)
{
    double const cut = !(s > 0) ? 0 : s < DEADLINE_MAX ? s : DEADLINE_MAX;
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += (time_t)cut;
    t.tv_nsec += (long)((cut - (double)(time_t)cut) * 1e9);
    if (t.tv_nsec >= 1000000000L) t.tv_sec++, t.tv_nsec -= 1000000000L;
    return t;
}

bool comm_one_machine(const struct comm *c)
{
    for (int r = 1; r < c->size; r++)
        if (c->node[r] != c->node[0]) return false;
    return true;
}

/* ---- failures ------------------------------------------------------------------------------ */

void comm_list_xfers(struct strbuf *who, int world_rank, bool send, int count)
{
    if (count)
        strbuf_addf(who, "%s rank %d to %s %d tensor%s", who->len ? "," : "", world_rank,
                    send ? "receive" : "send", count, count == 1 ? "" : "s");
}

void comm_list_rank(struct strbuf *who, int world_rank)
{
    strbuf_addf(who, "%s rank %d", who->len ? "," : "", world_rank);
}

status comm_fail_waited(const struct comm *c, const char *call, struct strbuf *who)
{
    status const st = fail(ST_COMM, "rank %d waited %g s for%s%s%s", c->world_rank, c->deadline_s,
                           who->s ? who->s : " its peers", call ? " in " : "", call ? call : "");
    strbuf_free(who);
    return st;
}

status comm_fail_aborted(const struct comm *c, int by)
{
    return fail(ST_PEER, "rank %d stopped: rank %d aborted", c->world_rank, by);
}

/* ---- verdicts ------------------------------------------------------------------------------ */

void verdict_add(struct verdict *v, int rank, status st)
{
    if (status_outweighs(st, v->st)) *v = (struct verdict){ st, rank };
}

status verdict_status(status verdict, int culprit, const char *reason)
{
    if (verdict == ST_OK) return ST_OK;
    if (verdict == ST_CANCELED) return fail(ST_CANCELED, "%s", reason);
    return fail(ST_PEER, "rank %d failed: %s: %s", culprit, status_name(verdict), reason);
}

status comm_agree_result(status mine, const struct error *own, status verdict)
{
    if (mine == ST_OK || (mine == ST_CANCELED && status_outweighs(verdict, mine))) return verdict;
    error_adopt(own);
    return mine;
}

/* ---- mailboxes ----------------------------------------------------------------------------- */

void mailbox_put(struct mailbox *b, const struct comm_control *control, int from)
{
    int const at = (b->first + b->count) % COMM_CONTROLS;

    b->slot[at].control = *control;
    b->slot[at].from = from;
    if (b->count < COMM_CONTROLS) b->count++;
    else b->first = (b->first + 1) % COMM_CONTROLS;
}

bool mailbox_take(struct mailbox *b, struct comm_control *out, int *from)
{
    if (!b->count) return false;
    *out = b->slot[b->first].control;
    *from = b->slot[b->first].from;
    b->first = (b->first + 1) % COMM_CONTROLS;
    b->count--;
    return true;
}
