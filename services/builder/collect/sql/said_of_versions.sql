-- All that versions say, in which the digests of what they refer to are.
-- $1 after this seq  $2 how many
SELECT seq, definition::text || images::text || record::text AS said
  FROM versions
 WHERE seq > $1
 ORDER BY seq
 LIMIT $2;
