-- A worker that stood still and wakes writes what it made of a raw record by the loans of before, after another one took the record over. Where
-- that one's copy is not in the way (it was nobody's, or was set aside), it is stored, and the settlement of the correction is over. The store
-- sees that another pass had accounted for the record, and asks for one more.
GRANT INSERT (device_key, starts_at, ends_at, version) ON settlements TO agora_store;
COMMENT ON COLUMN settlements.version IS
    'of the outbox row that tells the processors of the correction; 0 where the store asked, since a worker that stood still wrote late';

-- The keeper ends alerts raised by readings that a corrected loan moved or set aside, and has to find those.
GRANT SELECT ON observations_set_aside TO agora_keeper;
