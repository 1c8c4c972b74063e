-- queue.sql - every statement. $1 ... are bound, never pasted in. --pg and --lite lines are for one store alone.
-- Locks are taken in the order worker, job, clip; a transaction never takes one of an earlier kind.

-- name: version
SELECT value FROM meta WHERE key = 'schema'

-- name: now
SELECT now_ms()

-- name: event
INSERT INTO events (t, job, worker, kind, text) VALUES (now_ms(), $1, $2, $3, $4)

-- name: notify
--pg SELECT pg_notify('rollmill', '')
--lite SELECT 0

-- What another world's beat does not change: orders and ends of jobs, clips that may be claimed.
-- name: news
SELECT coalesce((SELECT max(id) FROM events), 0),
    coalesce((SELECT sum(n_ready) FROM jobs WHERE closed = 0), 0)

-- Submit ------------------------------------------------------------------------------------------

-- name: job_add
INSERT INTO jobs (uid, name, owner, spec, grp, need_mib, priority, want, clips, n_ready, max_failed, max_worlds,
    budget_error, budget_crash, budget_preempt, backoff_ms, created)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10, $11, $12, $13, $14, $15, now_ms())
ON CONFLICT (uid) DO NOTHING
RETURNING id

-- name: job_find
SELECT id, closed, outcome FROM jobs WHERE uid = $1

-- name: job_spec
SELECT spec FROM jobs WHERE id = $1

-- name: clip_add
INSERT INTO clips (job, idx, task, folder, axis_values, blocks, pictures, video_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)

-- name: dep_add
INSERT INTO deps (job, after, kind)
SELECT $1, id, $3 FROM jobs WHERE (uid = $2 OR name = $2) AND id <> $1 ORDER BY id DESC LIMIT 1
ON CONFLICT (job, after) DO UPDATE SET kind = excluded.kind
RETURNING after

-- Lease -------------------------------------------------------------------------------------------

-- name: join
INSERT INTO workers (nonce, host, place, pid, pid_start, launcher, mib, joined, seen, lease_until)
VALUES ($1, $2, $3, $4, $5, $6, $7, now_ms(), now_ms(), now_ms() + $8)
ON CONFLICT (nonce) DO UPDATE SET seen = excluded.seen
RETURNING id

-- When no lease at all is in force, it was the database (or its clock) that was away, not every world: all get a fresh one.
-- But once only: where a lone world dies again and again, the next would keep all its dead forerunners alive.
-- name: thaw
UPDATE workers SET lease_until = now_ms() + $1, thawed = now_ms()
WHERE state = 0 AND thawed <= seen AND NOT EXISTS (SELECT 1 FROM workers w WHERE w.state = 0 AND w.lease_until >= now_ms())
RETURNING id

-- name: alive
UPDATE workers SET seen = now_ms(), lease_until = now_ms() + $2, grp = $3
WHERE id = $1 AND state = 0
RETURNING drain, (SELECT count(*) FROM hosts h WHERE h.host = workers.host AND h.blocked_until > now_ms())

-- name: leave
UPDATE workers SET state = 1 WHERE id = $1 AND state = 0 RETURNING id

-- name: neighbours
SELECT id, pid, pid_start FROM workers WHERE state = 0 AND place = $1 AND id <> $2 ORDER BY id

-- name: expire
UPDATE workers SET lease_until = 0 WHERE id = $1 AND state = 0

-- name: progress
UPDATE attempts SET blocks = $5, entered = CASE WHEN entered = 0 THEN now_ms() ELSE entered END
WHERE job = $1 AND idx = $2 AND attempt = $3 AND worker = $4 AND ended = 0 AND blocks < $5

-- name: mine
SELECT c.job, c.idx, c.attempt, CASE WHEN c.stop = 1 OR j.want >= 2 THEN 1 ELSE 0 END,
    c.task, c.folder, c.blocks, j.grp
FROM clips c JOIN jobs j ON j.id = c.job
WHERE c.worker = $1 AND c.state = 1
ORDER BY j.priority DESC, c.job, c.idx

-- Reaper ------------------------------------------------------------------------------------------

-- name: overdue
SELECT count(*) FROM workers WHERE state = 0 AND lease_until < now_ms()

-- A few a call: the jobs of all their clips are settled one by one. The next claim takes the next.
-- name: reap_workers
UPDATE workers SET state = 2
WHERE id IN (SELECT id FROM workers WHERE state = 0 AND lease_until < now_ms() ORDER BY id LIMIT 4
--pg     FOR UPDATE SKIP LOCKED
    )
RETURNING id, host

-- name: orphan_jobs
SELECT j.id FROM jobs j
WHERE j.id IN (SELECT c.job FROM clips c JOIN workers w ON w.id = c.worker WHERE c.state = 1 AND w.state <> 0)
ORDER BY j.id
--pg FOR NO KEY UPDATE OF j

-- A world's death is charged to the clips that had entered its line, or to all it held if none had.
-- A world that left ($1 = 1) is charged nothing but a preemption of what had entered.
-- name: orphans
WITH dead AS MATERIALIZED (
    SELECT a.job, a.idx, a.attempt,
        CASE WHEN w.state = 2 AND (a.blocks >= 0 OR NOT EXISTS (
            SELECT 1 FROM attempts b WHERE b.worker = a.worker AND b.ended = 0 AND b.blocks >= 0)) THEN 1 ELSE 0 END AS crash,
        CASE WHEN w.state = 1 AND a.blocks >= 0 THEN 1 ELSE 0 END AS preempt
    FROM clips c
    JOIN workers w ON w.id = c.worker
    JOIN attempts a ON a.job = c.job AND a.idx = c.idx AND a.attempt = c.attempt
    WHERE c.state = 1 AND w.state <> 0)
UPDATE clips SET
    state = CASE WHEN clips.stop = 1 THEN 4
        WHEN clips.crashes + d.crash > j.budget_crash OR clips.preempts + d.preempt > j.budget_preempt THEN 3 ELSE 0 END,
    crashes = clips.crashes + d.crash, preempts = clips.preempts + d.preempt, worker = 0, stop = 0,
    not_before = now_ms() + d.crash * j.backoff_ms
FROM dead d JOIN jobs j ON j.id = d.job
WHERE clips.job = d.job AND clips.idx = d.idx AND clips.attempt = d.attempt AND clips.state = 1
RETURNING clips.job, clips.idx, clips.state

-- name: orphan_attempts
UPDATE attempts SET ended = now_ms(),
    class = (SELECT CASE WHEN w.state = 2 THEN 'crash' ELSE 'preempt' END FROM workers w WHERE w.id = attempts.worker),
    message = 'the world was lost or left'
WHERE ended = 0 AND worker IN (SELECT id FROM workers WHERE state <> 0)

-- Claim -------------------------------------------------------------------------------------------

-- $1 worker, $2 its group ('' if it may change), $3 host, $4 memory
-- The best job: by priority, then of this group, then of the owner who has the fewest clips in work, then the oldest.
-- Of each owner both candidates, the best of the group and the best of all, are the first that fit in the order of
-- jobs_open: with a thousand open jobs, not all are looked at.
-- name: pick
WITH busy AS MATERIALIZED (
    SELECT j.owner, sum(j.n_running) AS n FROM jobs j
--lite INDEXED BY jobs_open
    WHERE j.closed = 0 GROUP BY j.owner),
fit AS NOT MATERIALIZED (
    SELECT j.id, j.grp, j.owner, j.priority FROM jobs j
--lite INDEXED BY jobs_open
    WHERE j.closed = 0 AND j.want = 0 AND j.n_ready > 0 AND j.need_mib <= $4
      AND EXISTS (SELECT 1 FROM clips c
--lite              INDEXED BY clips_ready
                  WHERE c.job = j.id AND c.state = 0 AND c.not_before <= now_ms()
                    AND (c.bad_host <> $3 OR c.bad_until <= now_ms()
                         OR NOT EXISTS (SELECT 1 FROM workers w WHERE w.state = 0 AND w.host <> $3)))
      AND NOT EXISTS (SELECT 1 FROM deps d JOIN jobs p ON p.id = d.after
                      WHERE d.job = j.id AND (p.closed = 0 OR (d.kind = 0 AND p.outcome <> 2)))
      AND (j.max_worlds = 0 OR (SELECT count(DISTINCT c.worker) FROM clips c
--lite                           INDEXED BY clips_running
                                WHERE c.job = j.id AND c.state = 1 AND c.worker <> $1) < j.max_worlds))
SELECT j.id, j.grp FROM jobs j WHERE j.id = (
    SELECT k.id FROM (
        SELECT b.n, 0 AS other, (SELECT f.id FROM fit f WHERE f.owner = b.owner AND f.grp = $2
                                 ORDER BY f.priority DESC, f.id LIMIT 1) AS id FROM busy b
        UNION ALL
        SELECT b.n, 1 AS other, (SELECT f.id FROM fit f WHERE f.owner = b.owner
                                 ORDER BY f.priority DESC, f.id LIMIT 1) AS id FROM busy b) best
    JOIN jobs k ON k.id = best.id
    ORDER BY k.priority DESC, best.other, best.n, k.id LIMIT 1)
--pg FOR NO KEY UPDATE OF j

-- Once the job is locked: what pick read before it had to wait may be old.
-- name: pick_again
SELECT j.id FROM jobs j
WHERE j.id = $2 AND j.closed = 0 AND j.want = 0
  AND (j.max_worlds = 0 OR (SELECT count(DISTINCT c.worker) FROM clips c
--lite                       INDEXED BY clips_running
                            WHERE c.job = j.id AND c.state = 1 AND c.worker <> $1) < j.max_worlds)

-- name: take
WITH next AS MATERIALIZED (
    SELECT c.job, c.idx FROM clips c
--lite     INDEXED BY clips_ready
    WHERE c.job = $2 AND c.state = 0 AND c.not_before <= now_ms()
      AND (c.bad_host <> $4 OR c.bad_until <= now_ms()
           OR NOT EXISTS (SELECT 1 FROM workers w WHERE w.state = 0 AND w.host <> $4))
    ORDER BY c.idx LIMIT $3
--pg     FOR UPDATE OF c SKIP LOCKED
    )
UPDATE clips SET state = 1, worker = $1, attempt = clips.attempt + 1, stop = 0
FROM next n
WHERE clips.job = n.job AND clips.idx = n.idx AND clips.state = 0
RETURNING clips.idx

-- name: take_attempts
INSERT INTO attempts (job, idx, attempt, worker, host, began)
SELECT c.job, c.idx, c.attempt, c.worker, $2, now_ms() FROM clips c WHERE c.worker = $1 AND c.state = 1
ON CONFLICT (job, idx, attempt) DO NOTHING

-- Are there clips that this world may take a little later: failed just now, or here, or because
-- the job has its worlds? $1 memory.
-- name: later
SELECT count(*) FROM jobs j
WHERE j.closed = 0 AND j.want = 0 AND j.n_ready > 0 AND j.need_mib <= $1
  AND NOT EXISTS (SELECT 1 FROM deps d JOIN jobs p ON p.id = d.after
                  WHERE d.job = j.id AND (p.closed = 0 OR (d.kind = 0 AND p.outcome <> 2)))

-- End ---------------------------------------------------------------------------------------------

-- name: lock_job
SELECT id FROM jobs WHERE id = $1
--pg FOR NO KEY UPDATE

-- The folder is there: whoever holds the clip now, it is done. Not so if it was discarded by hand since.
-- name: done
UPDATE clips SET state = 2, worker = 0, stop = 0
WHERE job = $1 AND idx = $2 AND state <> 2 AND past < $3
RETURNING attempt

-- name: overtaken
UPDATE attempts SET ended = now_ms(), class = 'overtaken' WHERE job = $1 AND idx = $2 AND attempt <> $3 AND ended = 0

-- This host, $3, cannot render a clip. Is there another to ask, with a world alive that has the memory? Ten refusals are enough.
-- name: unasked
SELECT count(*) FROM workers w JOIN jobs j ON j.id = $1
WHERE w.state = 0 AND w.drain = 0 AND w.mib >= j.need_mib AND w.host <> $3
  AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.job = $1 AND a.idx = $2 AND a.class = 'unable' AND a.host = w.host)
  AND (SELECT count(*) FROM attempts a WHERE a.job = $1 AND a.idx = $2 AND a.class = 'unable') < 9

-- $5 $6 $7 what is charged (error, crash, preempt), $8 final, $9 canceled, $10 host to avoid or '', $11 it was unable:
-- a minute more with every refusal
-- name: give_back
UPDATE clips SET
    state = CASE WHEN clips.stop = 1 OR $9 = 1 THEN 4
        WHEN $8 = 1 OR clips.errors + $5 > j.budget_error OR clips.crashes + $6 > j.budget_crash
            OR clips.preempts + $7 > j.budget_preempt THEN 3 ELSE 0 END,
    errors = clips.errors + $5, crashes = clips.crashes + $6, preempts = clips.preempts + $7, worker = 0, stop = 0,
    not_before = now_ms() + CASE WHEN $5 + $6 > 0 THEN j.backoff_ms * (1 + clips.errors + clips.crashes)
        WHEN $11 = 1 THEN 60000 * (1 + (SELECT count(*) FROM attempts a WHERE a.job = $1 AND a.idx = $2 AND a.class = 'unable'))
        ELSE 0 END,
    bad_host = $10,
    bad_until = now_ms() + (SELECT CAST(value AS BIGINT) FROM meta WHERE key = 'other_host_ms')
FROM jobs j
WHERE j.id = clips.job AND clips.job = $1 AND clips.idx = $2 AND clips.attempt = $3 AND clips.worker = $4 AND clips.state = 1
RETURNING clips.state

-- name: clip_state
SELECT c.state, c.attempt, c.worker, a.ended, a.class
FROM clips c LEFT JOIN attempts a ON a.job = c.job AND a.idx = c.idx AND a.attempt = $3
WHERE c.job = $1 AND c.idx = $2

-- $7: it was taken for lost, but its folder exists
-- name: attempt_end
UPDATE attempts SET ended = CASE WHEN ended = 0 THEN now_ms() ELSE ended END, class = $4, message = $5,
    blocks = CASE WHEN $6 > blocks THEN $6 ELSE blocks END
WHERE job = $1 AND idx = $2 AND attempt = $3 AND (ended = 0 OR $7 = 1)

-- name: strike
INSERT INTO hosts (host, strikes) VALUES ($1, 1)
ON CONFLICT (host) DO UPDATE SET strikes = hosts.strikes + 1,
    blocked_until = CASE WHEN hosts.strikes + 1 >= (SELECT CAST(value AS BIGINT) FROM meta WHERE key = 'strikes')
        THEN now_ms() + (SELECT CAST(value AS BIGINT) FROM meta WHERE key = 'block_ms') ELSE hosts.blocked_until END
RETURNING strikes

-- name: unstrike
UPDATE hosts SET strikes = 0 WHERE host = $1 AND strikes > 0

-- name: give_up
UPDATE jobs SET want = 3 WHERE id = $1 AND want < 2 AND max_failed >= 0 AND n_failed > max_failed RETURNING id

-- name: close
UPDATE jobs SET closed = now_ms(),
    outcome = CASE WHEN want = 3 OR n_failed > 0 THEN 3 WHEN n_ready + n_canceled > 0 THEN 4 ELSE 2 END
WHERE id = $1 AND closed = 0 AND n_running = 0 AND (want >= 2 OR n_ready = 0)
RETURNING outcome

-- Control -----------------------------------------------------------------------------------------

-- name: ctl_hold
UPDATE jobs SET want = 1 WHERE id = $1 AND want = 0 AND closed = 0 AND $2 = $2 RETURNING id

-- name: ctl_release
UPDATE jobs SET want = 0 WHERE id = $1 AND want = 1 AND closed = 0 AND $2 = $2 RETURNING id

-- name: ctl_cancel
UPDATE jobs SET want = 2 WHERE id = $1 AND want < 2 AND closed = 0 AND $2 = $2 RETURNING id

-- name: ctl_cancel_clip
UPDATE clips SET state = CASE WHEN state = 0 THEN 4 ELSE state END, stop = CASE WHEN state = 1 THEN 1 ELSE 0 END
WHERE job = $1 AND idx = $2 AND state IN (0, 1) RETURNING idx

-- name: ctl_priority
UPDATE jobs SET priority = $2 WHERE id = $1 AND priority <> $2 RETURNING id

-- name: ctl_retry
UPDATE clips SET state = 0, errors = 0, crashes = 0, preempts = 0, not_before = 0, bad_host = ''
WHERE job = $1 AND state IN (3, 4) AND $2 = $2
RETURNING idx

-- name: ctl_retry_clip
UPDATE clips SET state = 0, errors = 0, crashes = 0, preempts = 0, not_before = 0, bad_host = ''
WHERE job = $1 AND idx = $2 AND state IN (3, 4)
RETURNING idx

-- name: ctl_reopen
UPDATE jobs SET want = CASE WHEN want = 1 THEN 1 ELSE 0 END, closed = 0, outcome = 0 WHERE id = $1 RETURNING id

-- A clip that is done is made again: its folder was moved aside by hand first.
-- name: ctl_discard
UPDATE clips SET state = 0, past = attempt, errors = 0, crashes = 0, preempts = 0, not_before = 0, bad_host = ''
WHERE job = $1 AND idx = $2 AND state IN (2, 3, 4) RETURNING idx

-- name: ctl_drain
UPDATE workers SET drain = 1 WHERE state = 0 AND ($1 = 0 OR id = $1) AND $2 = $2 RETURNING id

-- Looking -----------------------------------------------------------------------------------------

-- name: jobs
SELECT j.id, j.uid, j.name, j.owner, j.priority, j.want, j.closed, j.outcome, j.created,
    j.clips, j.n_ready, j.n_running, j.n_done, j.n_failed, j.n_canceled,
    (SELECT count(*) FROM deps d JOIN jobs p ON p.id = d.after
     WHERE d.job = j.id AND (p.closed = 0 OR (d.kind = 0 AND p.outcome <> 2))),
    CASE WHEN j.n_running = 0 THEN 0 ELSE
    (SELECT CAST(coalesce(sum(a.blocks), 0) AS BIGINT) FROM clips c
--lite INDEXED BY clips_running
     JOIN attempts a ON a.job = c.job AND a.idx = c.idx AND a.attempt = c.attempt
     WHERE c.job = j.id AND c.state = 1 AND a.blocks > 0) END
FROM jobs j ORDER BY j.id

-- name: clips
SELECT c.idx, c.state, c.attempt, c.errors, c.crashes, c.preempts, c.folder, c.task, c.axis_values,
    coalesce(a.host, ''), coalesce(a.class, ''), coalesce(a.message, ''), coalesce(a.blocks, 0), c.blocks
FROM clips c LEFT JOIN attempts a ON a.job = c.job AND a.idx = c.idx AND a.attempt = c.attempt
WHERE c.job = $1 AND c.idx >= $2
ORDER BY c.idx LIMIT $3

-- name: worlds
SELECT w.id, w.state, w.drain, w.joined, w.seen, w.lease_until,
    (SELECT count(*) FROM clips c WHERE c.worker = w.id AND c.state = 1), w.pid, w.host, w.grp, w.launcher, w.nonce
FROM workers w WHERE w.state = 0 OR $1 = 1 ORDER BY w.id

-- name: events
SELECT e.id, e.t, e.job, e.worker, e.kind, e.text FROM (
    SELECT id, t, job, worker, kind, text FROM events
    WHERE id > $2 AND ($1 = 0 OR job = $1) ORDER BY id DESC LIMIT $3) e
ORDER BY e.id

-- name: attempts
SELECT attempt, worker, began, ended, blocks, host, class, message FROM attempts
WHERE job = $1 AND idx = $2 ORDER BY attempt

-- Clips in work, the oldest first. Not entered yet: entered is 0.
-- name: running
SELECT c.job, j.uid, c.idx, c.attempt, a.worker, a.host, a.began, a.entered, a.blocks, c.blocks, c.axis_values
FROM clips c
--lite INDEXED BY clips_held
JOIN jobs j ON j.id = c.job
JOIN attempts a ON a.job = c.job AND a.idx = c.idx AND a.attempt = c.attempt
WHERE c.state = 1
ORDER BY a.began, c.job, c.idx LIMIT $1

-- name: failed
SELECT c.job, j.uid, c.idx, c.attempt, a.worker, a.host, a.ended, a.class, a.message, c.axis_values
FROM clips c
--lite INDEXED BY clips_failed
JOIN jobs j ON j.id = c.job
JOIN attempts a ON a.job = c.job AND a.idx = c.idx AND a.attempt = c.attempt
WHERE c.state = 3
ORDER BY a.ended DESC, c.job, c.idx LIMIT $1

-- The newest ends first; of a clip that was discarded since, none.
-- name: finished
SELECT c.job, j.uid, c.idx, a.attempt, a.worker, a.host, a.ended, c.folder, c.pictures, c.axis_values
FROM attempts a
--lite INDEXED BY attempts_ended
JOIN clips c ON c.job = a.job AND c.idx = a.idx
JOIN jobs j ON j.id = a.job
WHERE a.ended > 0 AND a.class = 'done' AND c.state = 2 AND a.attempt > c.past
ORDER BY a.ended DESC, a.job, a.idx LIMIT $1

-- Pictures of clips that ended since $2, in spans of $1 ms. SQLite begins in the index where the first of two bounds
-- says; the second is there for the index alone.
-- name: pace
SELECT a.ended / $1 * $1, count(*), CAST(sum(c.pictures) AS BIGINT)
FROM attempts a
--lite INDEXED BY attempts_ended
JOIN clips c ON c.job = a.job AND c.idx = a.idx
WHERE a.ended >= $2 AND a.ended > 0 AND a.class = 'done'
GROUP BY a.ended / $1 ORDER BY 1

-- A world's life is shared among owners by the blocks that it made for each. All clips and all attempts are read,
-- each once, whatever the number of owners.
-- name: owners
WITH made AS MATERIALIZED (
    SELECT a.worker, j.owner, sum(CASE WHEN a.blocks > 0 THEN a.blocks ELSE 0 END) AS n
    FROM attempts a JOIN jobs j ON j.id = a.job GROUP BY a.worker, j.owner),
life AS (
    SELECT m.worker, w.seen - w.joined AS ms, sum(m.n) AS n
    FROM made m JOIN workers w ON w.id = m.worker GROUP BY m.worker, w.seen, w.joined),
worked AS MATERIALIZED (
    SELECT m.owner, sum(l.ms * m.n / l.n) AS ms FROM made m JOIN life l ON l.worker = m.worker WHERE l.n > 0 GROUP BY m.owner),
lasts AS MATERIALIZED (
    SELECT c.job, sum(c.video_ms) AS ms FROM clips c WHERE c.state = 2 GROUP BY c.job)
SELECT j.owner, CAST(sum(j.clips) AS BIGINT), CAST(sum(j.n_done) AS BIGINT), CAST(sum(j.n_running) AS BIGINT),
    CAST(sum(j.n_ready) AS BIGINT), CAST(sum(j.n_failed) AS BIGINT),
    CAST(coalesce(sum(v.ms), 0) AS BIGINT),
    CAST(coalesce((SELECT k.ms FROM worked k WHERE k.owner = j.owner), 0) AS BIGINT)
FROM jobs j LEFT JOIN lasts v ON v.job = j.id GROUP BY j.owner ORDER BY j.owner

-- Upgrade -----------------------------------------------------------------------------------------

-- From version 1. It only adds, so worlds may be at work meanwhile.
-- name: upgrade_pictures
ALTER TABLE clips ADD COLUMN pictures
--pg BIGINT
--lite INTEGER
    NOT NULL DEFAULT 0

-- name: upgrade_video
ALTER TABLE clips ADD COLUMN video_ms
--pg BIGINT
--lite INTEGER
    NOT NULL DEFAULT 0

-- name: upgrade_entered
ALTER TABLE attempts ADD COLUMN entered
--pg BIGINT
--lite INTEGER
    NOT NULL DEFAULT 0

-- name: upgrade_ended
CREATE INDEX attempts_ended ON attempts (ended) WHERE ended > 0

-- name: upgrade_version
UPDATE meta SET value = CAST($1 AS TEXT) WHERE key = 'schema'

-- Upkeep ------------------------------------------------------------------------------------------

-- name: prune
DELETE FROM jobs WHERE id IN (
    SELECT j.id FROM jobs j
    WHERE j.closed > 0 AND j.closed < now_ms() - $1
      AND NOT EXISTS (SELECT 1 FROM deps d JOIN jobs n ON n.id = d.job WHERE d.after = j.id AND n.closed = 0)
    ORDER BY j.id LIMIT 1)
RETURNING id

-- name: prune_events
DELETE FROM events WHERE t < now_ms() - $1

-- All attempts are read once, not once a worker.
-- name: prune_workers
DELETE FROM workers WHERE id IN (
    SELECT id FROM workers WHERE state <> 0 AND seen < now_ms() - $1 EXCEPT SELECT worker FROM attempts)
