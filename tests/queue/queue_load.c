/*
 * queue_load.c - what many worlds and many clips ask of a queue's database, with worlds that are
 * made up: each is a thread with a connection of its own, claims, beats and ends clips as `work`
 * does, and renders nothing. On the store of QUEUE_TEST_URL, else on an SQLite file of its own.
 *
 *   queue_load [WORD=NUMBER...]    words and what stands if one is left out: `settings` below
 *
 * Prints what it measured. Ends with 1 if a clip was given to two worlds at once, a world lost its
 * lease, or the tables do not have what the worlds were told.
 */
#include "base/clock.h"
#include "base/thread.h"
#include "jobs/queue/queue.h"
#include "tests/support/queue_sql.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- what is asked for ---- */

static struct {
    int64_t clips, jobs, done, worlds, seconds, clip_ms, lease_ms, ahead, stagger_ms;
} load = { .clips = 1000, .jobs = 10, .worlds = 4, .seconds = 2, .lease_ms = 60000, .ahead = 2 };

static const struct setting {
    const char *word;
    int64_t *value, most;
    const char *what;
} settings[] = {
    { "clips", &load.clips, 10000000, "in the queue" },
    { "jobs", &load.jobs, 100000, "that these are of" },
    { "done", &load.done, 100, "per cent of the clips that are done before the worlds come" },
    { "worlds", &load.worlds, 4000, "at work; 0: only look" },
    { "seconds", &load.seconds, 3600, "that they are" },
    { "clip-ms", &load.clip_ms, 3600000, "that a clip takes; 0: none, as fast as the database" },
    { "lease-ms", &load.lease_ms, 86400000, "of each world" },
    { "ahead", &load.ahead, 64, "clips held beyond the one in work" },
    { "stagger-ms", &load.stagger_ms, 3600000, "within which the worlds come, evenly" },
};

static int read_settings(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const struct setting *s = settings, *const end = settings + COUNT_OF(settings);
        const char *const is = strchr(argv[i], '=');
        char *rest = NULL;
        size_t const n = is ? (size_t)(is - argv[i]) : 0;

        while (s < end && (strncmp(s->word, argv[i], n) != 0 || s->word[n])) s++;
        int64_t const v = is ? strtoll(is + 1, &rest, 10) : -1;
        if (s < end && is && !*rest && v >= 0 && v <= s->most) {
            *s->value = v;
            continue;
        }
        fprintf(stderr, "queue_load: %s; allowed: WORD=NUMBER\n", argv[i]);
        for (s = settings; s < end; s++)
            fprintf(stderr, "  %-12s %s; %lld\n", s->word, s->what, (long long)*s->value);
        return 2;
    }
    if (load.jobs >= 1 && load.clips >= load.jobs) return 0;
    fprintf(stderr, "queue_load: jobs=%lld; allowed: 1 to as many as clips\n",
            (long long)load.jobs);
    return 2;
}

static void must(struct queue *q, enum queue_answer a, const char *what)
{
    if (a == QUEUE_OK) return;
    fprintf(stderr, "queue_load: %s: %s\n", what, queue_error(q));
    exit(1);
}

/* ---- a queue full of clips ---- */

static int64_t clips_of_job(void) { return load.clips / load.jobs; }

static void make_clip(void *arg, int64_t i, struct queue_new_clip *c)
{
    static char task[QUEUE_TASK], folder[200], values[100];
    int64_t const job = *(int64_t *)arg;

    snprintf(task, sizeof task, "%08llx%08llx", (unsigned long long)job, (unsigned long long)i);
    snprintf(folder, sizeof folder, "/srv/renders/harbour-dawn-%05lld/harbour-dawn-%07lld-0badcafe",
             (long long)job, (long long)i);
    snprintf(values, sizeof values, "{\"seed\": %lld, \"prompt\": %lld}", (long long)i % 100,
             (long long)i / 100);
    *c = (struct queue_new_clip){ task, folder, values, 40, 480, 30000 };
}

/* A job's text is about 2 KB. */
static void submit_jobs(struct queue *q)
{
    char uid[96], name[48], spec[2001];

    memset(spec, '-', sizeof spec - 1);
    spec[sizeof spec - 1] = '\0';
    for (int64_t j = 0; j < load.jobs; j++) {
        int64_t id;
        bool fresh;
        snprintf(name, sizeof name, "harbour-dawn-%05lld", (long long)j);
        snprintf(uid, sizeof uid, "%s-%08llx", name, (unsigned long long)j);
        struct queue_job const job = { .uid = uid,
                                       .name = name,
                                       .owner = j % 2 ? "ada" : "grace",
                                       .group = "tiny/bf16/64x48",
                                       .spec = spec,
                                       .priority = 50,
                                       .clips = clips_of_job(),
                                       .max_failed = -1,
                                       .budget_error = 3,
                                       .budget_crash = 5,
                                       .budget_preempt = 20,
                                       .backoff_ms = 1000 };
        must(q, queue_submit(q, &job, make_clip, &j, &id, &fresh), "submit");
    }
}

/* Clips that were done in the last 30 days, by worlds that have left, an attempt each. */
static void make_history(struct queue *q)
{
    int64_t now;
    char sql[2000];
    int64_t const past = clips_of_job() * load.done / 100;

    if (!past) return;
    must(q, queue_now(q, &now), "now");
    snprintf(
        sql, sizeof sql,
        "INSERT INTO workers (nonce, host, place, pid, pid_start, launcher, mib, state, joined, "
        "seen, lease_until) "
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) "
        "SELECT 'past-' || i, 'host-' || i, '', 1, 1, '', 1000, 1, %lld, %lld, 0 FROM n; "
        "UPDATE clips SET state = 2, attempt = 1 WHERE idx < %lld; "
        "INSERT INTO attempts (job, idx, attempt, worker, host, began, ended, entered, class, "
        "blocks) SELECT job, idx, 1, 1 + idx %% 1000, 'host-' || (1 + idx %% 1000), "
        "%lld + idx * 2592000000 / %lld, %lld + idx * 2592000000 / %lld, 1, 'done', 40 "
        "FROM clips WHERE state = 2;",
        (long long)(now - 2592000000), (long long)now, (long long)past,
        (long long)(now - 2592060000), (long long)past, (long long)(now - 2592000000),
        (long long)past);
    queue_sql(sql);
}

static bool is_server(void) { return strncmp(queue_sql_url(), "sqlite:", 7) != 0; }

static int64_t number_of(const char *sql) { return strtoll(queue_sql(sql), NULL, 10); }

static int64_t bytes_on_disk(void)
{
    static const char pages[] = "SELECT page_count * page_size FROM pragma_page_count(), "
                                "pragma_page_size()";
    return number_of(is_server() ? "SELECT pg_database_size(current_database())" : pages);
}

static void fill_queue(struct queue *q)
{
    double const began = clock_seconds();

    submit_jobs(q);
    double const submitted = clock_seconds();
    make_history(q);
    if (is_server()) queue_sql("VACUUM ANALYZE"); /* as its autovacuum does in time */
    printf("%s: %lld clips of %lld jobs, %lld %% of them done\n",
           is_server() ? "PostgreSQL" : "SQLite", (long long)(clips_of_job() * load.jobs),
           (long long)load.jobs, (long long)load.done);
    printf("  submit      %8.2f s\n", submitted - began);
    printf("  on disk     %8.1f MB\n", (double)bytes_on_disk() / 1e6);
}

/* ---- looking at it ---- */

/* One for all lists: what is read is counted. */
#define COUNTER(name, type)                                                                        \
    static void name(void *arg, const struct type *row)                                            \
    {                                                                                              \
        (void)row;                                                                                 \
        (*(int64_t *)arg)++;                                                                       \
    }
COUNTER(count_job, queue_job_status)
COUNTER(count_clip, queue_clip_status)
COUNTER(count_world, queue_world_status)
COUNTER(count_brief, queue_clip_brief)
COUNTER(count_owner, queue_owner)
COUNTER(count_pace, queue_pace)

static enum queue_answer see_jobs(struct queue *q, void *n) { return queue_jobs(q, count_job, n); }
static enum queue_answer see_clips(struct queue *q, void *n)
{
    return queue_clips(q, 1, clips_of_job() / 2, 100, count_clip, n);
}
static enum queue_answer see_worlds(struct queue *q, void *n)
{
    return queue_worlds(q, false, count_world, n);
}
static enum queue_answer see_running(struct queue *q, void *n)
{
    return queue_running(q, 100, count_brief, n);
}
static enum queue_answer see_failed(struct queue *q, void *n)
{
    return queue_failed(q, 100, count_brief, n);
}
static enum queue_answer see_finished(struct queue *q, void *n)
{
    return queue_finished(q, 100, count_brief, n);
}
static enum queue_answer see_pace(struct queue *q, void *n)
{
    int64_t now;
    must(q, queue_now(q, &now), "now");
    return queue_pace(q, 3600000, now - 86400000, count_pace, n);
}
static enum queue_answer see_owners(struct queue *q, void *n)
{
    return queue_owners(q, count_owner, n);
}

static const struct look {
    const char *what;
    enum queue_answer (*see)(struct queue *q, void *n);
} looks[] = {
    { "jobs", see_jobs },         { "100 clips", see_clips }, { "worlds", see_worlds },
    { "running", see_running },   { "failed", see_failed },   { "finished", see_finished },
    { "24 h by hour", see_pace }, { "by owner", see_owners },
};

static int by_size(const void *a, const void *b)
{
    double const x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void look_at_queue(struct queue *q)
{
    printf("  looking, the median of 5:\n");
    for (int i = 0; i < COUNT_OF(looks); i++) {
        double took[5];
        int64_t rows = 0;
        for (int k = 0; k < COUNT_OF(took); k++) {
            double const began = clock_seconds();
            rows = 0;
            must(q, looks[i].see(q, &rows), looks[i].what);
            took[k] = clock_seconds() - began;
        }
        qsort(took, COUNT_OF(took), sizeof *took, by_size);
        printf("    %-14s %9.1f ms, %lld rows\n", looks[i].what, took[2] * 1e3, (long long)rows);
    }
}

/* One job of the past, then all that speaks of none any more. */
static void prune_queue(struct queue *q)
{
    int64_t const rows = number_of("SELECT max(n_done) FROM jobs WHERE n_ready = 0");

    queue_sql("UPDATE jobs SET closed = 1, outcome = 2 WHERE n_ready = 0 AND n_running = 0 AND id "
              "= (SELECT min(id) FROM jobs)");
    for (int k = 0; k < 2; k++) {
        int64_t changed;
        double const began = clock_seconds();
        must(q, queue_control(q, QUEUE_DO_PRUNE, 0, 1000, "me", &changed), "prune");
        printf("  pruned %lld job of %lld clips in %.0f ms\n", (long long)changed, (long long)rows,
               (clock_seconds() - began) * 1e3);
    }
}

/* ---- the worlds ---- */

enum call { CALL_CLAIM, CALL_BEAT, CALL_END, CALLS };
static const char *const call_name[CALLS] = { "claim", "beat", "end" };

struct times {
    double *s;
    int n, room;
};

struct world {
    struct task task;
    struct queue *q;
    int number;
    char host[32], nonce[64];
    struct queue_world self;
    struct times took[CALLS];
    struct queue_clip mine[QUEUE_HOLDS];
    int n;
    double first; /* when it had its first clip; 0: not yet */
    int64_t ended, down, lost, twice;
};

static double start, finish;
static atomic_int *holder; /* of clip i of job j, at j * clips_of_job() + i: 0 nobody */

static void note_time(struct times *t, double s)
{
    if (t->n == t->room) {
        t->room = t->room ? 2 * t->room : 64;
        t->s = realloc(t->s, (size_t)t->room * sizeof *t->s);
        if (!t->s) abort();
    }
    t->s[t->n++] = s;
}

static void sleep_until(double when)
{
    double const s = (when < finish ? when : finish) - clock_seconds();

    if (s <= 0) return;
    struct timespec const t = { (time_t)s, (long)((s - (double)(time_t)s) * 1e9) };
    nanosleep(&t, NULL);
}

static bool took_call(struct world *w, enum call c, double began, enum queue_answer a)
{
    note_time(&w->took[c], clock_seconds() - began);
    w->down += a == QUEUE_DOWN;
    w->lost += a == QUEUE_LOST;
    if (a == QUEUE_REFUSED) must(w->q, a, call_name[c]);
    return a == QUEUE_OK;
}

static atomic_int *holder_of(const struct queue_clip *c)
{
    return &holder[(c->job - 1) * clips_of_job() + c->index];
}

static void claim_clips(struct world *w)
{
    enum queue_claimed what;
    int const before = w->n;
    double const began = clock_seconds();

    (void)took_call(w, CALL_CLAIM, began,
                    queue_claim(w->q, "", (int)load.ahead + 1, w->mine, &w->n, &what));
    for (int i = before; i < w->n; i++)
        w->twice += atomic_exchange(holder_of(&w->mine[i]), w->number + 1) != 0;
    if (w->n && w->first == 0) w->first = clock_seconds();
}

static void beat(struct world *w)
{
    bool drain;
    double const began = clock_seconds();

    (void)took_call(w, CALL_BEAT, began, queue_beat(w->q, w->mine, w->n, &drain));
}

static void end_clip(struct world *w)
{
    struct queue_clip *const c = &w->mine[0];
    double const began = clock_seconds();

    c->blocks_done = c->blocks;
    atomic_store(holder_of(c), 0);
    if (!took_call(w, CALL_END, began, queue_end(w->q, c, QUEUE_END_DONE, ""))) return;
    w->ended++;
    queue_clip_free(c);
    memmove(c, c + 1, (size_t)(--w->n) * sizeof *c);
}

/* The first of its clips, with a beat when it enters the line and one every quarter of a lease. */
static void render_clip(struct world *w)
{
    double const end = clock_seconds() + (double)load.clip_ms / 1e3;
    double const quarter = (double)load.lease_ms / 4e3;

    w->mine[0].blocks_done = 0;
    for (double next = clock_seconds(); next < end || !w->mine[0].blocks_done; next += quarter) {
        sleep_until(next);
        if (clock_seconds() >= finish) return;
        beat(w);
        w->mine[0].blocks_done++;
    }
    sleep_until(end);
    if (clock_seconds() < finish) end_clip(w);
}

static status live(void *arg)
{
    struct world *const w = arg;

    sleep_until(start + (double)w->number * (double)load.stagger_ms / 1e3 / (double)load.worlds);
    must(w->q, queue_join(w->q, &w->self), "join");
    while (clock_seconds() < finish && !w->lost) {
        claim_clips(w);
        if (w->n) render_clip(w);
        else sleep_until(clock_seconds() + 1);
    }
    return ST_OK;
}

static struct world *connect_worlds(void)
{
    struct world *const all = calloc((size_t)load.worlds, sizeof *all);

    holder = calloc((size_t)(clips_of_job() * load.jobs), sizeof *holder);
    if (!all || !holder) abort();
    for (int i = 0; i < load.worlds; i++) {
        struct world *const w = &all[i];
        w->number = i;
        snprintf(w->host, sizeof w->host, "node-%d", i);
        snprintf(w->nonce, sizeof w->nonce, "load-%d-%d", (int)getpid(), i);
        w->self = (struct queue_world){ .host = w->host,
                                        .place = "",
                                        .nonce = w->nonce,
                                        .launcher = "",
                                        .mib = 100000,
                                        .lease_ms = (int)load.lease_ms };
        must(w->q, queue_open(&w->q, queue_sql_url(), false), "open");
    }
    return all;
}

/* ---- what it came to ---- */

/* Processor seconds that the server's sessions have taken by now. */
static double server_seconds(void)
{
    double ticks = 0;
    char *const pids = strdup(is_server() ? queue_sql("SELECT pid FROM pg_stat_activity") : "");

    for (char *p = pids ? strtok(pids, ",") : NULL; p; p = strtok(NULL, ",")) {
        char path[64], line[1024];
        double user, system;
        snprintf(path, sizeof path, "/proc/%.20s/stat", p);
        FILE *const f = fopen(path, "r");
        const char *const rest = f && fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;
        if (rest && sscanf(rest, ") %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lf %lf", &user,
                           &system) == 2)
            ticks += user + system;
        if (f) fclose(f);
    }
    free(pids);
    return ticks / (double)sysconf(_SC_CLK_TCK);
}

static double log_bytes(void)
{
    return is_server()
               ? (double)number_of("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint")
               : 0;
}

static void print_times(struct world *all, enum call c, double lasted)
{
    struct times t = { 0 };

    for (int i = 0; i < load.worlds; i++)
        for (int k = 0; k < all[i].took[c].n; k++) note_time(&t, all[i].took[c].s[k]);
    if (t.n) {
        qsort(t.s, (size_t)t.n, sizeof *t.s, by_size);
        printf("    %-6s %8d  %8.1f a second  median %7.1f ms  p99 %8.1f ms  longest %8.1f ms\n",
               call_name[c], t.n, t.n / lasted, t.s[t.n / 2] * 1e3,
               t.s[(int)((double)t.n * 0.99)] * 1e3, t.s[t.n - 1] * 1e3);
    }
    free(t.s);
}

static int audit(struct world *all, int64_t done_before)
{
    struct world sum = { 0 };

    for (int i = 0; i < load.worlds; i++) {
        sum.ended += all[i].ended;
        sum.down += all[i].down;
        sum.lost += all[i].lost;
        sum.twice += all[i].twice;
        must(all[i].q, queue_leave(all[i].q), "leave");
        for (int k = 0; k < all[i].n; k++) queue_clip_free(&all[i].mine[k]);
        queue_close(&all[i].q);
        for (int c = 0; c < CALLS; c++) free(all[i].took[c].s);
    }
    int64_t const done = number_of("SELECT count(*) FROM clips WHERE state = 2");
    int64_t const counted = number_of("SELECT sum(n_done) FROM jobs");
    int64_t const told = number_of("SELECT count(*) FROM attempts WHERE class = 'done'");
    int64_t const left = number_of("SELECT count(*) FROM clips WHERE state = 1");
    int64_t const open = number_of("SELECT count(*) FROM attempts WHERE ended = 0");
    int64_t const want = done_before + sum.ended;
    bool const right = done == want && counted == want && told == want && !left && !open &&
                       !sum.twice && !sum.lost;
    printf("  %lld clips ended; no answer in time %lld times, leases lost %lld, given twice %lld; "
           "the tables are %s\n",
           (long long)sum.ended, (long long)sum.down, (long long)sum.lost, (long long)sum.twice,
           right ? "right" : "WRONG");
    return !right;
}

static int run_worlds(void)
{
    int64_t const done = number_of("SELECT count(*) FROM clips WHERE state = 2");
    struct world *const all = connect_worlds();
    double const server = server_seconds(), own = clock_process_seconds(), log = log_bytes();
    double last = 0;

    start = clock_seconds();
    finish = start + (double)load.seconds;
    for (int i = 0; i < load.worlds; i++)
        if (task_start(&all[i].task, "world", -1, live, &all[i]) != ST_OK) abort();
    for (int i = 0; i < load.worlds; i++) (void)task_join(&all[i].task, ST_OK);
    double const lasted = clock_seconds() - start;

    printf("  %lld worlds for %.1f s, a clip takes %lld ms, a lease %lld ms, %lld ahead\n",
           (long long)load.worlds, lasted, (long long)load.clip_ms, (long long)load.lease_ms,
           (long long)load.ahead);
    for (int c = 0; c < CALLS; c++) print_times(all, (enum call)c, lasted);
    int64_t without = 0;
    for (int i = 0; i < load.worlds; i++) {
        without += all[i].first == 0;
        last = all[i].first - start > last ? all[i].first - start : last;
    }
    printf("    the last world had its first clip after %.1f s; %lld had none\n", last,
           (long long)without);
    printf(
        "    processors busy: %.2f of the worlds, %.2f of the server; its log grew by %.2f MB/s\n",
        (clock_process_seconds() - own) / lasted, (server_seconds() - server) / lasted,
        (log_bytes() - log) / 1e6 / lasted);
    int const fault = audit(all, done);
    free(all);
    free(holder);
    return fault;
}

int main(int argc, char **argv)
{
    struct queue *q = NULL;
    int fault = read_settings(argc, argv);

    if (fault) return fault;
    setvbuf(stdout, NULL, _IOLBF, 0);
    queue_sql_reset();
    must(q, queue_open(&q, queue_sql_url(), true), "open");
    fill_queue(q);
    look_at_queue(q);
    if (load.worlds) fault = run_worlds();
    else if (load.done == 100) prune_queue(q);
    queue_close(&q);
    queue_sql_end();
    return fault;
}
