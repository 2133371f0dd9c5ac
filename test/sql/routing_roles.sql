-- A role that is made, altered or granted something makes nobody read all
-- subscriptions again; what an owner may have follows nevertheless.
\set SHOW_CONTEXT never
DROP EXTENSION event_engine;
CREATE EXTENSION event_engine;
CREATE ROLE regress_ee_owner LOGIN;
CREATE ROLE regress_ee_group;
CREATE ROLE regress_ee_other LOGIN;
SELECT event_engine.register_event_definition('ordered');
CALL event_engine.grant_duty('subscriber', 'regress_ee_owner');
CALL event_engine.revoke_subscribe('#', 'regress_ee_owner');
CALL event_engine.grant_subscribe('ordered', 'regress_ee_group');
GRANT regress_ee_group TO regress_ee_owner;
SET ROLE regress_ee_owner;
SELECT event_engine.subscribe('owned', '{ordered}') IS NOT NULL AS ok;
RESET ROLE;

-- How often all subscriptions are read for asking whom an event reaches.
CREATE FUNCTION asked(OUT reached text, OUT readings bigint) LANGUAGE plpgsql AS $$
DECLARE
	scans CONSTANT text := 'SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relid = ''event_engine.subscriptions''::regclass';
	before bigint;
BEGIN
	EXECUTE scans INTO before;
	reached := (SELECT string_agg(s, ', ') FROM event_engine.event_subscribers(ROW(NULL, NULL, 'ordered',
		NULL, '{"type": "external"}', now(), '{}', '{}', now(), NULL, NULL, NULL,
		'normal', NULL, NULL, 1, NULL)::event_engine.event) AS s);
	EXECUTE scans INTO readings;
	readings := readings - before;
END $$;
BEGIN;
SELECT * FROM asked();
SELECT * FROM asked();
CREATE ROLE regress_ee_new LOGIN;
SELECT * FROM asked();
GRANT regress_ee_group TO regress_ee_new;
ALTER ROLE regress_ee_other CONNECTION LIMIT 7;
SELECT * FROM asked();
CALL event_engine.grant_subscribe('ordered', 'regress_ee_other');
SELECT * FROM asked();
-- Others are concerned now, and what is remembered of them is asked anew.
REVOKE regress_ee_group FROM regress_ee_owner;
SELECT * FROM asked();
GRANT regress_ee_group TO regress_ee_owner;
SELECT * FROM asked();
CALL event_engine.revoke_subscribe('ordered', 'regress_ee_group');
SELECT * FROM asked();
-- A change of the subscriptions is read.
CALL event_engine.grant_subscribe('ordered', 'regress_ee_owner');
UPDATE event_engine.subscriptions SET updated_at = now();
SELECT * FROM asked();
ROLLBACK;
DROP EXTENSION event_engine CASCADE;
CREATE EXTENSION event_engine;
DROP OWNED BY regress_ee_owner, regress_ee_group, regress_ee_other;
DROP ROLE regress_ee_owner, regress_ee_group, regress_ee_other;
