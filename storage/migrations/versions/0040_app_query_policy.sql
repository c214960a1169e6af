-- Which readings an app may see now: one row per consent and vital, with the span of effective_at it opens. The gateway's query
-- joins it, and the policy below asks it again for each row, so that a query which forgets the consent still returns nothing else.
-- Same rule as contracts.registry.ConsentRecord.allows.
CREATE FUNCTION consented_spans(of_app text, of_subject integer)
RETURNS TABLE (vital_key smallint, code text, consent uuid, revision integer, purpose text, lower_bound timestamptz, upper_bound timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT v.vital_key, v.code, c.consent, c.revision, c.purpose, coalesce(c.history_from, c.granted_at), coalesce(c.ends_at, 'infinity')
    FROM consent_revisions c
    JOIN apps a ON a.name = c.app AND a.revoked_at IS NULL
    JOIN vitals v ON v.code = ANY (c.vitals)
    WHERE c.app = of_app AND c.subject_key = of_subject AND c.detail = 'raw' AND c.withdrawn_at IS NULL
      AND c.granted_at <= statement_timestamp() AND (c.ends_at IS NULL OR c.ends_at > statement_timestamp())
      AND NOT EXISTS (SELECT FROM consent_revisions later WHERE later.consent = c.consent AND later.revision > c.revision)
$$;
COMMENT ON FUNCTION consented_spans IS 'what an app may see of a subject at this moment: spans of effective_at by vital and consent';
REVOKE ALL ON FUNCTION consented_spans FROM PUBLIC;
GRANT EXECUTE ON FUNCTION consented_spans TO agora_gateway, agora_app_query;
GRANT SELECT (name, revoked_at) ON apps TO agora_app_query;

CREATE POLICY consented ON observations FOR SELECT TO agora_app_query USING (
    EXISTS (
        SELECT FROM consented_spans(current_setting('agora.app', true), observations.subject_key) s
        WHERE s.vital_key = observations.vital_key
          AND observations.effective_at >= s.lower_bound AND observations.effective_at < s.upper_bound
    )
);

-- The gateway shows the access log to the operator, and bounds device_time by effective_at and the largest recorded correction.
GRANT SELECT ON access_log, clock_corrections TO agora_gateway;
