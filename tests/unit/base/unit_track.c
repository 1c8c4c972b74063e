/* unit_track.c - tracks, the trace they write, the watchdog, the queue between threads. */
#include "tests/support/unit.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/slot_queue.h"
#include "base/watchdog.h"

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static char path[] = "/tmp/unit_track.XXXXXX";

static void pause_ms(int ms)
{
    struct timespec const t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };
    nanosleep(&t, NULL);
}

static int make_file(void **state)
{
    (void)state;
    int const fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static struct trace *open_trace(int rank)
{
    struct trace *t;

    assert_int_equal(trace_open(&t, &(struct trace_config){ .path = path,
                                                            .rank = rank,
                                                            .name = "rank",
                                                            .start = trace_epoch() }),
                     ST_OK);
    return t;
}

/* The file as JSON, with `more` behind it. */
static json_t *load(const char *more)
{
    char *text;
    size_t len;

    assert_int_equal(file_read(path, 1 << 24, &text, &len), ST_OK);
    text = realloc(text, len + strlen(more) + 1);
    assert_non_null(text);
    memcpy(text + len, more, strlen(more) + 1);
    json_t *const root = json_loads(text, 0, NULL);
    free(text);
    return root;
}

static int events(const json_t *root, const char *ph)
{
    const json_t *e;
    size_t i;
    int n = 0;

    json_array_foreach(root, i, e) n += !strcmp(json_string_value(json_object_get(e, "ph")), ph);
    return n;
}

static void work(struct track *t, int spans)
{
    for (int i = 0; i < spans; i++) {
        struct track_at const at = { .clip = 3, .block = i, .stage = i % 2, .layer = 7 };
        track_begin(t, TRACK_COMPUTE, at);
        track_arrow(t, i % 2, at);
        track_end(t);
        track_begin(t, TRACK_EXCHANGE, TRACK_NOWHERE);
        track_end(t);
        track_lap(t);
    }
}

/* Two ranks write side by side; the array is whole JSON after a clean end. */
static void a_trace_is_json(void **state)
{
    struct trace *trace[2];
    struct track *track[2];
    enum { SPANS = 700 }; /* more than one buffer */

    (void)state;
    assert_int_equal(trace_create(path), ST_OK);
    for (int r = 0; r < 2; r++) {
        trace[r] = open_trace(r);
        assert_int_equal(track_open(&track[r], trace[r], TRACK_ROW_LINE, "line"), ST_OK);
    }
    for (int i = 0; i < SPANS; i += 2)
        for (int r = 0; r < 2; r++) work(track[r], 2);
    trace_counter(trace[0], "queue", 2);
    trace_flush(trace[0]);
    json_t *root = load("{}]"); /* as a killed run leaves it */
    assert_non_null(root);
    json_decref(root);
    for (int r = 1; r >= 0; r--) {
        track_close(&track[r]);
        trace_close(&trace[r], r == 0);
    }
    root = load("");
    assert_non_null(root);
    assert_int_equal(events(root, "X"), 2 * 2 * SPANS);
    assert_int_equal(events(root, "s"), SPANS);
    assert_int_equal(events(root, "f"), SPANS);
    assert_int_equal(events(root, "C"), 1);
    json_decref(root);
}

static void a_track_accounts(void **state)
{
    struct track *t;
    char words[TRACK_TEXT_BYTES];

    (void)state;
    assert_int_equal(track_open(&t, NULL, TRACK_ROW_LINE, "line"), ST_OK);
    track_begin(t, TRACK_COMPUTE,
                (struct track_at){ .clip = 1, .block = 2, .stage = 4, .layer = 9 });
    pause_ms(30);
    assert_string_equal(track_words(track_state(t), words),
                        "compute, clip 1, block 2, stage 4, layer 9");
    track_end(t);
    assert_true(track_seconds(t, TRACK_COMPUTE, 4) >= 0.03);
    assert_true(track_seconds(t, TRACK_COMPUTE, 3) == 0);
    assert_true(track_seconds(t, TRACK_COMPUTE, -1) == track_seconds(t, TRACK_COMPUTE, 4));
    assert_true(track_seconds(t, TRACK_EXCHANGE, -1) == 0);

    /* Patience: as told, until laps say better. */
    assert_true(track_patience(t, 100, 0.01) == 100);
    for (int i = 0; i < 5; i++) {
        pause_ms(20);
        track_lap(t);
    }
    double const patience = track_patience(t, 100, 0.01);
    assert_true(patience >= 16 * 0.02 && patience < 50);
    assert_true(track_patience(t, 100, 60) == 60);
    track_begin(NULL, TRACK_DECODE, TRACK_NOWHERE);
    track_end(NULL);
    track_lap(NULL);
    track_close(&t);
    assert_null(t);
}

/* Between passes the last clip and block are what tells where it is. */
static void a_track_tells_where_it_was(void **state)
{
    char words[TRACK_TEXT_BYTES];
    struct track *t;

    (void)state;
    assert_int_equal(track_open(&t, NULL, TRACK_ROW_LINE, "line"), ST_OK);
    track_begin(t, TRACK_LOAD, TRACK_NOWHERE);
    assert_string_equal(track_words(track_state(t), words), "load");
    track_end(t);
    track_begin(t, TRACK_COMPUTE,
                (struct track_at){ .clip = 3, .stage = 2, .layer = 1, .block = 7 });
    track_end(t);
    track_begin(t, TRACK_HAND_OVER, TRACK_NOWHERE);
    assert_string_equal(track_words(track_state(t), words), "hand-over, clip 3, block 7");
    track_end(t);
    assert_string_equal(track_words(track_state(t), words), "after hand-over, clip 3, block 7");
    track_close(&t);
}

/* Until the thread has had a processor for `ms`, as far as it can tell. */
static void work_ms(int ms)
{
    double const end = clock_thread_seconds() + 1e-3 * ms;
    while (clock_thread_seconds() < end) {
    }
}

/* Who waits takes time, and no processor. */
static void a_track_accounts_processors(void **state)
{
    struct track_at const at = { .clip = 0, .block = 0, .stage = 1, .layer = 0 };
    struct track *t;

    (void)state;
    assert_int_equal(track_open(&t, NULL, TRACK_ROW_LINE, "line"), ST_OK);
    track_begin(t, TRACK_COMPUTE, at);
    work_ms(20);
    track_end(t);
    work_ms(20); /* of nobody */
    track_begin(t, TRACK_EXCHANGE, at);
    pause_ms(40);
    track_end(t);
    double const computes = track_processor(t, TRACK_COMPUTE, 1);
    assert_true(computes >= 0.020 && computes < 0.035);
    assert_true(computes <= track_seconds(t, TRACK_COMPUTE, 1) + 1e-3);
    assert_true(track_processor(t, TRACK_COMPUTE, -1) == computes);
    assert_true(track_processor(t, TRACK_COMPUTE, 0) == 0);
    assert_true(track_processor(t, TRACK_EXCHANGE, 1) < 0.010);
    assert_true(track_seconds(t, TRACK_EXCHANGE, 1) >= 0.040);
    track_close(&t);
}

static atomic_int barks;

static void bark(void *arg, const struct track *t, double seconds)
{
    (void)arg;
    if (track_idle(t) > 0 && seconds > 0) atomic_fetch_add(&barks, 1);
}

/* What a thread waited for queues and for work is no part of its laps. */
static void laps_are_without_waits(void **state)
{
    static enum track_what const wait[] = { TRACK_QUEUE, TRACK_IDLE };
    struct track *t;

    (void)state;
    for (int i = 0; i < COUNT_OF(wait); i++) {
        assert_int_equal(track_open(&t, NULL, TRACK_ROW_LINE, "line"), ST_OK);
        for (int lap = 0; lap < 3; lap++) {
            track_begin(t, wait[i], TRACK_NOWHERE);
            pause_ms(100);
            track_end(t);
            track_lap(t);
        }
        double const waited = track_seconds(t, wait[i], -1);
        assert_true(waited > 0.29);
        assert_true(track_patience(t, 0, 0) < 16 * waited / 3);
        track_close(&t);
    }
}

/* A track that stands still is reported once; one that moves is not. */
static void a_watchdog_barks(void **state)
{
    struct watchdog_config const c = { .expired = bark };
    struct track *still, *moves;
    struct watchdog *w;

    (void)state;
    assert_int_equal(track_open(&still, NULL, TRACK_ROW_LINE, "line"), ST_OK);
    assert_int_equal(track_open(&moves, NULL, TRACK_ROW_LINE, "line"), ST_OK);
    assert_int_equal(watchdog_open(&w, &c), ST_OK);
    watchdog_add(w, moves, 1, 1);
    for (int i = 0; i < 20; i++) {
        pause_ms(100);
        track_lap(moves);
    }
    assert_int_equal(atomic_load(&barks), 0);
    watchdog_add(w, still, 1, 1); /* has been still for two seconds, but nobody asked */
    for (int i = 0; i < 4; i++) {
        pause_ms(100);
        track_lap(moves);
    }
    assert_int_equal(atomic_load(&barks), 0);
    track_begin(still, TRACK_QUEUE, TRACK_NOWHERE); /* a wait is not its business */
    for (int i = 0; i < 15; i++) {
        pause_ms(100);
        track_lap(moves);
    }
    assert_int_equal(atomic_load(&barks), 0);
    track_end(still);
    for (int i = 0; i < 30 && !atomic_load(&barks); i++) {
        pause_ms(100);
        track_lap(moves);
    }
    assert_int_equal(atomic_load(&barks), 1);
    watchdog_drop(w, still);
    watchdog_drop(w, moves);
    watchdog_close(&w);
    track_close(&still);
    track_close(&moves);
}

enum { ITEMS = 1000, STOP_AFTER = 10 };

static void *take_all(void *arg)
{
    struct slot_queue *const q = arg;
    const int *item;
    intptr_t sum = 0;

    while ((item = slot_queue_peek(q))) {
        sum += *item;
        slot_queue_pop(q);
    }
    return (void *)sum;
}

static void *take_some(void *arg)
{
    struct slot_queue *const q = arg;

    for (int i = 0; i < STOP_AFTER && slot_queue_peek(q); i++) slot_queue_pop(q);
    slot_queue_stop(q);
    return NULL;
}

static int fill(struct slot_queue *q)
{
    int i = 0;

    for (; i < ITEMS; i++) {
        int *const room = slot_queue_reserve(q);
        if (!room) break;
        *room = i;
        slot_queue_push(q);
    }
    slot_queue_end(q);
    return i;
}

static void a_queue_ends_both_ways(void **state)
{
    struct slot_queue *q;
    pthread_t taker;
    void *sum;

    (void)state;
    assert_int_equal(slot_queue_open(&q, 3, sizeof(int)), ST_OK);
    assert_int_equal(pthread_create(&taker, NULL, take_all, q), 0);
    assert_int_equal(fill(q), ITEMS);
    pthread_join(taker, &sum);
    assert_int_equal((intptr_t)sum, ITEMS * (ITEMS - 1) / 2);
    slot_queue_close(&q);

    assert_int_equal(slot_queue_open(&q, 3, sizeof(int)), ST_OK);
    assert_int_equal(pthread_create(&taker, NULL, take_some, q), 0);
    int const filled = fill(q);
    assert_in_range(filled, STOP_AFTER, STOP_AFTER + 3);
    pthread_join(taker, NULL);
    slot_queue_close(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trace_is_json),
        cmocka_unit_test(a_track_accounts),
        cmocka_unit_test(a_track_tells_where_it_was),
        cmocka_unit_test(a_track_accounts_processors),
        cmocka_unit_test(laps_are_without_waits),
        cmocka_unit_test(a_watchdog_barks),
        cmocka_unit_test(a_queue_ends_both_ways),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
