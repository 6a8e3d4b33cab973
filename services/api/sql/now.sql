-- What time it is by the clock that everything is billed by.
SELECT now();
