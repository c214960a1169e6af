-- Which apps were told, and where on their topic, that a consent ended and its data must be erased.
CREATE TABLE withdrawal_notices (
    consent uuid NOT NULL,
    revision integer NOT NULL,
    app name_text NOT NULL,
    withdrawn_at timestamptz NOT NULL,
    topic_offset bigint NOT NULL,
    appended_at timestamptz NOT NULL,
    PRIMARY KEY (consent, revision)
);
COMMENT ON COLUMN withdrawal_notices.appended_at IS 'as the broker stamped it';
GRANT SELECT, INSERT ON withdrawal_notices TO agora_router;
GRANT SELECT ON withdrawal_notices TO agora_operator, agora_gateway, agora_keeper;
CREATE INDEX access_log_by_consent ON access_log (consent, outcome, at) WHERE consent IS NOT NULL;
