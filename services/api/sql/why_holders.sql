-- Who holds a target's GPUs of some types, and whether it is known when they come back: those of one
-- owner first.
-- $1 target  $2 GPU types (empty: any)  $3 whose come first  $4 how many  $5 who may be given way to
SELECT jobs.id AS job, jobs.name, jobs.owner, jobs.state, jobs.priority, count(*) AS count,
       max(gpus.type) AS type,
       jobs.state = 'stopping' OR jobs.give_way_at IS NOT NULL OR jobs.run_at_most IS NOT NULL
           AS ends,
       jobs.give_way_at IS NOT NULL AND jobs.give_way_to IS NOT DISTINCT FROM $5::text AS yields
  FROM gpus
  JOIN allocations ON allocations.gpu = gpus.id AND allocations.released_at IS NULL
  JOIN jobs ON jobs.id = allocations.job
 WHERE gpus.target = $1
   AND ($2::text[] = '{}' OR gpus.type = ANY ($2::text[]))
 GROUP BY jobs.id
 ORDER BY jobs.owner = $3 DESC, jobs.priority, jobs.placed_at DESC
 LIMIT $4;
