-- Owners of whom nothing more may start: they have spent this month's budget, and it holds them.
SELECT owner
  FROM budgets
 WHERE hold
   AND reached
   AND month = date_trunc('month', now() AT TIME ZONE 'UTC')::date;
