-- Write GPUs down as they are now.
-- $1 target  $2 ids  $3 types  $4 devices  $5 memories  $6 whether they are there  $7 prices
INSERT INTO gpus (target, id, type, device, memory, present, price)
SELECT $1, id, type, device, memory, present, price
  FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::boolean[], $7::float8[])
       AS given (id, type, device, memory, present, price)
    ON CONFLICT (id) DO UPDATE
   SET type = excluded.type,
       device = excluded.device,
       memory = excluded.memory,
       present = excluded.present,
       price = excluded.price;
