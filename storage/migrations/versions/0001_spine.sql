-- Roles are NOLOGIN here; whoever deploys gives them LOGIN and a password.
DO $$
DECLARE role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['agora_store', 'agora_router', 'agora_gateway', 'agora_keeper', 'agora_operator', 'agora_app_query'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role);
        END IF;
    END LOOP;
END $$;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
CREATE EXTENSION IF NOT EXISTS timescaledb;
CREATE EXTENSION IF NOT EXISTS btree_gist;

CREATE DOMAIN name_text AS text CHECK (VALUE ~ '^[a-z0-9-]{1,64}$');

-- Registry ------------------------------------------------------------------------------------------------------------
CREATE TABLE organisations (
    name name_text PRIMARY KEY,
    display text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE subjects (
    subject_key integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name name_text NOT NULL UNIQUE,
    org name_text NOT NULL REFERENCES organisations,
    identifier_system text NOT NULL,
    identifier_value text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (org, identifier_system, identifier_value)
);
CREATE TABLE devices (
    device_key integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org name_text NOT NULL REFERENCES organisations,
    name name_text NOT NULL,
    model text NOT NULL,
    broker_password_hash text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    retired_at timestamptz,
    UNIQUE (org, name)
);
COMMENT ON COLUMN devices.broker_password_hash IS 'mosquitto''s $7$ form; the password itself is shown once and never kept';
CREATE TABLE loans (
    loan_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_key integer NOT NULL REFERENCES devices,
    subject_key integer NOT NULL REFERENCES subjects,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz,
    CHECK (ends_at IS NULL OR ends_at > starts_at),
    EXCLUDE USING gist (device_key WITH =, tstzrange(starts_at, ends_at) WITH &&)
);
CREATE TABLE clock_corrections (
    correction_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_key integer NOT NULL REFERENCES devices,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz,
    offset_microseconds bigint NOT NULL,
    EXCLUDE USING gist (device_key WITH =, tstzrange(starts_at, ends_at) WITH &&)
);
CREATE TABLE rules (
    name name_text PRIMARY KEY,
    definition jsonb NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);

-- Outbox: each change of the registry, in the order of its commit -----------------------------------------------------
CREATE TABLE outbox (
    version bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    key text NOT NULL,
    value jsonb,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    published_at timestamptz
);
CREATE INDEX outbox_pending ON outbox (version) WHERE published_at IS NULL;
CREATE FUNCTION outbox_append(to_topic text, record_key text, record jsonb) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE number bigint;
BEGIN
    IF session_user = 'agora_gateway' AND to_topic <> 'agora.registry.consents.v1' THEN
        RAISE EXCEPTION 'the gateway may publish consents only' USING ERRCODE = 'insufficient_privilege';
    END IF;
    -- Held until commit, so that versions become visible in their order.
    PERFORM pg_advisory_xact_lock(4201);
    INSERT INTO outbox (topic, key, value) VALUES (to_topic, record_key, record) RETURNING version INTO number;
    UPDATE outbox SET value = value || jsonb_build_object('version', number) WHERE version = number AND value IS NOT NULL;
    PERFORM pg_notify('agora_outbox', number::text);
    RETURN number;
END $$;
REVOKE ALL ON FUNCTION outbox_append FROM PUBLIC;

-- Apps and consents ---------------------------------------------------------------------------------------------------
CREATE TABLE apps (
    name name_text PRIMARY KEY,
    org name_text NOT NULL REFERENCES organisations,
    display text NOT NULL,
    client_id text NOT NULL UNIQUE,
    secret_hash text NOT NULL,
    pseudonym_epoch integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    provisioned_at timestamptz,
    revoked_at timestamptz
);
COMMENT ON COLUMN apps.provisioned_at IS 'when its topic and access rights stood in Kafka';
CREATE TABLE consent_revisions (
    consent uuid NOT NULL,
    revision integer NOT NULL CHECK (revision >= 1),
    subject_key integer NOT NULL REFERENCES subjects,
    app name_text NOT NULL REFERENCES apps,
    vitals text[] NOT NULL CHECK (cardinality(vitals) > 0),
    purpose text NOT NULL,
    detail text NOT NULL DEFAULT 'raw' CHECK (detail IN ('raw', 'aggregated')),
    granted_at timestamptz NOT NULL,
    history_from timestamptz,
    ends_at timestamptz,
    withdrawn_at timestamptz,
    text_shown text NOT NULL,
    text_hash text NOT NULL,
    recorded_by text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (consent, revision)
);
CREATE INDEX consent_revisions_by_app ON consent_revisions (app, subject_key);
CREATE VIEW consents AS
    SELECT DISTINCT ON (consent) * FROM consent_revisions ORDER BY consent, revision DESC;
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'table % is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER consent_revisions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON consent_revisions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Readings ------------------------------------------------------------------------------------------------------------
CREATE TABLE vitals (
    vital_key smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code text NOT NULL UNIQUE,
    display text NOT NULL,
    unit text NOT NULL
);
COMMENT ON TABLE vitals IS 'the catalogue''s entries, written by the store at its start';
CREATE TABLE sites (
    site_key smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE
);
CREATE TABLE observations (
    device_time timestamptz NOT NULL,
    effective_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    sequence bigint NOT NULL,
    value double precision NOT NULL,
    device_key integer NOT NULL,
    subject_key integer NOT NULL,
    quality integer NOT NULL,
    vital_key smallint NOT NULL,
    site_key smallint NOT NULL,
    profile smallint NOT NULL
);
COMMENT ON TABLE observations IS 'one reading a row; device_time never changes, effective_at is corrected for the device''s clock';
SELECT create_hypertable('observations', by_range('device_time', INTERVAL '1 day'), create_default_indexes => false);
-- Led by the time, so that the index grows at its end.
CREATE UNIQUE INDEX observations_identity ON observations (device_time, device_key, vital_key, site_key, sequence);
CREATE INDEX observations_read ON observations (subject_key, vital_key, effective_at);
ALTER TABLE observations ENABLE ROW LEVEL SECURITY;
CREATE POLICY everything ON observations FOR SELECT TO agora_operator, agora_keeper USING (true);
CREATE VIEW readings WITH (security_invoker = true) AS
    SELECT o.effective_at, s.name AS subject, d.org || '/' || d.name AS device, v.code, v.display, t.name AS site, o.value, v.unit,
           o.sequence, o.quality, o.device_time, o.received_at
    FROM observations o JOIN subjects s USING (subject_key) JOIN devices d USING (device_key) JOIN vitals v USING (vital_key)
    JOIN sites t USING (site_key);
COMMENT ON VIEW readings IS 'observations with names instead of keys, for people';

-- The store's place in each topic, and the ledger ---------------------------------------------------------------------
CREATE TABLE offsets (
    topic text NOT NULL,
    partition integer NOT NULL,
    next bigint NOT NULL,
    PRIMARY KEY (topic, partition)
);
CREATE TABLE ledger_raw (
    raw_partition integer NOT NULL,
    raw_offset bigint NOT NULL,
    hour timestamptz NOT NULL,
    received integer NOT NULL,
    replayed integer NOT NULL,
    accepted integer NOT NULL,
    duplicate integer NOT NULL,
    quarantined integer NOT NULL,
    readings integer NOT NULL,
    resent boolean NOT NULL DEFAULT false,
    PRIMARY KEY (raw_partition, raw_offset),
    CHECK (received + replayed = accepted + duplicate + quarantined)
);
COMMENT ON COLUMN ledger_raw.resent IS 'true where the record was a hole and its messages were sent through again; then all counts are 0';
CREATE TABLE ledger_stored (
    raw_partition integer NOT NULL,
    raw_offset bigint NOT NULL,
    vitals_partition integer NOT NULL,
    messages_stored integer NOT NULL,
    messages_duplicate integer NOT NULL,
    messages_quarantined integer NOT NULL,
    readings_stored integer NOT NULL,
    readings_duplicate integer NOT NULL,
    readings_quarantined integer NOT NULL,
    PRIMARY KEY (raw_partition, raw_offset, vitals_partition)
);
CREATE TABLE ledger_devices (
    hour timestamptz NOT NULL,
    org text NOT NULL,
    device text NOT NULL,
    received bigint NOT NULL DEFAULT 0,
    replayed bigint NOT NULL DEFAULT 0,
    accepted bigint NOT NULL DEFAULT 0,
    duplicate_normalise bigint NOT NULL DEFAULT 0,
    quarantined_normalise bigint NOT NULL DEFAULT 0,
    readings bigint NOT NULL DEFAULT 0,
    stored bigint NOT NULL DEFAULT 0,
    duplicate_store bigint NOT NULL DEFAULT 0,
    quarantined_store bigint NOT NULL DEFAULT 0,
    readings_stored bigint NOT NULL DEFAULT 0,
    readings_duplicate bigint NOT NULL DEFAULT 0,
    readings_quarantined bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (hour, org, device)
);
CREATE TABLE quarantine (
    quarantine_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL,
    source_index integer NOT NULL,
    messages integer NOT NULL,
    org text NOT NULL,
    device text NOT NULL,
    stage text NOT NULL,
    code text NOT NULL,
    words text NOT NULL,
    field text NOT NULL,
    topic text NOT NULL,
    payload bytea NOT NULL,
    received_at timestamptz NOT NULL,
    quarantined_at timestamptz NOT NULL,
    software text NOT NULL,
    correlation bytea,
    message_id text,
    replay_of text,
    replayed_at timestamptz,
    UNIQUE (source, source_index, stage)
);
CREATE INDEX quarantine_open ON quarantine (code, quarantine_id) WHERE replayed_at IS NULL;

-- Alerts --------------------------------------------------------------------------------------------------------------
CREATE TABLE alert_transitions (
    alert uuid NOT NULL,
    number integer NOT NULL,
    org text NOT NULL,
    subject text NOT NULL,
    rule text NOT NULL,
    rule_version integer NOT NULL,
    vital text NOT NULL,
    transition text NOT NULL,
    severity text NOT NULL,
    at timestamptz NOT NULL,
    onset timestamptz NOT NULL,
    value double precision,
    unit text NOT NULL,
    reading text NOT NULL,
    actor text NOT NULL,
    about_past boolean NOT NULL,
    received_at timestamptz NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (alert, number)
);
CREATE VIEW alerts AS
    SELECT DISTINCT ON (alert) alert, org, subject, rule, vital, transition AS state, severity, onset, at AS changed_at, number, about_past
    FROM alert_transitions ORDER BY alert, number DESC;

-- Every access, and every refusal -------------------------------------------------------------------------------------
CREATE TABLE access_log (
    access_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    app text NOT NULL,
    channel text NOT NULL CHECK (channel IN ('kafka', 'fhir', 'token', 'api')),
    outcome text NOT NULL CHECK (outcome IN ('released', 'refused', 'empty')),
    reason text NOT NULL DEFAULT '',
    subject text NOT NULL DEFAULT '',
    vitals text[] NOT NULL DEFAULT '{}',
    period_start timestamptz,
    period_end timestamptz,
    readings integer NOT NULL DEFAULT 0,
    purpose text NOT NULL DEFAULT '',
    consent uuid,
    consent_revision integer,
    request text NOT NULL DEFAULT '',
    once text UNIQUE
);
COMMENT ON COLUMN access_log.once IS 'set by the router to (app, vitals partition, offset, subject, …), so that a second pass is logged once';
CREATE INDEX access_log_by_subject ON access_log (subject, at);
CREATE INDEX access_log_by_app ON access_log (app, at);
CREATE TRIGGER access_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON access_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Rights, least first -------------------------------------------------------------------------------------------------
-- The store owns the hypertable, since COPY is refused to roles under row-level security.
ALTER TABLE observations OWNER TO agora_store;
GRANT SELECT, INSERT, UPDATE ON vitals, sites, offsets, ledger_raw, ledger_stored, ledger_devices, quarantine, alert_transitions TO agora_store;
GRANT SELECT ON organisations, subjects, devices TO agora_store;
GRANT SELECT ON subjects, apps, consents, consent_revisions TO agora_router;
GRANT INSERT ON access_log TO agora_router, agora_gateway;
GRANT SELECT ON organisations, subjects, devices, apps, consents, consent_revisions, vitals, sites, alerts, alert_transitions TO agora_gateway;
GRANT INSERT ON consent_revisions TO agora_gateway;
GRANT EXECUTE ON FUNCTION outbox_append TO agora_gateway, agora_operator, agora_keeper;
GRANT agora_app_query TO agora_gateway;
GRANT SELECT ON observations, vitals, sites, devices, subjects, consents, consent_revisions TO agora_app_query;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO agora_keeper;
GRANT INSERT, UPDATE, DELETE ON outbox TO agora_keeper;
GRANT INSERT, UPDATE ON ledger_raw TO agora_keeper;
GRANT UPDATE (provisioned_at) ON apps TO agora_keeper;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO agora_operator;
GRANT INSERT, UPDATE ON organisations, subjects, devices, loans, clock_corrections, rules, apps TO agora_operator;
GRANT INSERT ON consent_revisions, access_log TO agora_operator;
GRANT UPDATE (replayed_at) ON quarantine TO agora_operator;
