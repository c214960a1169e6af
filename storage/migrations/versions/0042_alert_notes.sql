-- What a person said about an alert when taking it in hand, and who it was, however the alert went on.
ALTER TABLE alert_transitions ADD COLUMN note text NOT NULL DEFAULT '';
CREATE OR REPLACE VIEW alerts AS
    SELECT DISTINCT ON (alert) alert, org, subject, rule, vital, transition AS state, severity, onset, at AS changed_at, number, about_past,
        coalesce(spoken.actor, '') AS actor, coalesce(spoken.note, '') AS note
    FROM alert_transitions LEFT JOIN LATERAL (
        SELECT word.actor, word.note FROM alert_transitions word
        WHERE word.alert = alert_transitions.alert AND word.actor <> '' ORDER BY word.number DESC LIMIT 1
    ) spoken ON true
    ORDER BY alert, number DESC;
