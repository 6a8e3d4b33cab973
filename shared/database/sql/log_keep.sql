-- Keep lines, once each, however often they are shipped; none of a job that is gone for good.
-- $1 subject  $2 attempt  $3 line numbers  $4 times  $5 streams  $6 texts  $7 sources  $8 stamps
INSERT INTO logs (subject, attempt, line, at, stream, text, source, stamp)
SELECT $1, $2, line, at, stream, text, source, stamp
  FROM unnest($3::bigint[], $4::timestamptz[], $5::text[], $6::text[], $7::text[], $8::text[])
       AS given (line, at, stream, text, source, stamp)
 WHERE NOT EXISTS (SELECT FROM jobs WHERE id = $1 AND state IN ('terminated', 'purged'))
    ON CONFLICT DO NOTHING;
