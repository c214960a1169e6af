-- A site is a word of the device's own, and the keys of `sites` are few and were everybody's: one device could use them all up, and then
-- nobody's new site could be stored. So each device numbers its own, from -1 downwards, and can fill nothing but its own numbers.
-- What has a key above zero keeps it, for all devices alike: rows are not rewritten, and no name is added any more.
INSERT INTO sites (name) SELECT '' WHERE NOT EXISTS (SELECT FROM sites WHERE name = '');
REVOKE INSERT, UPDATE ON sites FROM agora_store;
COMMENT ON TABLE sites IS 'sites that all devices share: none (the empty name), and what was named before each device had its own';

CREATE TABLE device_sites (
    device_key integer NOT NULL,
    site_key smallint NOT NULL CHECK (site_key < 0),
    name text NOT NULL,
    PRIMARY KEY (device_key, site_key),
    UNIQUE (device_key, name)
);
COMMENT ON TABLE device_sites IS 'sites that one device named; few each (AGORA_STORAGE_SITES_PER_DEVICE)';
GRANT SELECT, INSERT ON device_sites TO agora_store;
GRANT SELECT ON device_sites TO agora_gateway, agora_app_query, agora_keeper, agora_operator;

CREATE OR REPLACE VIEW readings WITH (security_invoker = true) AS
    SELECT o.effective_at, s.name AS subject, d.org || '/' || d.name AS device, v.code, v.display, coalesce(n.name, t.name) AS site,
           o.value, v.unit, o.sequence, o.quality, o.device_time, o.received_at
    FROM observations o JOIN subjects s USING (subject_key) JOIN devices d USING (device_key) JOIN vitals v USING (vital_key)
    LEFT JOIN sites t ON t.site_key = o.site_key
    LEFT JOIN device_sites n ON n.device_key = o.device_key AND n.site_key = o.site_key;
