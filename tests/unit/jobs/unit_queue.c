/*
 * unit_queue.c - the queue's rules one by one, worlds played by hand; on the store of
 * QUEUE_TEST_URL, else on SQLite.
 */
#include "tests/support/unit.h"

#include "base/strbuf.h"
#include "jobs/queue/queue_internal.h"
#include "tests/support/queue_sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Times are long, and passed by turning the clock: a machine may be slow. */
enum { WORLDS = 16, LEASE = 60000000 /* ms */ };

/* A world played by hand: it forgets what it holds and reads all of it from the queue. */
struct player {
    char name[16], host[16];
    int lease_ms, mib;
    struct queue_world w;
    struct queue *q;
};
static struct player players[WORLDS];
static int playing;
static struct queue *admin;
static char said[512];

static int begin(void **state)
{
    (void)state;
    queue_sql_reset();
    playing = 0;
    assert_int_equal(queue_open(&admin, queue_sql_url(), true), QUEUE_OK);
    return 0;
}

static int finish(void **state)
{
    (void)state;
    for (int i = 0; i < playing; i++) queue_close(&players[i].q);
    queue_close(&admin);
    return 0;
}

/* Made at its first word: on a host of its own, or as the test has set up. */
static struct player *find_player(const char *name)
{
    struct player *p = players;

    for (int i = 0; i < playing; i++, p++)
        if (!strcmp(p->name, name)) return p;
    assert_true(playing < WORLDS);
    playing++;
    *p = (struct player){ .lease_ms = LEASE, .mib = 1000 };
    snprintf(p->name, sizeof p->name, "%s", name);
    snprintf(p->host, sizeof p->host, "h-%s", name);
    return p;
}

static struct queue *as(const char *name)
{
    struct player *const p = find_player(name);

    if (p->q) return p->q;
    p->w = (struct queue_world){ .host = p->host,
                                 .place = "",
                                 .nonce = p->name,
                                 .launcher = "",
                                 .mib = p->mib,
                                 .lease_ms = p->lease_ms };
    assert_int_equal(queue_open(&p->q, queue_sql_url(), false), QUEUE_OK);
    assert_int_equal(queue_join(p->q, &p->w), QUEUE_OK);
    return p->q;
}

/* "claimed 2/0/1 2/1/1!": what the world was told, and job/clip/attempt of all that it holds,
 * with ! where a person wants it stopped. */
static const char *claim(const char *name, const char *group, int hold)
{
    static const char *const word[] = { "claimed", "empty", "later", "other", "drain", "blocked" };
    static struct queue_clip mine[QUEUE_HOLDS];
    enum queue_claimed what;
    int n = 0, at;
    enum queue_answer const a = queue_claim(as(name), group, hold, mine, &n, &what);

    if (a != QUEUE_OK) return a == QUEUE_LOST ? "lost" : queue_error(as(name));
    at = snprintf(said, sizeof said, "%s", word[what]);
    for (int i = 0; i < n; i++) {
        at += snprintf(said + at, sizeof said - (size_t)at, " %lld/%lld/%lld%s",
                       (long long)mine[i].job, (long long)mine[i].index, (long long)mine[i].attempt,
                       mine[i].stop ? "!" : "");
        queue_clip_free(&mine[i]);
    }
    return said;
}

/* A clip as the test names it: job/clip/attempt, and blocks done. */
#define CLIP(j, i, a, b)                                                                           \
    ((struct queue_clip){ .job = (j), .index = (i), .attempt = (a), .blocks_done = (b) })

static enum queue_answer end_clip(const char *name, struct queue_clip c, enum queue_end how)
{
    return queue_end(as(name), &c, how, "said by hand");
}

static enum queue_answer beat(const char *name)
{
    bool drain;
    return queue_beat(as(name), NULL, 0, &drain);
}

static int64_t order(enum queue_verb verb, int64_t job, int64_t arg)
{
    int64_t changed;

    assert_int_equal(queue_control(admin, verb, job, arg, "test", &changed), QUEUE_OK);
    return changed;
}

/* ---- jobs ---- */

static void fill_clip(void *arg, int64_t i, struct queue_new_clip *c)
{
    static char task[QUEUE_TASK], dir[256];

    snprintf(task, sizeof task, "%016llx", (unsigned long long)i);
    snprintf(dir, sizeof dir, "/out/%s-%05lld", (const char *)arg, (long long)i);
    *c = (struct queue_new_clip){
        .task = task, .folder = dir, .values = "{}", .blocks = 4, .pictures = 45, .video_ms = 3000
    };
}

static struct queue_job job_of(const char *name, int64_t clips, int64_t priority, const char *group)
{
    static char uid[8][80];
    static int at;
    char *const u = uid[at++ % 8];

    snprintf(u, sizeof uid[0], "%s-00000001", name);
    return (struct queue_job){ .uid = u,
                               .name = name,
                               .owner = "test",
                               .group = group,
                               .spec = "spec",
                               .priority = priority,
                               .clips = clips,
                               .max_failed = -1,
                               .budget_error = 3,
                               .budget_crash = 5,
                               .budget_preempt = 20,
                               .backoff_ms = 50000 };
}

static int64_t submit(struct queue_job job)
{
    int64_t id;
    bool fresh;

    assert_int_equal(queue_submit(admin, &job, fill_clip, (void *)(uintptr_t)job.name, &id, &fresh),
                     QUEUE_OK);
    assert_true(fresh);
    return id;
}

#define is assert_string_equal

/* ---- the rules ---- */

static void priority_then_group_then_owner_then_first_come(void **state)
{
    (void)state;
    submit(job_of("low", 4, 40, "g1"));
    submit(job_of("mid", 4, 50, "g2"));
    submit(job_of("other", 4, 50, "g1"));
    is(claim("A", "", 2), "claimed 2/0/1 2/1/1");
    is(claim("A", "", 2), "claimed 2/0/1 2/1/1"); /* asked again: nothing more */
    is(claim("B", "g1", 1), "claimed 3/0/1");     /* what is loaded, at equal priority */
    is(claim("C", "", 1), "claimed 2/2/1");
    submit(job_of("high", 2, 90, "g9"));
    is(claim("B", "g1", 2), "other 3/0/1"); /* holds a clip: the line has to drain first */
    assert_int_equal(end_clip("B", CLIP(3, 0, 1, 4), QUEUE_END_DONE), QUEUE_OK);
    assert_int_equal(end_clip("B", CLIP(3, 0, 1, 4), QUEUE_END_DONE), QUEUE_OK); /* said twice */
    is(claim("B", "g1", 2), "claimed 4/0/1 4/1/1");
    struct queue_job theirs = job_of("theirs", 9, 50, "g1");
    theirs.owner = "another"; /* who has nothing in work: before older jobs, up to as many clips */
    submit(theirs);
    is(claim("D", "", 5), "claimed 5/0/1 5/1/1 5/2/1 5/3/1 5/4/1");
    is(claim("E", "", 1), "claimed 2/3/1"); /* five each: the older job */
}

static void an_end_counts_once_and_from_the_holder(void **state)
{
    (void)state;
    submit(job_of("mid", 4, 50, "g"));
    is(claim("A", "", 2), "claimed 1/0/1 1/1/1");
    as("B");
    assert_int_equal(end_clip("B", CLIP(1, 0, 1, 0), QUEUE_END_ERROR), QUEUE_LOST);
    assert_int_equal(end_clip("A", CLIP(1, 0, 0, 0), QUEUE_END_ERROR), QUEUE_LOST);
    assert_int_equal(end_clip("A", CLIP(1, 0, 1, 2), QUEUE_END_ERROR), QUEUE_OK);
    assert_int_equal(end_clip("A", CLIP(1, 0, 1, 2), QUEUE_END_ERROR), QUEUE_OK);
    is(queue_sql("SELECT errors, crashes, state FROM clips WHERE job = 1 AND idx = 0"), "1|0|0");
    queue_sql_pass(300000);
    is(claim("A", "g", 2), "claimed 1/1/1 1/2/1"); /* not here again while others are there */
    is(claim("B", "g", 1), "claimed 1/0/2");
    assert_int_equal(end_clip("B", CLIP(1, 0, 2, 0), QUEUE_END_SPEC), QUEUE_OK);
    is(queue_sql("SELECT state FROM clips WHERE job = 1 AND idx = 0"), "3"); /* at once */
    assert_int_equal(end_clip("A", CLIP(1, 1, 1, 1), QUEUE_END_HOST), QUEUE_OK);
    is(queue_sql("SELECT errors, crashes, preempts, state FROM clips WHERE job = 1 AND idx = 1"),
       "0|0|0|0");
}

static void a_lone_world_tries_again_itself(void **state)
{
    (void)state;
    submit(job_of("mid", 1, 50, "g"));
    is(claim("A", "", 2), "claimed 1/0/1");
    assert_int_equal(end_clip("A", CLIP(1, 0, 1, 2), QUEUE_END_ERROR), QUEUE_OK);
    is(claim("A", "", 2), "later");
    queue_sql_pass(300000);
    is(claim("A", "", 2), "claimed 1/0/2");
    assert_int_equal(end_clip("A", CLIP(1, 0, 2, 2), QUEUE_END_ERROR), QUEUE_OK);
    queue_sql_pass(300000);
    is(claim("A", "", 2), "claimed 1/0/3");
    assert_int_equal(end_clip("A", CLIP(1, 0, 3, 4), QUEUE_END_DONE), QUEUE_OK);
    is(claim("A", "", 2), "empty");
}

static void three_failures_block_a_host(void **state)
{
    (void)state;
    submit(job_of("mid", 4, 50, "g"));
    is(claim("A", "", 3), "claimed 1/0/1 1/1/1 1/2/1");
    assert_int_equal(end_clip("A", CLIP(1, 0, 1, 1), QUEUE_END_ERROR), QUEUE_OK);
    assert_int_equal(end_clip("A", CLIP(1, 1, 1, 1), QUEUE_END_HOST), QUEUE_OK);
    is(queue_sql("SELECT strikes FROM hosts"), "2");
    assert_int_equal(end_clip("A", CLIP(1, 2, 1, 1), QUEUE_END_ERROR), QUEUE_OK);
    is(claim("A", "", 2), "blocked");
    is(claim("D", "", 1), "claimed 1/1/2"); /* host gives back without a wait */
    queue_sql_pass(1800001);
    assert_int_equal(beat("D"), QUEUE_OK);
    is(claim("A", "", 1), "claimed 1/0/2");
}

static void a_clip_no_host_can_have_fails(void **state)
{
    struct queue_job big = job_of("big", 1, 90, "g");

    (void)state;
    submit(job_of("mid", 1, 50, "g"));
    is(claim("A", "", 1), "claimed 1/0/1");
    as("B");
    assert_int_equal(end_clip("A", CLIP(1, 0, 1, -1), QUEUE_END_UNABLE), QUEUE_OK);
    assert_int_equal(end_clip("A", CLIP(1, 0, 1, -1), QUEUE_END_UNABLE), QUEUE_OK); /* again */
    is(queue_sql("SELECT state, errors, crashes, preempts, bad_host FROM clips"), "0|0|0|0|h-A");
    is(claim("B", "", 1), "later");
    queue_sql_pass(60001);
    is(claim("A", "", 1), "later"); /* B is to be asked first */
    is(claim("B", "", 1), "claimed 1/0/2");
    assert_int_equal(end_clip("B", CLIP(1, 0, 2, -1), QUEUE_END_UNABLE), QUEUE_OK);
    assert_int_equal(end_clip("B", CLIP(1, 0, 2, -1), QUEUE_END_UNABLE), QUEUE_OK);
    is(queue_sql("SELECT state FROM clips"), "3");
    is(queue_sql("SELECT class, message FROM attempts ORDER BY attempt"),
       "unable|said by hand,spec|said by hand");
    is(queue_sql("SELECT count(*) FROM hosts"), "0"); /* no strikes */
    big.need_mib = 1000;                              /* too much for C, which is there now */
    submit(big);
    find_player("C")->mib = 999;
    as("C");
    assert_int_equal(queue_leave(as("B")), QUEUE_OK);
    is(claim("A", "", 1), "claimed 2/0/1");
    assert_int_equal(end_clip("A", CLIP(2, 0, 1, -1), QUEUE_END_UNABLE), QUEUE_OK);
    is(queue_sql("SELECT state FROM clips WHERE job = 2"), "3");
}

static void ten_refusals_are_enough(void **state)
{
    char claimed[32];

    (void)state;
    submit(job_of("mid", 1, 50, "g"));
    as("C"); /* never asks */
    for (int i = 1; i <= 10; i++) {
        const char *const who = i % 2 ? "A" : "B", *const other = i % 2 ? "B" : "A";
        snprintf(claimed, sizeof claimed, "claimed 1/0/%d", i);
        is(claim(who, "", 1), claimed);
        assert_int_equal(end_clip(who, CLIP(1, 0, i, -1), QUEUE_END_UNABLE), QUEUE_OK);
        is(queue_sql("SELECT state FROM clips"), i < 10 ? "0" : "3");
        queue_sql_pass(60000 * (i - 1));
        is(claim(other, "", 1), i < 10 ? "later" : "empty");
        queue_sql_pass(60000);
        is(claim(who, "", 1), i < 10 ? "later" : "empty");
    }
}

static void a_preemption_is_charged_to_what_had_begun(void **state)
{
    (void)state;
    submit(job_of("mid", 2, 50, "g"));
    is(claim("B", "", 2), "claimed 1/0/1 1/1/1");
    assert_int_equal(end_clip("B", CLIP(1, 1, 1, -1), QUEUE_END_PREEMPT), QUEUE_OK);
    assert_int_equal(end_clip("B", CLIP(1, 0, 1, 3), QUEUE_END_PREEMPT), QUEUE_OK);
    is(queue_sql("SELECT preempts FROM clips ORDER BY idx"), "1,0");
}

static void budgets_are_exact(void **state)
{
    struct queue_job j = job_of("mid", 1, 50, "g");

    (void)state;
    j.budget_error = 1;
    submit(j);
    is(claim("A", "", 1), "claimed 1/0/1");
    assert_int_equal(end_clip("A", CLIP(1, 0, 1, 0), QUEUE_END_ERROR), QUEUE_OK);
    queue_sql_pass(600000);
    is(claim("A", "", 1), "claimed 1/0/2");
    assert_int_equal(end_clip("A", CLIP(1, 0, 2, 0), QUEUE_END_ERROR), QUEUE_OK);
    is(queue_sql("SELECT state, errors FROM clips"), "3|2");
    is(queue_sql("SELECT outcome FROM jobs"), "3");
}

static void a_person_holds_releases_and_ranks(void **state)
{
    (void)state;
    submit(job_of("one", 2, 50, "g"));
    submit(job_of("two", 2, 40, "g"));
    assert_int_equal(order(QUEUE_DO_HOLD, 1, 0), 1);
    assert_int_equal(order(QUEUE_DO_HOLD, 1, 0), 0); /* it is held */
    is(claim("B", "", 1), "claimed 2/0/1");
    assert_int_equal(order(QUEUE_DO_RELEASE, 1, 0), 1);
    assert_int_equal(order(QUEUE_DO_PRIORITY, 1, 30), 1);
    is(claim("C", "", 1), "claimed 2/1/1");
    is(claim("D", "", 1), "claimed 1/0/1");
    is(queue_sql("SELECT text FROM events WHERE kind = 'control' ORDER BY id"),
       "hold by test,release by test,priority 30 by test");
}

static void a_job_waits_for_another(void **state)
{
    struct queue_after const after = { .job = "first" };
    struct queue_job j = job_of("second", 1, 99, "g"), missing = job_of("third", 1, 99, "g");
    char name[] = "third";
    int64_t id;
    bool fresh;

    (void)state;
    submit(job_of("first", 1, 50, "g"));
    j.after = &after;
    j.afters = 1;
    submit(j);
    is(claim("A", "", 1), "claimed 1/0/1");
    assert_int_equal(end_clip("A", CLIP(1, 0, 1, 0), QUEUE_END_SPEC), QUEUE_OK);
    is(claim("A", "", 1), "empty"); /* it failed: the second waits for it */
    assert_int_equal(order(QUEUE_DO_RETRY, 1, 0), 1);
    is(claim("A", "", 1), "claimed 1/0/2");
    assert_int_equal(end_clip("A", CLIP(1, 0, 2, 0), QUEUE_END_DONE), QUEUE_OK);
    is(claim("A", "", 1), "claimed 2/0/1");
    missing.after = &(struct queue_after){ .job = "nowhere" };
    missing.afters = 1;
    assert_int_equal(queue_submit(admin, &missing, fill_clip, name, &id, &fresh), QUEUE_REFUSED);
    is(queue_error(admin), "after: there is no job nowhere in the queue");
    is(queue_sql("SELECT count(*) FROM jobs"), "2");
}

static void discard_makes_a_clip_again(void **state)
{
    (void)state;
    submit(job_of("one", 1, 50, "g"));
    is(claim("F", "", 1), "claimed 1/0/1");
    assert_int_equal(end_clip("F", CLIP(1, 0, 1, 4), QUEUE_END_DONE), QUEUE_OK);
    is(queue_sql("SELECT outcome FROM jobs"), "2");
    assert_int_equal(order(QUEUE_DO_DISCARD, 1, 0), 1);
    assert_int_equal(end_clip("F", CLIP(1, 0, 1, 4), QUEUE_END_DONE), QUEUE_LOST);
    is(claim("F", "", 1), "claimed 1/0/2");
}

static void cancel_tells_the_world(void **state)
{
    (void)state;
    submit(job_of("one", 2, 50, "g"));
    is(claim("F", "", 1), "claimed 1/0/1");
    assert_int_equal(order(QUEUE_DO_CANCEL, 1, 0), 1);
    is(claim("F", "", 1), "claimed 1/0/1!");
    assert_int_equal(end_clip("F", CLIP(1, 0, 1, 2), QUEUE_END_CANCEL), QUEUE_OK);
    is(queue_sql("SELECT outcome FROM jobs"), "4");
    submit(job_of("two", 2, 50, "g"));
    is(claim("F", "", 1), "claimed 2/0/1");
    assert_int_equal(order(QUEUE_DO_CANCEL_CLIP, 2, 0), 1);
    assert_int_equal(order(QUEUE_DO_CANCEL_CLIP, 2, 1), 1);
    is(claim("F", "", 1), "claimed 2/0/1!");
    assert_int_equal(end_clip("F", CLIP(2, 0, 1, 2), QUEUE_END_PREEMPT), QUEUE_OK);
    is(queue_sql("SELECT state FROM clips WHERE job = 2 ORDER BY idx"), "4,4");
    assert_int_equal(order(QUEUE_DO_RETRY_CLIP, 2, 1), 1);
    is(claim("F", "", 1), "claimed 2/1/1");
}

static void max_worlds_is_exact(void **state)
{
    struct queue_job j = job_of("one", 9, 95, "g");

    (void)state;
    j.max_worlds = 2;
    submit(j);
    submit(job_of("two", 9, 50, "g"));
    is(claim("F", "g", 1), "claimed 1/0/1");
    is(claim("G", "g", 1), "claimed 1/1/1");
    is(claim("H", "", 1), "claimed 2/0/1");
    is(claim("F", "g", 2), "claimed 1/0/1 1/2/1"); /* a world inside may have more */
    assert_int_equal(queue_leave(as("F")), QUEUE_OK);
    is(queue_sql("SELECT count(*) FROM clips WHERE state = 1 AND job = 1"), "1");
}

static void max_failed_gives_up(void **state)
{
    struct queue_job j = job_of("one", 9, 96, "g");

    (void)state;
    j.max_failed = 1;
    submit(j);
    is(claim("I", "g", 5), "claimed 1/0/1 1/1/1 1/2/1 1/3/1 1/4/1");
    assert_int_equal(end_clip("I", CLIP(1, 0, 1, 0), QUEUE_END_SPEC), QUEUE_OK);
    is(queue_sql("SELECT want FROM jobs"), "0");
    assert_int_equal(end_clip("I", CLIP(1, 1, 1, 0), QUEUE_END_SPEC), QUEUE_OK);
    is(queue_sql("SELECT want FROM jobs"), "3");
    assert_int_equal(end_clip("I", CLIP(1, 2, 1, 0), QUEUE_END_CANCEL), QUEUE_OK);
    assert_int_equal(end_clip("I", CLIP(1, 3, 1, 0), QUEUE_END_CANCEL), QUEUE_OK);
    assert_int_equal(end_clip("I", CLIP(1, 4, 1, 0), QUEUE_END_DONE), QUEUE_OK);
    is(queue_sql("SELECT outcome FROM jobs"), "3");
    is(claim("I", "", 1), "empty");
}

static void drain_lets_a_world_finish(void **state)
{
    bool drain;

    (void)state;
    submit(job_of("one", 9, 50, "g"));
    is(claim("I", "", 1), "claimed 1/0/1");
    assert_int_equal(order(QUEUE_DO_DRAIN, 0, 0), 1);
    is(claim("I", "", 4), "drain 1/0/1");
    assert_int_equal(queue_beat(as("I"), NULL, 0, &drain), QUEUE_OK);
    assert_true(drain);
    assert_int_equal(queue_leave(as("I")), QUEUE_OK);
    is(queue_sql("SELECT count(*) FROM clips WHERE state = 1"), "0");
}

static void a_lease_that_ran_out(void **state)
{
    (void)state;
    submit(job_of("lease", 3, 99, "g1"));
    find_player("Z")->lease_ms = find_player("Y")->lease_ms = find_player("X")->lease_ms = 1500000;
    is(claim("Z", "", 1), "claimed 1/0/1");
    is(claim("Y", "", 1), "claimed 1/1/1");
    queue_sql_pass(1000000);
    assert_int_equal(beat("Y"), QUEUE_OK);
    queue_sql_pass(1000000);
    is(claim("Y", "g1", 1), "claimed 1/1/1");
    queue_sql_pass(300000); /* the backoff of what the dead one held */
    is(claim("Y", "g1", 2), "claimed 1/0/2 1/1/1");
    is(queue_sql("SELECT crashes FROM clips WHERE idx = 0"), "1");
    assert_int_equal(end_clip("Z", CLIP(1, 0, 1, 1), QUEUE_END_ERROR), QUEUE_LOST);
    assert_int_equal(end_clip("Z", CLIP(1, 0, 1, 4), QUEUE_END_DONE), QUEUE_OK); /* its folder */
    is(queue_sql("SELECT class FROM attempts WHERE idx = 0 AND attempt = 2"), "overtaken");
    is(claim("Z", "", 1), "lost"); /* gone stays gone */
    is(claim("X", "", 1), "claimed 1/2/1");
    assert_int_equal(beat("Z"), QUEUE_LOST);
}

/* The world's death is charged to what had entered its line, and to all only where nothing had. */
static void a_crash_is_charged_to_what_had_entered(void **state)
{
    static struct queue_clip mine[QUEUE_HOLDS];
    enum queue_claimed what;
    bool drain;
    int n = 0;

    (void)state;
    submit(job_of("poison", 3, 50, "g"));
    assert_int_equal(queue_claim(as("A"), "", 3, mine, &n, &what), QUEUE_OK);
    assert_int_equal(n, 3);
    mine[1].blocks_done = 0;
    assert_int_equal(queue_beat(as("A"), mine, n, &drain), QUEUE_OK);
    as("B");
    queue_sql_pass(LEASE + 1);
    queue_sql("UPDATE workers SET lease_until = 9000000000000000 WHERE nonce = 'B'");
    is(claim("B", "", 1), "claimed 1/0/2");
    is(queue_sql("SELECT crashes FROM clips ORDER BY idx"), "0,1,0");
    for (int i = 0; i < n; i++) queue_clip_free(&mine[i]);
}

static void an_outage_kills_nobody(void **state)
{
    (void)state;
    submit(job_of("one", 3, 99, "g1"));
    find_player("Y")->lease_ms = find_player("X")->lease_ms = 1500000;
    is(claim("Y", "", 1), "claimed 1/0/1");
    is(claim("X", "", 1), "claimed 1/1/1");
    queue_sql_pass(20000000);
    is(claim("Y", "", 1), "claimed 1/0/1");
    assert_int_equal(beat("X"), QUEUE_OK);
    queue_sql_pass(INT64_C(3600000000)); /* the clock jumps */
    is(claim("Y", "", 1), "claimed 1/0/1");
    assert_int_equal(beat("X"), QUEUE_OK);
    is(queue_sql("SELECT max(attempt) FROM clips"), "1");
}

static void a_lone_world_that_dies_again_and_again(void **state)
{
    (void)state;
    submit(job_of("lone", 3, 99, "g1"));
    for (int i = 1; i <= 3; i++) {
        char name[16];
        snprintf(name, sizeof name, "L%d", i);
        find_player(name)->lease_ms = 800000;
    }
    is(claim("L1", "", 1), "claimed 1/0/1");
    queue_sql_pass(1000000);
    is(claim("L2", "", 1), "claimed 1/1/1"); /* the dead one has one lease more */
    queue_sql_pass(1000000);
    is(claim("L3", "", 1), "claimed 1/2/1");
    queue_sql_pass(300000);
    is(claim("L3", "", 2), "claimed 1/0/2 1/2/1"); /* and no other */
}

/* A process of this machine that is gone is dead at once, whatever its lease. */
static void a_dead_neighbour(void **state)
{
    struct player *const p = find_player("A"), *const q = find_player("B");

    (void)state;
    submit(job_of("one", 1, 50, "g"));
    p->w = (struct queue_world){ .host = "here",
                                 .place = "this boot",
                                 .nonce = "A",
                                 .launcher = "",
                                 .pid = 1 << 30,
                                 .pid_start = 7,
                                 .mib = 1000,
                                 .lease_ms = LEASE };
    q->w = p->w;
    q->w.nonce = "B";
    q->w.pid = getpid();
    q->w.pid_start = queue_pid_start(getpid());
    assert_true(q->w.pid_start > 0);
    assert_int_equal(queue_open(&p->q, queue_sql_url(), false), QUEUE_OK);
    assert_int_equal(queue_join(p->q, &p->w), QUEUE_OK);
    is(claim("A", "", 1), "claimed 1/0/1");
    assert_int_equal(queue_open(&q->q, queue_sql_url(), false), QUEUE_OK);
    assert_int_equal(queue_join(q->q, &q->w), QUEUE_OK);
    (void)claim("B", "", 1);
    is(queue_sql("SELECT kind, text FROM events WHERE kind = 'lost'"), "lost|world 1");
    queue_sql_pass(300000);
    is(claim("B", "", 1), "claimed 1/0/2");
}

static void memory_that_a_job_needs(void **state)
{
    struct queue_job j = job_of("large", 1, 90, "g");

    (void)state;
    j.need_mib = 2000;
    submit(j);
    is(claim("A", "", 1), "empty");
}

static void submitting_twice_is_submitting_once(void **state)
{
    struct queue_job const j = job_of("one", 3, 50, "g");
    char name[] = "one";
    int64_t id;
    bool fresh;

    (void)state;
    submit(j);
    assert_int_equal(queue_submit(admin, &j, fill_clip, name, &id, &fresh), QUEUE_OK);
    assert_false(fresh);
    assert_int_equal(id, 1);
    is(queue_sql("SELECT count(*) FROM clips"), "3");
}

/* What a user wrote is text, here and in COPY. */
static const char hostile[] = "'; DROP TABLE clips; --\t\"\\.\n\\N\r $1 \\x41 %s";

static void fill_hostile(void *arg, int64_t i, struct queue_new_clip *c)
{
    (void)arg, (void)i;
    *c = (struct queue_new_clip){ .task = "0", .folder = hostile, .values = hostile, .blocks = 1 };
}

static void expect_hostile(void *arg, const struct queue_clip_status *s)
{
    assert_string_equal(s->folder, hostile);
    assert_string_equal(s->values, hostile);
    ++*(int *)arg;
}

static void expect_owner(void *arg, const struct queue_job_status *s)
{
    assert_string_equal(s->owner, hostile);
    assert_int_equal(s->clips, 2);
    ++*(int *)arg;
}

static void texts_stay_texts(void **state)
{
    struct queue_job j = job_of("one", 2, 50, hostile);
    char long_text[3000];
    int64_t id;
    bool fresh;
    int seen = 0;

    (void)state;
    j.owner = j.spec = hostile;
    assert_int_equal(queue_submit(admin, &j, fill_hostile, NULL, &id, &fresh), QUEUE_OK);
    assert_int_equal(queue_clips(admin, 1, 0, 10, expect_hostile, &seen), QUEUE_OK);
    assert_int_equal(queue_jobs(admin, expect_owner, &seen), QUEUE_OK);
    assert_int_equal(seen, 3);
    is(claim("A", "", 1), "claimed 1/0/1");
    /* a message is cut, between two characters */
    for (size_t i = 0; i + 3 < sizeof long_text; i += 3) memcpy(long_text + i, "\xE2\x82\xAC", 4);
    assert_int_equal(queue_end(as("A"), &CLIP(1, 0, 1, 0), QUEUE_END_ERROR, long_text), QUEUE_OK);
    is(queue_sql("SELECT length(message) FROM attempts"), "333");
}

static void prune_leaves_what_is_needed(void **state)
{
    struct queue_after const after = { .job = "one", .any = true };
    struct queue_job j = job_of("two", 1, 50, "g");

    (void)state;
    submit(job_of("one", 1, 60, "g"));
    j.after = &after;
    j.afters = 1;
    submit(j);
    is(claim("A", "", 1), "claimed 1/0/1");
    assert_int_equal(end_clip("A", CLIP(1, 0, 1, 4), QUEUE_END_DONE), QUEUE_OK);
    queue_sql_pass(10000000);
    assert_int_equal(order(QUEUE_DO_PRUNE, 0, 5000000), 0); /* the second waits for it */
    is(claim("A", "", 1), "claimed 2/0/1");
    assert_int_equal(end_clip("A", CLIP(2, 0, 1, 4), QUEUE_END_DONE), QUEUE_OK);
    assert_int_equal(queue_leave(as("A")), QUEUE_OK);
    assert_int_equal(order(QUEUE_DO_PRUNE, 0, 5000000), 1);
    assert_int_equal(order(QUEUE_DO_PRUNE, 0, 5000000), 0); /* the second ended just now */
    queue_sql_pass(10000000);
    assert_int_equal(order(QUEUE_DO_PRUNE, 0, 5000000), 1);
    assert_int_equal(order(QUEUE_DO_PRUNE, 0, 5000000), 0);
    is(queue_sql("SELECT count(*) FROM clips"), "0");
    is(queue_sql("SELECT count(*) FROM attempts"), "0");
    is(queue_sql("SELECT count(*) FROM workers"), "0");
}

/* Version 1 had no lengths, no time of entry, no index of ends. */
static void an_older_queue_is_brought_up(void **state)
{
    struct queue *q;
    int from;

    (void)state;
    submit(job_of("one", 2, 50, "g"));
    queue_sql("DROP INDEX attempts_ended; ALTER TABLE attempts DROP COLUMN entered; "
              "ALTER TABLE clips DROP COLUMN pictures; ALTER TABLE clips DROP COLUMN video_ms");
    queue_sql("UPDATE meta SET value = '1' WHERE key = 'schema'");
    assert_int_equal(queue_open(&q, queue_sql_url(), false), QUEUE_REFUSED);
    assert_non_null(strstr(queue_error(q), "older version"));
    queue_close(&q);
    for (int version = 1; version <= QUEUE_SCHEMA; version++) {
        assert_int_equal(queue_upgrade(&q, queue_sql_url(), &from), QUEUE_OK);
        assert_int_equal(from, version);
        queue_close(&q);
    }
    is(claim("A", "", 1), "claimed 1/0/1");
    assert_int_equal(end_clip("A", CLIP(1, 0, 1, 4), QUEUE_END_DONE), QUEUE_OK);
    is(queue_sql("SELECT state, pictures, video_ms FROM clips ORDER BY idx"), "2|0|0,0|0|0");
}

static struct strbuf brief;

static void note_brief(void *arg, const struct queue_clip_brief *b)
{
    (void)arg;
    strbuf_addf(&brief, "%s/%lld/%lld %d %lld %s %s %s;", b->uid, (long long)b->index,
                (long long)b->attempt, b->entered > 0, (long long)b->blocks_done, b->end,
                b->message, b->folder);
}

static const char *list(enum queue_answer (*lister)(struct queue *, int, queue_brief_fn, void *),
                        int limit)
{
    strbuf_free(&brief);
    assert_int_equal(lister(admin, limit, note_brief, NULL), QUEUE_OK);
    return brief.s ? brief.s : "";
}

static void note_pace(void *arg, const struct queue_pace *p)
{
    assert_int_equal(p->from % 1000000, 0);
    strbuf_addf(&brief, "%lld %lld;", (long long)p->clips, (long long)p->pictures);
    *(int64_t *)arg = p->from;
}

static void note_owner(void *arg, const struct queue_owner *o)
{
    (void)arg;
    strbuf_addf(&brief, "%s %lld %lld %lld %lld %lld %lld;", o->owner, (long long)o->clips,
                (long long)o->done, (long long)o->failed, (long long)o->ready,
                (long long)o->video_ms, (long long)o->world_ms);
}

static void the_farm_at_a_glance(void **state)
{
    static struct queue_clip mine[QUEUE_HOLDS];
    struct queue_job second = job_of("two", 1, 40, "g");
    enum queue_claimed what;
    int64_t now, last = 0;
    bool drain;
    int n = 0;

    (void)state;
    submit(job_of("one", 5, 50, "g"));
    second.owner = "other";
    submit(second);
    assert_int_equal(queue_claim(as("A"), "", 4, mine, &n, &what), QUEUE_OK);
    is(list(queue_running, 2), "one-00000001/0/1 0 -1   ;one-00000001/1/1 0 -1   ;");
    mine[0].blocks_done = 2;
    assert_int_equal(queue_beat(as("A"), mine, n, &drain), QUEUE_OK);
    is(list(queue_running, 1), "one-00000001/0/1 1 2   ;");
    is(list(queue_failed, 9), "");
    assert_int_equal(end_clip("A", CLIP(1, 1, 1, 1), QUEUE_END_SPEC), QUEUE_OK);
    is(list(queue_failed, 9), "one-00000001/1/1 0 0 spec said by hand ;");
    assert_int_equal(end_clip("A", CLIP(1, 0, 1, 4), QUEUE_END_DONE), QUEUE_OK);
    queue_sql_pass(2000000);
    assert_int_equal(end_clip("A", CLIP(1, 2, 1, 4), QUEUE_END_DONE), QUEUE_OK);
    queue_sql_pass(1);
    assert_int_equal(end_clip("A", CLIP(1, 3, 1, 4), QUEUE_END_DONE), QUEUE_OK);
    is(list(queue_finished, 1), "one-00000001/3/1 0 0   /out/one-00003;");
    assert_int_equal(queue_now(admin, &now), QUEUE_OK);
    strbuf_free(&brief);
    assert_int_equal(queue_pace(admin, 1000000, now - 9000000, note_pace, &last), QUEUE_OK);
    is(brief.s, "1 45;2 90;");
    assert_true(last <= now);
    /* It lived 1,300,000 ms and made 12 blocks for one owner, 1 for the other. */
    assert_int_equal(order(QUEUE_DO_DISCARD, 1, 3), 1);
    is(list(queue_finished, 1), "one-00000001/2/1 0 0   /out/one-00002;");
    queue_sql("UPDATE attempts SET blocks = CASE WHEN idx = 0 THEN 12 ELSE 0 END");
    is(claim("A", "", 9), "claimed 1/3/2 1/4/1");
    assert_int_equal(end_clip("A", CLIP(1, 3, 2, 0), QUEUE_END_PREEMPT), QUEUE_OK);
    assert_int_equal(order(QUEUE_DO_HOLD, 1, 0), 1);
    assert_int_equal(end_clip("A", CLIP(1, 4, 1, 0), QUEUE_END_PREEMPT), QUEUE_OK);
    is(claim("A", "", 9), "claimed 2/0/1");
    queue_sql("UPDATE attempts SET blocks = 1 WHERE job = 2; "
              "UPDATE workers SET joined = seen - 1300000");
    strbuf_free(&brief);
    assert_int_equal(queue_owners(admin, note_owner, NULL), QUEUE_OK);
    is(brief.s, "other 1 0 0 0 0 100000;test 5 2 1 2 6000 1200000;");
    for (int i = 0; i < n; i++) queue_clip_free(&mine[i]);
    strbuf_free(&brief);
}

#define RULE(f) cmocka_unit_test_setup_teardown(f, begin, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(priority_then_group_then_owner_then_first_come),
        RULE(an_end_counts_once_and_from_the_holder),
        RULE(a_lone_world_tries_again_itself),
        RULE(three_failures_block_a_host),
        RULE(a_clip_no_host_can_have_fails),
        RULE(ten_refusals_are_enough),
        RULE(a_preemption_is_charged_to_what_had_begun),
        RULE(budgets_are_exact),
        RULE(a_person_holds_releases_and_ranks),
        RULE(a_job_waits_for_another),
        RULE(discard_makes_a_clip_again),
        RULE(cancel_tells_the_world),
        RULE(max_worlds_is_exact),
        RULE(max_failed_gives_up),
        RULE(drain_lets_a_world_finish),
        RULE(a_lease_that_ran_out),
        RULE(a_crash_is_charged_to_what_had_entered),
        RULE(an_outage_kills_nobody),
        RULE(a_lone_world_that_dies_again_and_again),
        RULE(a_dead_neighbour),
        RULE(memory_that_a_job_needs),
        RULE(submitting_twice_is_submitting_once),
        RULE(texts_stay_texts),
        RULE(prune_leaves_what_is_needed),
        RULE(an_older_queue_is_brought_up),
        RULE(the_farm_at_a_glance),
    };
    int const failed = cmocka_run_group_tests(tests, NULL, NULL);

    queue_sql_end();
    return failed;
}
