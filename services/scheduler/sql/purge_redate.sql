-- The same as purge_dates.sql, of jobs with a date too, page by page: the place of the last of those
-- that this was, and nothing when there are no more.
-- $1 target  $2 seconds until then (null: never)  $3 seconds of notice
-- $4 state, and $5 number, of the last job of the page before  $6 how many
WITH page AS (
    SELECT id, state, seq,
           CASE WHEN $2::float8 IS NOT NULL
                THEN greatest(greatest(changed_at, used_at) + make_interval(secs => $2::float8),
                              purge_told_at + make_interval(secs => $3))
           END AS purge_at
      FROM jobs
     WHERE target = $1
       AND state IN ('stopped', 'finished')
       AND application IS NULL
       AND (state, seq) > ($4::job_state, $5::bigint)
     ORDER BY state, seq
     LIMIT $6
), dated AS (
    SELECT jobs.id, page.purge_at
      FROM page
      JOIN jobs USING (id)
     WHERE jobs.purge_at IS DISTINCT FROM page.purge_at
       AND jobs.state = page.state
       FOR UPDATE OF jobs SKIP LOCKED -- who is moved at this moment has no date after that
), written AS (
    UPDATE jobs
       SET purge_at = dated.purge_at,
           purge_told_at = CASE WHEN dated.purge_at IS NOT NULL THEN purge_told_at END
      FROM dated
     WHERE jobs.id = dated.id
)
SELECT state, seq
  FROM page
 ORDER BY state DESC, seq DESC
 LIMIT 1;
