-- A settlement looked at every reading of its span, whosesoever: the identity begins with the time. But a worker names a reading by a
-- loan it was told of, so a device's readings stand under subjects that have or had it, and there the read index finds them.
CREATE TABLE device_borrowers (
    device_key integer NOT NULL REFERENCES devices,
    subject_key integer NOT NULL REFERENCES subjects,
    PRIMARY KEY (device_key, subject_key)
);
COMMENT ON TABLE device_borrowers IS
    'every subject that a device was ever lent to, loans that were corrected or taken back included; readings named by them may still come';
GRANT SELECT ON device_borrowers TO agora_operator, agora_keeper, agora_store;

CREATE FUNCTION remember_borrower() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO device_borrowers VALUES (new.device_key, new.subject_key) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION remember_borrower FROM PUBLIC;
CREATE TRIGGER loans_borrowers AFTER INSERT OR UPDATE OF subject_key ON loans FOR EACH ROW EXECUTE FUNCTION remember_borrower();
-- Behind the trigger, which lets no loan be written meanwhile.
INSERT INTO device_borrowers SELECT device_key, subject_key FROM loans UNION SELECT device_key, subject_key FROM observations;

-- The readings of a device that do not stand as loans and corrections now say, and how they should; subject_key is null for nobody's.
-- In plain SQL, so that it becomes part of the statement that asks. Loans and corrections of a device never overlap.
CREATE FUNCTION unsettled_observations(
    of_device integer, borrowers integer[], span_start timestamptz, span_end timestamptz, late_after interval)
RETURNS TABLE (
    device_time timestamptz, vital_key smallint, site_key smallint, sequence bigint, effective_at timestamptz, subject_key integer,
    quality integer)
LANGUAGE sql STABLE AS $$
    SELECT o.device_time, o.vital_key, o.site_key, o.sequence, e.effective_at, l.subject_key, q.quality
    FROM observations o
    LEFT JOIN clock_corrections c ON c.device_key = of_device AND c.starts_at <= o.device_time
        AND (c.ends_at IS NULL OR o.device_time < c.ends_at)
    CROSS JOIN LATERAL (
        SELECT o.device_time + coalesce(c.offset_microseconds, 0) * interval '1 microsecond' AS effective_at) e
    CROSS JOIN LATERAL (SELECT judged_quality(o.quality, o.device_time, e.effective_at, o.received_at, late_after) AS quality) q
    LEFT JOIN loans l ON l.device_key = of_device AND l.starts_at <= e.effective_at AND (l.ends_at IS NULL OR e.effective_at < l.ends_at)
    WHERE o.subject_key = ANY (borrowers) AND o.device_key = of_device AND o.device_time >= span_start AND o.device_time < span_end
        AND (l.subject_key IS DISTINCT FROM o.subject_key OR e.effective_at <> o.effective_at OR q.quality <> o.quality)
$$;
REVOKE ALL ON FUNCTION unsettled_observations FROM PUBLIC;
GRANT EXECUTE ON FUNCTION unsettled_observations TO agora_store;

-- Planned anew each time, with the span before it: a plan for any span would open every chunk.
CREATE OR REPLACE FUNCTION settle_observations(
    of_device integer, span_start timestamptz, span_end timestamptz, late_after interval, OUT moved bigint, OUT set_aside bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    borrowers integer[] := ARRAY(SELECT b.subject_key FROM device_borrowers b WHERE b.device_key = of_device);
    brought bigint;
BEGIN
    moved := 0;
    set_aside := 0;
    PERFORM FROM unsettled_observations(of_device, borrowers, span_start, span_end, late_after) LIMIT 1;
    IF FOUND THEN
        UPDATE observations o SET subject_key = due.subject_key, effective_at = due.effective_at, quality = due.quality
        FROM unsettled_observations(of_device, borrowers, span_start, span_end, late_after) due
        WHERE o.subject_key = ANY (borrowers) AND o.device_key = of_device
            AND o.device_time >= span_start AND o.device_time < span_end
            AND o.device_time = due.device_time AND o.vital_key = due.vital_key AND o.site_key = due.site_key
            AND o.sequence = due.sequence AND due.subject_key IS NOT NULL;
        GET DIAGNOSTICS moved = ROW_COUNT;
        WITH gone AS (
            DELETE FROM observations o
            USING unsettled_observations(of_device, borrowers, span_start, span_end, late_after) due
            WHERE o.subject_key = ANY (borrowers) AND o.device_key = of_device
                AND o.device_time >= span_start AND o.device_time < span_end
                AND o.device_time = due.device_time AND o.vital_key = due.vital_key AND o.site_key = due.site_key
                AND o.sequence = due.sequence AND due.subject_key IS NULL
            RETURNING o.*
        )
        INSERT INTO observations_set_aside SELECT gone.* FROM gone;
        GET DIAGNOSTICS set_aside = ROW_COUNT;
    END IF;
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
