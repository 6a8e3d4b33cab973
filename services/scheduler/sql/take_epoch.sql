-- Begin a new epoch of a target. It waits for statements of the one before that are being written,
-- and whatever that one writes later is refused.
-- $1 target  $2 who begins it, for a person
INSERT INTO leaders (target, epoch, holder)
VALUES ($1, 1, $2)
    ON CONFLICT (target) DO UPDATE
   SET epoch = leaders.epoch + 1,
       holder = excluded.holder,
       taken_at = clock_timestamp()
RETURNING epoch;
