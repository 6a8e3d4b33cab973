-- Write a fact that moves no job. Belongs into the transaction of the change it speaks of.
-- $1 type  $2 project  $3 source  $4 subject  $5 the fact
INSERT INTO events (type, project, source, subject, data) VALUES ($1, $2, $3, $4, $5::jsonb);
