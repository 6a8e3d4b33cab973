-- Tell of the parts of their budgets that owners have newly spent this month, and note whose is spent
-- and whose is not. What was told is noted in the same statement, and only if nobody has written the
-- budget since it was read, so whoever comes late, twice or from an earlier epoch tells nothing again.
-- $1 type of the fact of a part  $2 type of the fact of the whole
WITH this AS (
    SELECT date_trunc('month', now() AT TIME ZONE 'UTC') AS month
), spending AS (
    SELECT budgets.owner, budgets.revision, budgets.monthly, budgets.warn, this.month,
           budgets.reached AND budgets.month = this.month AS held,
           CASE WHEN budgets.month = this.month THEN budgets.told ELSE '{}' END AS told,
           spent.cost -- in seconds times the price of an hour
      FROM budgets, this, LATERAL (
           SELECT coalesce(sum(extract(epoch FROM time) * price::numeric), 0) AS cost
             FROM (
                  SELECT price, sum(least(released_at, now())
                                    - greatest(held_at, this.month AT TIME ZONE 'UTC')) AS time
                    FROM allocations
                   WHERE allocations.owner = budgets.owner
                     AND (released_at > this.month AT TIME ZONE 'UTC' OR released_at IS NULL)
                     AND held_at < now()
                   GROUP BY price
                  ) AS held
           ) AS spent
     WHERE NOT (budgets.reached AND budgets.month = this.month -- all that there was to tell is told
                AND budgets.told @> (budgets.warn || 1::float8))
), due AS (
    SELECT owner, revision, monthly, month, held, told, round(cost / 3600, 6) AS spent,
           cost >= monthly::numeric * 3600 AS reached,
           ARRAY(
               SELECT part
                 FROM unnest(warn || 1::float8) AS part
                WHERE cost >= part::numeric * monthly::numeric * 3600
                  AND (monthly > 0 OR part = 1) -- nothing has no parts
                  AND part <> ALL (told)
                ORDER BY part
           ) AS news
      FROM spending
), noted AS (
    UPDATE budgets
       SET month = due.month, told = due.told || due.news, reached = due.reached,
           revision = budgets.revision + 1
      FROM due
     WHERE budgets.owner = due.owner
       AND budgets.revision = due.revision
       AND (due.news <> '{}' OR due.reached <> due.held)
    RETURNING budgets.owner, due.month, due.monthly, due.spent, due.news
)
INSERT INTO events (type, source, subject, data)
SELECT CASE WHEN part < 1 THEN $1::text ELSE $2 END, '/' || owner, owner,
       jsonb_build_object('owner', owner, 'month', to_char(month, 'YYYY-MM'),
                          'spent', spent, 'budget', monthly)
       || CASE WHEN part < 1 THEN jsonb_build_object('part', part) ELSE '{}' END
  FROM noted, unnest(news) WITH ORDINALITY AS told (part, n)
 ORDER BY owner, n
RETURNING subject;
