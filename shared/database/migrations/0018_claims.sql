-- Whether the transaction has an owner for itself, among those who submit, until it ends. It waits for
-- that when it is `patient`. Who writes for several owners at once may not wait: others wait for it.
CREATE FUNCTION claim(of text, patient boolean) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF patient THEN
        PERFORM pg_advisory_xact_lock(hashtextextended(of, 7225477102));
        RETURN true;
    END IF;
    RETURN pg_try_advisory_xact_lock(hashtextextended(of, 7225477102));
END $$;

-- How many of an owner's versions wait to be built or are being built, counted no further than `most`.
-- What is volatile sees all that is committed: who has the owner's claim counts what was written under
-- the one before, though its statement has begun earlier.
-- Its plan is kept from its first call on, when few versions were there: OFFSET 0 keeps it from one that
-- goes through all that are built, whoever's they are.
CREATE FUNCTION builds_waiting(of text, most integer) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN (SELECT count(*)
              FROM (SELECT
                      FROM projects
                     CROSS JOIN LATERAL (
                           SELECT
                             FROM versions
                            WHERE versions.project = projects.seq
                              AND versions.state = 'building'
                           OFFSET 0
                           ) AS building
                     WHERE projects.owner = of
                     LIMIT most) AS found);
END $$;
