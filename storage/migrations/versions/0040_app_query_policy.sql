-- The consents that hold at this moment, by the rule of contracts.registry.ConsentRecord.allows: the newest revision, not withdrawn,
-- begun and not over, for an app that was not revoked. A reading is open to the app when effective_at lies between the bounds.
-- A revision is compared with later ones instead of DISTINCT ON, so that a query for one app and subject uses its index.
CREATE VIEW active_consents WITH (security_invoker = true) AS
    SELECT c.consent, c.revision, c.app, c.subject_key, c.vitals, c.purpose,
           coalesce(c.history_from, c.granted_at) AS lower_bound, coalesce(c.ends_at, 'infinity') AS upper_bound
    FROM consent_revisions c
    JOIN apps a ON a.name = c.app AND a.revoked_at IS NULL
    WHERE c.detail = 'raw' AND c.withdrawn_at IS NULL AND c.granted_at <= statement_timestamp()
      AND (c.ends_at IS NULL OR c.ends_at > statement_timestamp())
      AND NOT EXISTS (SELECT FROM consent_revisions later WHERE later.consent = c.consent AND later.revision > c.revision);
GRANT SELECT ON active_consents TO agora_gateway, agora_app_query;
GRANT SELECT (name, revoked_at) ON apps TO agora_app_query;

-- A hypertable hands its rights down to its chunks, but not its policies: whoever may read the table could name a chunk and read past
-- them. So the role of apps' queries reads a view, whose owner, a role that nobody has, reads the table under the policy.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'agora_app_reader') THEN
        CREATE ROLE agora_app_reader NOLOGIN;
    END IF;
END $$;
GRANT SELECT ON observations, vitals, consent_revisions, active_consents TO agora_app_reader;
GRANT SELECT (name, revoked_at) ON apps TO agora_app_reader;
CREATE VIEW shared_observations AS SELECT * FROM observations;
COMMENT ON VIEW shared_observations IS 'the readings that the app named in the setting agora.app may see at this moment';
ALTER VIEW shared_observations OWNER TO agora_app_reader;
GRANT SELECT ON shared_observations TO agora_app_query;
REVOKE SELECT ON observations FROM agora_app_query;

-- Asked for each row, whatever the query says: one that forgets the consent still returns nothing else.
CREATE POLICY consented ON observations FOR SELECT TO agora_app_reader USING (
    EXISTS (
        SELECT FROM active_consents c JOIN vitals v ON v.code = ANY (c.vitals)
        WHERE c.app = current_setting('agora.app', true) AND c.subject_key = observations.subject_key
          AND v.vital_key = observations.vital_key
          AND observations.effective_at >= c.lower_bound AND observations.effective_at < c.upper_bound
    )
);

-- The gateway shows the access log to the operator, and bounds device_time by effective_at and the largest recorded correction.
GRANT SELECT ON access_log, clock_corrections TO agora_gateway;
