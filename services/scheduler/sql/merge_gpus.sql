-- Write GPUs down as they are now.
-- $1 target  $2 ids  $3 types  $4 devices  $5 memories  $6 machines  $7 whether they are there
-- $8 prices
INSERT INTO gpus (target, id, type, device, memory, node, present, price)
SELECT $1, id, type, device, memory, node, present, price
  FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::boolean[],
              $8::float8[])
       AS given (id, type, device, memory, node, present, price)
    ON CONFLICT (id) DO UPDATE
   SET type = excluded.type,
       device = excluded.device,
       memory = excluded.memory,
       node = excluded.node,
       present = excluded.present,
       price = excluded.price;
