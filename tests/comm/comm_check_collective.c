/* comm_check_collective.c - agree and split. */
#include "base/thread.h"
#include "tests/comm/comm_checks.h"
#include "tests/support/rng.h"

/* ---- agree ----------------------------------------------------------------- */

static const struct vote {
    status bring[3], get[3];
} votes[] = {
    { { ST_OK, ST_OK, ST_OK }, { ST_OK, ST_OK, ST_OK } },
    { { ST_OK, ST_IO, ST_OK }, { ST_PEER, ST_IO, ST_PEER } },
    { { ST_IO, ST_FORMAT, ST_OK }, { ST_IO, ST_FORMAT, ST_PEER } },
    { { ST_OK, ST_OK, ST_CANCELED }, { ST_CANCELED, ST_CANCELED, ST_CANCELED } },
    { { ST_OK, ST_IO, ST_CANCELED }, { ST_PEER, ST_IO, ST_PEER } },
    { { ST_OK, ST_PEER, ST_CANCELED }, { ST_PEER, ST_PEER, ST_PEER } },
    { { ST_IO, ST_IO, ST_IO }, { ST_IO, ST_IO, ST_IO } },
};

static status vote(struct comm *c, const struct vote *v)
{
    status const mine = v->bring[c->rank];

    if (mine != ST_OK) (void)fail(mine, "own trouble");
    status const got = comm_agree(c, mine);
    if (got != v->get[c->rank])
        return fail(ST_MISMATCH, "rank %d brought %s and got %s", c->rank, status_name(mine),
                    status_name(got));
    if (mine != ST_OK && got == mine && strcmp(error_last()->msg, "own trouble"))
        return fail(ST_MISMATCH, "agree took the record away");
    if (got != mine && got != ST_OK && !strstr(error_last()->msg, "own trouble"))
        return fail(ST_MISMATCH, "agree does not say why: %s", error_last()->msg);
    return ST_OK;
}

/* The first three ranks vote. */
status check_votes(struct comm *c, void *drawn)
{
    struct comm *three = NULL;
    status st = ST_OK;

    (void)drawn;
    TRY(comm_split(c, c->rank < 3 ? 5 : -1, &three));
    if ((c->rank < 3) != !!three) return fail(ST_MISMATCH, "split gave %p", (void *)three);
    for (int i = 0; three && i < COUNT_OF(votes) && st == ST_OK; i++) st = vote(three, &votes[i]);
    comm_close(&three);
    return st;
}

status check_many_votes(struct comm *c, void *drawn)
{
    const struct comm_random_case *const t = drawn;

    for (int i = 0; i < 300 / t->haste; i++) {
        bool const mine = i % c->size == c->rank && i % 5 == 0;
        status const got = comm_agree(c, mine ? fail(ST_IO, "vote") : ST_OK);
        status const want = mine ? ST_IO : i % 5 == 0 ? ST_PEER : ST_OK;
        if (got != want) return fail(ST_MISMATCH, "vote %d: %s", i, status_name(got));
    }
    return ST_OK;
}

/* What rank `rank` of a group brings to its round. */
static void bring_words(int64_t words[COMM_AGREE_WORDS], int round, int rank)
{
    for (int i = 0; i < COMM_AGREE_WORDS; i++)
        words[i] = INT64_MIN / 3 * (i % 2) + (int64_t)round * 1000003 + rank * 64 + i;
}

static status expect_words(const struct comm *c, const int64_t got[COMM_AGREE_WORDS], int round,
                           int from)
{
    int64_t want[COMM_AGREE_WORDS];

    bring_words(want, round, from);
    if (!memcmp(got, want, sizeof want)) return ST_OK;
    return fail(ST_MISMATCH, "round %d: rank %d has not the words of rank %d", round, c->rank,
                from);
}

/* In every third round a rank, each in its turn, fails or is canceled: then all keep what they
 * brought. Agrees without words lie between. */
static status agree_on_words(struct comm *c, const struct comm_random_case *t)
{
    for (int round = 0; round < 120 / t->haste; round++) {
        int64_t words[COMM_AGREE_WORDS];
        bool const fails = round % 3 == 2;
        bool const mine = fails && round / 3 % c->size == c->rank;
        status const bad = round % 2 ? ST_IO : ST_CANCELED;

        bring_words(words, round, c->rank);
        status const got = comm_agree_on(c, mine ? fail(bad, "no words") : ST_OK, words);
        if ((got != ST_OK) != fails)
            return fail(ST_MISMATCH, "words, round %d: %s", round, status_name(got));
        TRY(expect_words(c, words, round, fails ? c->rank : 0));
        if (round % 5 == 0) TRY(comm_agree(c, ST_OK));
    }
    return ST_OK;
}

/* Of the world, and of groups whose first rank is another than the world's. */
status check_agreed_words(struct comm *c, void *drawn)
{
    struct comm *g = NULL;
    status st = agree_on_words(c, drawn);

    if (st == ST_OK) st = comm_split(c, (c->size - 1 - c->rank) / 3, &g);
    if (st == ST_OK) st = agree_on_words(g, drawn);
    if (st == ST_OK) st = comm_agree(c, ST_OK);
    comm_close(&g);
    return st;
}

/* ---- groups ---------------------------------------------------------------- */

static int colour_of(const struct comm_random_case *t, int round, int rank)
{
    uint64_t s = t->seed + (uint64_t)(round * 64 + rank) * 7919;
    return rng_below(&s, 4) - 1;
}

/* The group is the one that comm.h promises. */
static status look(const struct comm *world, const struct comm *g, const struct comm_random_case *t,
                   int round)
{
    int const mine = colour_of(t, round, world->rank);
    int size = 0, rank = 0;

    if (!g != (mine < 0)) return fail(ST_MISMATCH, "colour %d, group %p", mine, (const void *)g);
    for (int r = 0; r < world->size; r++)
        if (colour_of(t, round, r) == mine) {
            if (g && g->node[size] != world->node[r])
                return fail(ST_MISMATCH, "rank %d is on another node", r);
            rank += r < world->rank;
            size++;
        }
    if (g && (g->size != size || g->rank != rank || g->world_rank != world->world_rank ||
              g->deadline_s != world->deadline_s)) /* NOLINT: the same number, not near it */
        return fail(ST_MISMATCH, "rank %d of %d, world rank %d; not %d of %d, %d", g->rank, g->size,
                    g->world_rank, rank, size, world->world_rank);
    return ST_OK;
}

/* Messages of the group while its members also use the world and a group of the group. */
static status use(struct comm *g, struct comm_random_case *t)
{
    struct comm *pair = NULL;
    struct comm_random_case small = { .seed = t->seed + (uint64_t)g->size, .haste = 6 * t->haste };
    status st = ST_OK;

    TRY_OUT(comm_split(g, g->rank / 2, &pair));
    TRY_OUT(check_exchange(g, &small));
    for (int i = 0; i < 5; i++) {
        TRY_OUT(check_ring(pair));
        TRY_OUT(check_ring(g));
        TRY_OUT(comm_agree(g, ST_OK));
    }
    if (comm_aborted(pair)) st = fail(ST_MISMATCH, "nobody aborted");
out:
    comm_close(&pair);
    return st;
}

status check_groups(struct comm *c, void *drawn)
{
    struct comm_random_case *const t = drawn;
    status st = ST_OK;

    for (int round = 0; round < 6 / t->haste + 1 && st == ST_OK; round++) {
        struct comm *g = NULL;
        TRY(comm_split(c, colour_of(t, round, c->rank), &g));
        st = look(c, g, t, round);
        if (st == ST_OK && g) st = use(g, t);
        if (st == ST_OK) st = check_ring(c);
        comm_close(&g);
    }
    return st;
}

/* ---- two threads of a rank --------------------------------------------------- */

struct lane {
    struct comm *world, *group;
    struct comm_random_case *drawn;
};

static status drive_lane(void *arg)
{
    struct lane *const l = arg;
    struct comm_control control = { .kind = 7 };
    int from = 0;

    for (int i = 0; i < 60 / l->drawn->haste; i++) {
        TRY(check_ring(l->group));
        TRY(comm_agree(l->group, ST_OK));
        TRY(comm_send_control(l->world, l->world->rank, &control));
        if (comm_stopped(l->world)) return fail(ST_MISMATCH, "nobody said stop");
    }
    while (comm_poll_control(l->world, &control, &from))
        if (control.kind != 7 || from != l->world->rank)
            return fail(ST_MISMATCH, "another's control message");
    return ST_OK;
}

/* Each with a group of its own, in opposite order of the ranks. */
status check_two_threads(struct comm *c, void *drawn)
{
    struct lane a = { .world = c, .drawn = drawn }, b = a;
    struct task other = { 0 };
    status st = ST_OK;

    TRY_OUT(comm_split(c, 0, &a.group));
    TRY_OUT(comm_split(c, 1, &b.group));
    TRY_OUT(task_start(&other, "lane", -1, drive_lane, &b));
    st = task_join(&other, drive_lane(&a));
    if (st == ST_OK) st = comm_agree(c, ST_OK);
out:
    comm_close(&a.group);
    comm_close(&b.group);
    return st;
}
