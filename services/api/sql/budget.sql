-- A budget, and what its owner's GPUs have cost in this month, in seconds times the price of an hour.
-- $1 owner
SELECT budgets.owner, budgets.monthly, budgets.warn, budgets.hold, budgets.changed_at,
       to_char(this.month, 'YYYY-MM') AS month, spent.cost,
       spent.cost >= budgets.monthly::numeric * 3600 AS reached
  FROM budgets,
       LATERAL (SELECT date_trunc('month', now() AT TIME ZONE 'UTC') AS month) AS this,
       LATERAL (
           SELECT coalesce(sum(
                      extract(epoch FROM least(released_at, now())
                                         - greatest(held_at, this.month AT TIME ZONE 'UTC'))
                      * price::numeric), 0) AS cost
             FROM allocations
            WHERE allocations.owner = budgets.owner
              AND (released_at > this.month AT TIME ZONE 'UTC' OR released_at IS NULL)
              AND held_at < now()
       ) AS spent
 WHERE budgets.owner = $1;
