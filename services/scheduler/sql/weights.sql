-- How owners count in the queue, of those who count otherwise than everybody.
SELECT owner, weight FROM allowances WHERE weight <> 1 ORDER BY owner;
