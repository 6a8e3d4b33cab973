-- Give an owner a budget, or another one. Whether it is spent is known at once; of the parts that were
-- told this month, those that are not spent any more will be told again. Null: that is what it has.
-- $1 owner  $2 so much a month  $3 parts that are told of  $4 whether nothing more starts once it is spent
WITH this AS (
    SELECT date_trunc('month', now() AT TIME ZONE 'UTC') AS month
), spent AS (
    SELECT coalesce(sum(
               extract(epoch FROM least(released_at, now())
                                  - greatest(held_at, this.month AT TIME ZONE 'UTC'))
               * price::numeric), 0) AS cost
      FROM this, allocations
     WHERE owner = $1
       AND (released_at > this.month AT TIME ZONE 'UTC' OR released_at IS NULL)
       AND held_at < now()
)
INSERT INTO budgets AS before (owner, monthly, warn, hold, month, reached)
SELECT $1, $2::float8, $3, $4, this.month::date, spent.cost >= $2::numeric * 3600
  FROM this, spent
    ON CONFLICT (owner) DO UPDATE
   SET monthly = excluded.monthly,
       warn = excluded.warn,
       hold = excluded.hold,
       month = excluded.month,
       reached = excluded.reached,
       told = ARRAY(
           SELECT part
             FROM unnest(before.told) AS part, spent
            WHERE before.month = excluded.month
              AND spent.cost >= part::numeric * excluded.monthly::numeric * 3600
       ),
       revision = before.revision + 1,
       changed_at = now()
 WHERE (before.monthly, before.warn, before.hold)
       IS DISTINCT FROM (excluded.monthly, excluded.warn, excluded.hold)
RETURNING owner;
