-- A worker names a reading by the loans it knows, and the store writes what it says; where the device had changed hands by then, the row
-- is moved by the settlement. Until then it is nobody's to see: an app sees a reading of a subject only where that subject had the
-- device at that time, by the loans as they stand. The router asks the same before it releases (sharing.lendings).
CREATE INDEX loans_by_device ON loans (device_key, starts_at);
GRANT SELECT (device_key, subject_key, starts_at, ends_at) ON loans TO agora_app_reader;
ALTER POLICY consented ON observations USING (
    EXISTS (
        SELECT FROM active_consents c JOIN vitals v ON v.code = ANY (c.vitals)
        WHERE c.app = current_setting('agora.app', true) AND c.subject_key = observations.subject_key
          AND v.vital_key = observations.vital_key
          AND observations.effective_at >= c.lower_bound AND observations.effective_at < c.upper_bound
    )
    AND EXISTS (
        SELECT FROM loans l
        WHERE l.device_key = observations.device_key AND l.subject_key = observations.subject_key
          AND l.starts_at <= observations.effective_at AND (l.ends_at IS NULL OR observations.effective_at < l.ends_at)
    )
);
