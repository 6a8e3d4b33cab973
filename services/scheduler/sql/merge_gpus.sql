-- Write GPUs down as they are now.
-- $1 target  $2 ids  $3 types  $4 devices  $5 memories  $6 machines  $7 whether they are there
-- $8 prices  $9 whether their machine says how they are
-- $10 whether they were released and not looked at since  $11 why they are given to nobody
INSERT INTO gpus (target, id, type, device, memory, node, present, price, checked, unproven,
                  quarantine, quarantined_at)
SELECT $1, id, type, device, memory, node, present, price, checked, unproven, quarantine,
       CASE WHEN quarantine <> '' THEN clock_timestamp() END
  FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::boolean[],
              $8::float8[], $9::boolean[], $10::boolean[], $11::text[])
       AS given (id, type, device, memory, node, present, price, checked, unproven, quarantine)
    ON CONFLICT (id) DO UPDATE
   SET type = excluded.type,
       device = excluded.device,
       memory = excluded.memory,
       node = excluded.node,
       present = excluded.present,
       price = excluded.price,
       checked = excluded.checked,
       unproven = excluded.unproven,
       quarantine = excluded.quarantine,
       quarantined_at = CASE WHEN excluded.quarantine = gpus.quarantine THEN gpus.quarantined_at
                             ELSE excluded.quarantined_at END;
