-- What the broker knows of a device ----------------------------------------------------------------------------------
ALTER TABLE devices ADD COLUMN broker_settled_at timestamptz;
COMMENT ON COLUMN devices.broker_settled_at IS
    'when the broker had taken over what this row says (credential given, or taken away); null while it has not';
GRANT UPDATE (broker_settled_at) ON devices TO agora_keeper;

-- Outbox --------------------------------------------------------------------------------------------------------------
-- A row for a topic that does not exist could never be published, and would hold up everything behind it.
ALTER TABLE outbox ADD CONSTRAINT outbox_topic CHECK
    (topic IN ('agora.registry.devices.v1', 'agora.registry.consents.v1', 'agora.registry.apps.v1', 'agora.registry.rules.v1'));
CREATE INDEX outbox_by_key ON outbox (topic, key, version DESC);
CREATE FUNCTION outbox_skip_to(lowest bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(4201);
    IF lowest > (SELECT last_value FROM outbox_version_seq) THEN
        PERFORM setval('outbox_version_seq', lowest);
    END IF;
END $$;
COMMENT ON FUNCTION outbox_skip_to IS
    'for a database restored from a backup: its next version must lie above what Kafka holds, or readers would drop it as old';
REVOKE ALL ON FUNCTION outbox_skip_to FROM PUBLIC;
GRANT EXECUTE ON FUNCTION outbox_skip_to TO agora_keeper;

-- Readings follow corrected loans and clocks --------------------------------------------------------------------------
CREATE TABLE observations_set_aside (LIKE observations, set_aside_at timestamptz NOT NULL DEFAULT now());
COMMENT ON TABLE observations_set_aside IS
    'stored readings which by the corrected loans belong to nobody; they come back when a loan covers them again';
CREATE INDEX observations_set_aside_by_device ON observations_set_aside (device_key, device_time);
ALTER TABLE observations_set_aside OWNER TO agora_store;
GRANT SELECT ON observations_set_aside TO agora_operator;

CREATE TABLE settlements (
    settlement_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_key integer NOT NULL REFERENCES devices,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    version bigint NOT NULL,
    barrier jsonb,
    requested_at timestamptz NOT NULL DEFAULT now(),
    done_at timestamptz,
    moved bigint,
    set_aside bigint
);
COMMENT ON TABLE settlements IS
    'a corrected period: its readings were moved with the correction, and are looked through once more when what was in flight is stored';
COMMENT ON COLUMN settlements.version IS 'of the outbox row that tells the processors of the correction';
COMMENT ON COLUMN settlements.barrier IS 'ends of the partitions of agora.vitals.v1 once the processors knew; the store must have passed them';
CREATE INDEX settlements_open ON settlements (settlement_id) WHERE done_at IS NULL;
GRANT SELECT, INSERT ON settlements TO agora_operator;
GRANT SELECT, UPDATE, DELETE ON settlements TO agora_keeper;

CREATE FUNCTION corrected_time(of_device integer, sent timestamptz) RETURNS timestamptz LANGUAGE sql STABLE
SET search_path = public, pg_temp AS $$
    SELECT sent + coalesce(
        (SELECT c.offset_microseconds * interval '1 microsecond' FROM clock_corrections c
         WHERE c.device_key = of_device AND c.starts_at <= sent AND (c.ends_at IS NULL OR sent < c.ends_at)),
        interval '0')
$$;
CREATE FUNCTION subject_at(of_device integer, instant timestamptz) RETURNS integer LANGUAGE sql STABLE
SET search_path = public, pg_temp AS $$
    SELECT l.subject_key FROM loans l
    WHERE l.device_key = of_device AND l.starts_at <= instant AND (l.ends_at IS NULL OR instant < l.ends_at)
$$;
-- Quality bits as contracts/observation.py numbers them (2 clock suspect, 4 late, 64 clock corrected), judged as streams/normalise.py does.
CREATE FUNCTION judged_quality(quality integer, sent timestamptz, effective timestamptz, received timestamptz, late_after interval)
RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT (quality & ~(2 | 4 | 64))
        | CASE WHEN effective <> sent THEN 64 ELSE 0 END
        | CASE WHEN received - effective > late_after THEN 4 WHEN effective - received > interval '1 minute' THEN 2 ELSE 0 END
$$;
-- A pure function of the loans and corrections as they now stand, so it can be run again at any time.
CREATE FUNCTION settle_observations(
    of_device integer, span_start timestamptz, span_end timestamptz, late_after interval, OUT moved bigint, OUT set_aside bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE brought bigint;
BEGIN
    WITH due AS (
        SELECT o.device_time, o.vital_key, o.site_key, o.sequence, e.effective_at, subject_at(of_device, e.effective_at) AS subject_key,
               judged_quality(o.quality, o.device_time, e.effective_at, o.received_at, late_after) AS quality
        FROM observations o CROSS JOIN LATERAL (SELECT corrected_time(of_device, o.device_time) AS effective_at) e
        WHERE o.device_key = of_device AND o.device_time >= span_start AND o.device_time < span_end
    )
    UPDATE observations o SET subject_key = due.subject_key, effective_at = due.effective_at, quality = due.quality
    FROM due
    WHERE o.device_key = of_device AND o.device_time >= span_start AND o.device_time < span_end
        AND o.device_time = due.device_time AND o.vital_key = due.vital_key AND o.site_key = due.site_key AND o.sequence = due.sequence
        AND due.subject_key IS NOT NULL
        AND (o.subject_key <> due.subject_key OR o.effective_at <> due.effective_at OR o.quality <> due.quality);
    GET DIAGNOSTICS moved = ROW_COUNT;
    WITH gone AS (
        DELETE FROM observations o
        WHERE o.device_key = of_device AND o.device_time >= span_start AND o.device_time < span_end
            AND subject_at(of_device, corrected_time(of_device, o.device_time)) IS NULL
        RETURNING o.*
    )
    INSERT INTO observations_set_aside SELECT gone.* FROM gone;
    GET DIAGNOSTICS set_aside = ROW_COUNT;
    WITH back AS (
        DELETE FROM observations_set_aside a
        WHERE a.device_key = of_device AND a.device_time >= span_start AND a.device_time < span_end
            AND subject_at(of_device, corrected_time(of_device, a.device_time)) IS NOT NULL
        RETURNING a.*
    )
    INSERT INTO observations (device_time, effective_at, received_at, sequence, value, device_key, subject_key, quality, vital_key, site_key,
                              profile)
    SELECT b.device_time, e.effective_at, b.received_at, b.sequence, b.value, of_device, subject_at(of_device, e.effective_at),
           judged_quality(b.quality, b.device_time, e.effective_at, b.received_at, late_after), b.vital_key, b.site_key, b.profile
    FROM back b CROSS JOIN LATERAL (SELECT corrected_time(of_device, b.device_time) AS effective_at) e
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS brought = ROW_COUNT;
    moved := moved + brought;
END $$;
ALTER FUNCTION settle_observations OWNER TO agora_store;
GRANT SELECT ON loans, clock_corrections TO agora_store;
REVOKE ALL ON FUNCTION settle_observations FROM PUBLIC;
GRANT EXECUTE ON FUNCTION settle_observations TO agora_operator, agora_keeper;

-- Watchdog of the ledger, and retention -------------------------------------------------------------------------------
CREATE TABLE ledger_marks (
    raw_partition integer PRIMARY KEY,
    next bigint NOT NULL
);
COMMENT ON TABLE ledger_marks IS 'every raw record below next has its ledger row, or had it before it was pruned';
GRANT SELECT ON ledger_marks TO agora_operator;
GRANT SELECT, INSERT, UPDATE ON ledger_marks TO agora_keeper;
GRANT DELETE ON ledger_raw, ledger_stored TO agora_keeper;

-- Rules and loans can be taken back -----------------------------------------------------------------------------------
GRANT DELETE ON rules, loans, clock_corrections TO agora_operator;
