/* cost_tasks.c - what the threads of each machine have to do in a tick, and how long that takes
 * them when they share its cores. */
#include "cluster/cost_internal.h"

#include <stdlib.h>

void cost_task(struct cost_tasks *t, int machine, double seconds, int threads)
{
    if (seconds > 0) t->task[t->count++] = (struct cost_task){ machine, threads, seconds };
}

static int by_machine(const void *a, const void *b)
{
    const struct cost_task *const x = a, *const y = b;

    if (x->machine != y->machine) return x->machine - y->machine;
    return (x->seconds > y->seconds) - (x->seconds < y->seconds);
}

void cost_share_cores(struct cost_tasks *t, int cores, double seconds[ROLES_RANKS])
{
    int first = 0, end;

    for (int i = 0; i < ROLES_RANKS; i++) seconds[i] = 0;
    qsort(t->task, (size_t)t->count, sizeof *t->task, by_machine);
    for (; first < t->count; first = end) {
        double *const at = &seconds[t->task[first].machine], done = 0;
        int threads = 0;
        for (end = first; end < t->count && t->task[end].machine == t->task[first].machine; end++)
            threads += t->task[end].threads;
        for (int i = first; i < end; i++) { /* the shortest is over first, then there are fewer */
            *at += (t->task[i].seconds - done) * most(1, (double)threads / cores);
            done = t->task[i].seconds;
            threads -= t->task[i].threads;
        }
    }
}

int cost_decoder_rank(const struct cost_query *k, int line)
{
    const struct role_line *const l = &k->r->line[line];
    return l->decode_ranks > 0 ? l->decode : roles_tail(k->r, line);
}

void cost_add_pictures(const struct cost_query *k, struct cost_tasks *t,
                       const bool does[ROLES_RANKS])
{
    const struct cost_parts *const p = &k->m->parts;
    double decode[ROLES_RANKS] = { 0 };

    for (int l = 0; l < k->r->lines; l++) {
        int const chain = k->r->line[l].decode_ranks > 1 ? k->r->line[l].decode_ranks : 1;
        int const at = cost_decoder_rank(k, l);
        if (!does[l]) continue;
        for (int i = 0; i < chain; i++) decode[at + i] += p->decode / chain;
        cost_task(t, k->node[at + chain - 1], p->encode, 1);
    }
    for (int i = 0; i < k->r->ranks; i++) cost_task(t, k->node[i], decode[i], p->threads);
}
