-- How many of an owner's versions wait to be built or are being built, counted no further than `most`.
-- Others who count this owner's wait until the transaction ends, and then count what it has written,
-- though their statement has begun before: what is volatile sees all that is committed.
-- Its plan is kept from its first call on, when few versions were there: OFFSET 0 keeps it from one that
-- goes through all that are built, whoever's they are.
CREATE FUNCTION builds_waiting(of text, most integer) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(of, 7225477102));
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
