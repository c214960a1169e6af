-- A subject's row holds the hospital's identifier, a device's its broker password, an app's its secret, a consent the text shown.
-- Whoever needs names and keys alone may read no more, least of all the role under which apps' queries run.
REVOKE SELECT ON subjects, devices, consents, consent_revisions FROM agora_app_query;
GRANT SELECT (device_key, org, name) ON devices TO agora_app_query;
GRANT SELECT (consent, revision, app, subject_key, vitals, purpose, detail, granted_at, history_from, ends_at, withdrawn_at)
    ON consent_revisions TO agora_app_query;
REVOKE SELECT ON organisations, subjects, devices FROM agora_gateway, agora_store;
GRANT SELECT (name, display) ON organisations TO agora_gateway;
GRANT SELECT (subject_key, name) ON subjects TO agora_gateway, agora_store;
GRANT SELECT (device_key, org, name) ON devices TO agora_gateway, agora_store;
-- The router learns consents and apps from Kafka, and asks the database only whose topic stands.
REVOKE SELECT ON subjects, apps, consents, consent_revisions FROM agora_router;
GRANT SELECT (name, provisioned_at, revoked_at) ON apps TO agora_router;
