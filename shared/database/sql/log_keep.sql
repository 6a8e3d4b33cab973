-- Keep lines, once each, however often they are shipped.
-- $1 subject  $2 attempt  $3 line numbers  $4 times  $5 streams  $6 texts
INSERT INTO logs (subject, attempt, line, at, stream, text)
SELECT $1, $2, line, at, stream, text
  FROM unnest($3::bigint[], $4::timestamptz[], $5::text[], $6::text[]) AS given (line, at, stream, text)
    ON CONFLICT DO NOTHING;
