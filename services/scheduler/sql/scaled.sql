-- The jobs of a target that run and are scaled by what is asked of them, and what that is at all
-- routers together. A job that no router told of lately is not among them.
-- $1 target  $2 seconds for which what a router told counts
SELECT jobs.id AS job, jobs.attempt, jobs.copies,
       defined.endpoint -> 'autoscaling' AS autoscaling,
       coalesce(defined.endpoint -> 'serving', '{}') AS serving,
       asked.inside, asked.waiting, asked.turned_away, asked.seconds
  FROM (SELECT job, sum(inside) AS inside, sum(waiting) AS waiting,
               sum(turned_away) AS turned_away, max(seconds) AS seconds
          FROM demands
         WHERE at > clock_timestamp() - make_interval(secs => $2)
         GROUP BY job
       ) AS asked
  JOIN jobs ON jobs.id = asked.job
  JOIN versions ON versions.id = jobs.version
 CROSS JOIN LATERAL (
       SELECT element AS endpoint
         FROM jsonb_array_elements(versions.definition -> 'endpoints') AS element
        WHERE element ->> 'name' = jobs.endpoint
        LIMIT 1
       ) AS defined
 WHERE jobs.target = $1
   AND jobs.state = 'running'
   AND defined.endpoint -> 'autoscaling' ?| '{requests,waiting}'
 ORDER BY jobs.seq;
