-- A database that was restored from a backup knows nothing of what ended since. Kafka's registry topics do: the keeper holds the tables
-- against them and brings the endings back. Until then nothing that rests on the tables alone may be released.

-- Is this the database it was? ----------------------------------------------------------------------------------------
-- Another cluster, a recovery to a point in time (a new timeline), another database, or the table made anew by pg_restore.
CREATE FUNCTION registry_incarnation() RETURNS text LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT concat_ws('/', (SELECT system_identifier FROM pg_control_system()), substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8),
                     (SELECT oid FROM pg_database WHERE datname = current_database()), 'consent_revisions'::regclass::oid)
$$;
CREATE TABLE registry_confirmation (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    incarnation text NOT NULL,
    confirmed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE registry_confirmation IS
    'which database the keeper last held against Kafka; delete the row after a restore that pg_restore did not make';
-- An empty registry has nothing that could have ended.
INSERT INTO registry_confirmation (incarnation) SELECT registry_incarnation() WHERE NOT EXISTS (SELECT FROM consent_revisions)
    AND NOT EXISTS (SELECT FROM devices);
CREATE FUNCTION registry_confirmed() RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM registry_confirmation WHERE incarnation = registry_incarnation())
$$;
CREATE FUNCTION confirm_registry() RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO registry_confirmation (incarnation) VALUES (registry_incarnation())
    ON CONFLICT (only_row) DO UPDATE SET incarnation = excluded.incarnation, confirmed_at = excluded.confirmed_at
$$;
REVOKE ALL ON FUNCTION registry_incarnation, registry_confirmed, confirm_registry FROM PUBLIC;
GRANT EXECUTE ON FUNCTION registry_confirmed TO agora_keeper, agora_gateway, agora_operator;
GRANT EXECUTE ON FUNCTION confirm_registry TO agora_keeper;
GRANT SELECT ON registry_confirmation TO agora_operator;

-- Endings, and nothing else: by none of these can the keeper begin or widen a permission -------------------------------
CREATE FUNCTION end_consent(of_consent uuid, as_revision integer, at timestamptz) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO consent_revisions (consent, revision, subject_key, app, vitals, purpose, detail, granted_at, history_from, ends_at,
                                   withdrawn_at, text_shown, text_hash, recorded_by)
    SELECT consent, greatest(as_revision, revision + 1), subject_key, app, vitals, purpose, detail, granted_at, history_from, ends_at,
           coalesce(at, clock_timestamp()), text_shown, text_hash, 'keeper, by what stands in Kafka'
    FROM consents WHERE consent = of_consent AND withdrawn_at IS NULL
$$;
CREATE FUNCTION end_app(of_app text) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE apps SET revoked_at = clock_timestamp() WHERE name = of_app AND revoked_at IS NULL
$$;
CREATE FUNCTION end_device(of_org text, of_device text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE devices SET retired_at = clock_timestamp(), broker_settled_at = NULL
    WHERE org = of_org AND name = of_device AND retired_at IS NULL
$$;
-- The loan is cut to the spans given, and to its own; without any it goes.
CREATE FUNCTION narrow_loan(
    of_org text, of_device text, of_subject text, begun timestamptz, starts timestamptz[], ends timestamptz[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE old loans;
BEGIN
    DELETE FROM loans l USING devices d, subjects s
    WHERE d.device_key = l.device_key AND d.org = of_org AND d.name = of_device AND s.subject_key = l.subject_key
        AND s.name = of_subject AND l.starts_at = begun
    RETURNING l.* INTO STRICT old;
    INSERT INTO loans (device_key, subject_key, starts_at, ends_at)
    SELECT old.device_key, old.subject_key, greatest(span.begins, old.starts_at), least(span.ends, old.ends_at)
    FROM unnest(starts, ends) AS span (begins, ends);
END $$;
REVOKE ALL ON FUNCTION end_consent, end_app, end_device, narrow_loan FROM PUBLIC;
GRANT EXECUTE ON FUNCTION end_consent, end_app, end_device, narrow_loan TO agora_keeper;
GRANT INSERT ON settlements TO agora_keeper;
