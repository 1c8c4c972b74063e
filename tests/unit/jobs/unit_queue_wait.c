/*
 * unit_queue_wait.c - what wakes an idle world, and what does not, and two that find a third one
 * dead at once; on the store of QUEUE_TEST_URL, else on SQLite.
 */
#include "tests/support/unit.h"

#include "jobs/queue/queue.h"
#include "tests/support/queue_sql.h"

#include <pthread.h>
#include <string.h>

enum { WORLDS = 2, LEASE = 60000000 /* ms */, LONG = 5000, SHORT = 60 /* ms */ };
static struct queue *world[WORLDS], *admin;
static struct queue_world about[WORLDS];

static int begin(void **state)
{
    (void)state;
    queue_sql_reset();
    assert_int_equal(queue_open(&admin, queue_sql_url(), true), QUEUE_OK);
    for (int i = 0; i < WORLDS; i++) {
        about[i] = (struct queue_world){ .host = i ? "h-b" : "h-a",
                                         .place = "",
                                         .nonce = i ? "b" : "a",
                                         .launcher = "",
                                         .mib = 1000,
                                         .lease_ms = LEASE };
        assert_int_equal(queue_open(&world[i], queue_sql_url(), false), QUEUE_OK);
        assert_int_equal(queue_join(world[i], &about[i]), QUEUE_OK);
    }
    return 0;
}

static int finish(void **state)
{
    (void)state;
    for (int i = 0; i < WORLDS; i++) queue_close(&world[i]);
    queue_close(&admin);
    return 0;
}

static void fill_clip(void *arg, int64_t i, struct queue_new_clip *c)
{
    (void)arg;
    *c = (struct queue_new_clip){ .task = i ? "task-1" : "task-0",
                                  .folder = i ? "/out/1" : "/out/0",
                                  .values = "{}",
                                  .blocks = 4,
                                  .pictures = 45,
                                  .video_ms = 2812 };
}

static void submit_job(void)
{
    struct queue_job const job = { .uid = "new-00000000",
                                   .name = "new",
                                   .owner = "",
                                   .group = "g",
                                   .spec = "",
                                   .priority = 50,
                                   .clips = 2,
                                   .max_failed = -1,
                                   .budget_error = 3,
                                   .budget_crash = 5,
                                   .budget_preempt = 20,
                                   .backoff_ms = 50000 };
    int64_t id;
    bool fresh;

    assert_int_equal(queue_submit(admin, &job, fill_clip, NULL, &id, &fresh), QUEUE_OK);
}

static bool hears(int w, int ms)
{
    bool news;

    assert_int_equal(queue_wait(world[w], ms, &news), QUEUE_OK);
    return news;
}

/* How many it holds then; the first of them. */
static int claim(int w, int hold, struct queue_clip *first)
{
    struct queue_clip mine[QUEUE_HOLDS] = { { 0 } };
    enum queue_claimed what;
    int n = 0;

    assert_int_equal(queue_claim(world[w], "", hold, mine, &n, &what), QUEUE_OK);
    for (int i = 1; i < n; i++) queue_clip_free(&mine[i]);
    if (n && first) *first = mine[0];
    else if (n) queue_clip_free(&mine[0]);
    return n;
}

static void beat(int w)
{
    bool drain;
    assert_int_equal(queue_beat(world[w], NULL, 0, &drain), QUEUE_OK);
}

/* Two worlds with nothing to do: another's beat or vain question wakes neither, or they would keep
 * one another awake. */
static void idle_worlds_sleep(void **state)
{
    (void)state;
    for (int i = 0; i < WORLDS; i++) (void)hears(i, 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(claim(0, 1, NULL), 0);
        beat(0);
        assert_false(hears(1, SHORT));
        assert_false(hears(0, SHORT)); /* nor one's own */
        assert_int_equal(claim(1, 1, NULL), 0);
    }
}

/* What there is to do does: a job, a clip that another hands back, an order. PostgreSQL tells
 * nobody of clips that are handed back: those who are idle ask now and then. */
static void work_wakes(void **state)
{
    bool const tells_of_clips = strncmp(queue_sql_url(), "sqlite:", 7) == 0;
    struct queue_clip first;
    int64_t changed;

    (void)state;
    for (int i = 0; i < WORLDS; i++) (void)hears(i, 0);
    submit_job();
    assert_true(hears(0, LONG));
    assert_true(hears(1, LONG));
    assert_false(hears(1, SHORT));
    assert_int_equal(claim(0, 2, &first), 2);
    assert_false(hears(0, SHORT));
    (void)hears(1, SHORT);
    assert_int_equal(claim(1, 1, NULL), 0);
    assert_int_equal(queue_end(world[0], &first, QUEUE_END_PREEMPT, ""), QUEUE_OK);
    queue_clip_free(&first);
    if (tells_of_clips) assert_true(hears(1, LONG));
    assert_int_equal(queue_control(admin, QUEUE_DO_HOLD, 1, 0, "test", &changed), QUEUE_OK);
    assert_true(hears(1, LONG));
}

struct reaper {
    struct queue *q;
    pthread_barrier_t *begin;
    enum queue_answer answer;
    int held;
};

static void *claim_two(void *arg)
{
    struct reaper *const r = arg;
    struct queue_clip mine[QUEUE_HOLDS];
    enum queue_claimed what;

    pthread_barrier_wait(r->begin);
    r->answer = queue_claim(r->q, "", 2, mine, &r->held, &what);
    for (int i = 0; i < r->held; i++) queue_clip_free(&mine[i]);
    return NULL;
}

/* It dies once: each of its clips is charged once, and has one heir. */
static void two_reap_at_once(void **state)
{
    struct queue_world third = about[0];
    struct queue_clip mine[QUEUE_HOLDS];
    pthread_barrier_t together;
    struct reaper r[WORLDS];
    pthread_t thread[WORLDS];
    enum queue_claimed what;
    struct queue *q;
    int n;

    (void)state;
    third.nonce = third.host = "third";
    third.lease_ms = 1000000;
    submit_job();
    assert_int_equal(queue_open(&q, queue_sql_url(), false), QUEUE_OK);
    assert_int_equal(queue_join(q, &third), QUEUE_OK);
    assert_int_equal(queue_claim(q, "", 2, mine, &n, &what), QUEUE_OK);
    assert_int_equal(n, 2);
    for (int i = 0; i < n; i++) queue_clip_free(&mine[i]);
    queue_sql_pass(2000000);
    assert_int_equal(pthread_barrier_init(&together, NULL, WORLDS), 0);
    for (int i = 0; i < WORLDS; i++) {
        r[i] = (struct reaper){ .q = world[i], .begin = &together };
        assert_int_equal(pthread_create(&thread[i], NULL, claim_two, &r[i]), 0);
    }
    for (int i = 0; i < WORLDS; i++) pthread_join(thread[i], NULL);
    pthread_barrier_destroy(&together);
    for (int i = 0; i < WORLDS; i++) assert_int_equal(r[i].answer, QUEUE_OK);
    assert_string_equal(queue_sql("SELECT min(crashes) + max(crashes) FROM clips"), "2");
    assert_string_equal(queue_sql("SELECT count(*) FROM attempts WHERE class = 'crash'"), "2");
    queue_sql_pass(1000000); /* they are tried again after a while */
    assert_int_equal(claim(0, 1, NULL) + claim(1, 1, NULL), 2);
    queue_close(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(idle_worlds_sleep, begin, finish),
        cmocka_unit_test_setup_teardown(work_wakes, begin, finish),
        cmocka_unit_test_setup_teardown(two_reap_at_once, begin, finish),
    };
    int const failed = cmocka_run_group_tests_name("unit_queue_wait", tests, NULL, NULL);

    queue_sql_end();
    return failed;
}
