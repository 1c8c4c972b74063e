-- schema.sql - version 2, for both stores. Queues of version 1 come here by upgrade_* in queue.sql.
-- @id@ and @int@ are the store's words for a row's own number and for a 64-bit number; lines that begin with
-- --pg or --lite are for one store alone. Times are milliseconds of the database's clock since 1970; 0 is never.
-- now_ms() is that clock: of PostgreSQL a function (below), of SQLite one that the program registers.

--pg CREATE SCHEMA IF NOT EXISTS rollmill;
--pg CREATE FUNCTION now_ms() RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
--pg     AS 'SELECT (extract(epoch FROM statement_timestamp()) * 1000)::bigint';

CREATE TABLE meta (
    key     TEXT NOT NULL PRIMARY KEY,
    value   TEXT NOT NULL
) @strict@;

CREATE TABLE jobs (
    id              @id@,
    uid             TEXT  NOT NULL UNIQUE,      -- name and 8 hex digits of the plan's hash: the same job is one job
    name            TEXT  NOT NULL,
    owner           TEXT  NOT NULL,
    spec            TEXT  NOT NULL,             -- what a world expands again: the job's file, JSON
    grp             TEXT  NOT NULL,             -- model card, precision, numerics, size: what a line can take without reloading
    need_mib        @int@ NOT NULL,             -- memory a world must have
    priority        @int@ NOT NULL CHECK (priority BETWEEN 0 AND 100),
    want            @int@ NOT NULL DEFAULT 0 CHECK (want BETWEEN 0 AND 3),      -- 0 run, 1 hold, 2 cancel, 3 given up
    closed          @int@ NOT NULL DEFAULT 0,   -- when the last clip ended
    outcome         @int@ NOT NULL DEFAULT 0,   -- of a closed job, as a clip's state: 2, 3 or 4
    clips           @int@ NOT NULL,
    n_ready         @int@ NOT NULL,             -- its clips by state: kept by the trigger clip_counts
    n_running       @int@ NOT NULL DEFAULT 0,
    n_done          @int@ NOT NULL DEFAULT 0,
    n_failed        @int@ NOT NULL DEFAULT 0,
    n_canceled      @int@ NOT NULL DEFAULT 0,
    max_failed      @int@ NOT NULL,             -- -1: no limit
    max_worlds      @int@ NOT NULL,             -- 0: no limit
    budget_error    @int@ NOT NULL,
    budget_crash    @int@ NOT NULL,
    budget_preempt  @int@ NOT NULL,
    backoff_ms      @int@ NOT NULL,
    created         @int@ NOT NULL
) @strict@;
CREATE INDEX jobs_open ON jobs (priority DESC, id) WHERE closed = 0;

CREATE TABLE deps (
    job     @int@ NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    after   @int@ NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    kind    @int@ NOT NULL CHECK (kind IN (0, 1)),      -- 0 success, 1 any end
    PRIMARY KEY (job, after)
) @strict@;
CREATE INDEX deps_after ON deps (after);

CREATE TABLE clips (
    job         @int@ NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    idx         @int@ NOT NULL,
    task        TEXT  NOT NULL,                 -- task id; a world that reckons another one refuses the clip
    folder      TEXT  NOT NULL,                 -- absolute; exists = done
    axis_values TEXT  NOT NULL,                 -- of the sweep, JSON: for people
    blocks      @int@ NOT NULL,
    pictures    @int@ NOT NULL DEFAULT 0,       -- of its video, and how long that is, ms; 0: of a queue of version 1
    video_ms    @int@ NOT NULL DEFAULT 0,
    state       @int@ NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 4), -- 0 ready, 1 running, 2 done, 3 failed, 4 canceled
    worker      @int@ NOT NULL DEFAULT 0,       -- of a running one
    attempt     @int@ NOT NULL DEFAULT 0,       -- the fencing number: one more with every claim, never less
    past        @int@ NOT NULL DEFAULT 0,       -- attempts up to this one were discarded by hand
    errors      @int@ NOT NULL DEFAULT 0,
    crashes     @int@ NOT NULL DEFAULT 0,
    preempts    @int@ NOT NULL DEFAULT 0,
    not_before  @int@ NOT NULL DEFAULT 0,
    bad_host    TEXT  NOT NULL DEFAULT '',      -- where it failed last: not there again before bad_until
    bad_until   @int@ NOT NULL DEFAULT 0,
    stop        @int@ NOT NULL DEFAULT 0,       -- this clip alone was canceled while it ran
    PRIMARY KEY (job, idx),
    CHECK ((state = 1) = (worker <> 0))
) @strict_norow@;
CREATE INDEX clips_ready   ON clips (job, idx)    WHERE state = 0;
CREATE INDEX clips_running ON clips (job, worker) WHERE state = 1;
CREATE INDEX clips_held    ON clips (worker)      WHERE state = 1;
CREATE INDEX clips_failed  ON clips (job, idx)    WHERE state = 3;
--pg ALTER TABLE clips SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);

-- A clip changes state only while its job's row is locked, so the counts cost no lock more.
--lite CREATE TRIGGER clip_counts AFTER UPDATE OF state ON clips WHEN old.state <> new.state BEGIN
--lite     UPDATE jobs SET n_ready = n_ready + (new.state = 0) - (old.state = 0), n_running = n_running + (new.state = 1) - (old.state = 1),
--lite         n_done = n_done + (new.state = 2) - (old.state = 2), n_failed = n_failed + (new.state = 3) - (old.state = 3),
--lite         n_canceled = n_canceled + (new.state = 4) - (old.state = 4)
--lite     WHERE id = new.job;
--lite END;
--pg CREATE FUNCTION clip_counts() RETURNS trigger LANGUAGE plpgsql SET search_path = rollmill, pg_catalog AS $body$
--pg BEGIN
--pg     UPDATE jobs SET n_ready = n_ready + d.s0, n_running = n_running + d.s1, n_done = n_done + d.s2,
--pg         n_failed = n_failed + d.s3, n_canceled = n_canceled + d.s4
--pg     FROM (SELECT x.job, coalesce(sum(x.by) FILTER (WHERE x.state = 0), 0) s0, coalesce(sum(x.by) FILTER (WHERE x.state = 1), 0) s1,
--pg               coalesce(sum(x.by) FILTER (WHERE x.state = 2), 0) s2, coalesce(sum(x.by) FILTER (WHERE x.state = 3), 0) s3,
--pg               coalesce(sum(x.by) FILTER (WHERE x.state = 4), 0) s4
--pg           FROM (SELECT job, state, 1 AS by FROM new_clips UNION ALL SELECT job, state, -1 FROM old_clips) x
--pg           GROUP BY x.job) d
--pg     WHERE jobs.id = d.job AND (d.s0 <> 0 OR d.s1 <> 0 OR d.s2 <> 0 OR d.s3 <> 0 OR d.s4 <> 0);
--pg     RETURN NULL;
--pg END $body$;
--pg CREATE TRIGGER clip_counts AFTER UPDATE ON clips REFERENCING OLD TABLE AS old_clips NEW TABLE AS new_clips
--pg     FOR EACH STATEMENT EXECUTE FUNCTION clip_counts();

CREATE TABLE attempts (
    job     @int@ NOT NULL,
    idx     @int@ NOT NULL,
    attempt @int@ NOT NULL,
    worker  @int@ NOT NULL,
    host    TEXT  NOT NULL,
    began   @int@ NOT NULL,                     -- claimed
    ended   @int@ NOT NULL DEFAULT 0,
    entered @int@ NOT NULL DEFAULT 0,           -- its world was first known to have it in the line
    class   TEXT  NOT NULL DEFAULT '',          -- done, spec, error, crash, host, unable, preempt, cancel, overtaken
    blocks  @int@ NOT NULL DEFAULT -1,          -- -1: waits in its world; 0: entered the line; then blocks done
    message TEXT  NOT NULL DEFAULT '',
    PRIMARY KEY (job, idx, attempt),
    FOREIGN KEY (job, idx) REFERENCES clips (job, idx) ON DELETE CASCADE
) @strict_norow@;
CREATE INDEX attempts_open ON attempts (worker) WHERE ended = 0;
CREATE INDEX attempts_ended ON attempts (ended) WHERE ended > 0;
--pg ALTER TABLE attempts SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);

CREATE TABLE workers (
    id          @id@,
    nonce       TEXT  NOT NULL UNIQUE,          -- 128 random bits: joining twice is joining once
    host        TEXT  NOT NULL,
    place       TEXT  NOT NULL,                 -- boot id and pid namespace: where its pid means something
    pid         @int@ NOT NULL,
    pid_start   @int@ NOT NULL,
    launcher    TEXT  NOT NULL,                 -- slurm 4711_3, or nothing
    mib         @int@ NOT NULL,
    grp         TEXT  NOT NULL DEFAULT '',
    state       @int@ NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 2),         -- 0 alive, 1 left, 2 gone; never back
    drain       @int@ NOT NULL DEFAULT 0,
    joined      @int@ NOT NULL,
    seen        @int@ NOT NULL,
    lease_until @int@ NOT NULL,                 -- one lease for all clips that it holds
    thawed      @int@ NOT NULL DEFAULT 0        -- renewed by another after an outage; only once until it is seen again
) @strict@;
CREATE INDEX workers_alive ON workers (lease_until) WHERE state = 0;

CREATE TABLE hosts (
    host          TEXT  NOT NULL PRIMARY KEY,
    strikes       @int@ NOT NULL DEFAULT 0,     -- ends in error, crash or host since the last clip done there
    blocked_until @int@ NOT NULL DEFAULT 0,
    note          TEXT  NOT NULL DEFAULT ''
) @strict@;

CREATE TABLE events (
    id      @id@,
    t       @int@ NOT NULL,
    job     @int@ NOT NULL,                     -- 0: of none
    worker  @int@ NOT NULL,
    kind    TEXT  NOT NULL,                     -- submit, control, lost, given-up, closed, block, thaw
    text    TEXT  NOT NULL
) @strict@;
CREATE INDEX events_job ON events (job, id);

INSERT INTO meta (key, value) VALUES ('schema', '2'), ('strikes', '3'), ('block_ms', '1800000'), ('other_host_ms', '600000');
