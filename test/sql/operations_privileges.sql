-- Who may do what: PUBLIC next to nothing, each duty what it needs and no more.
\set SHOW_CONTEXT never
\set VERBOSITY terse
DROP EXTENSION event_engine;
CREATE EXTENSION event_engine;
CREATE TEMP VIEW members AS
	SELECT d.classid, d.objid FROM pg_depend AS d
	WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
		AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'event_engine');

-- Open to everybody.
SELECT p.oid::regprocedure AS open_function
FROM pg_proc AS p JOIN members AS m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid,
	aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
WHERE a.grantee = 0 ORDER BY p.oid::regprocedure::text COLLATE "C";
SELECT c.oid::regclass AS open_relation, a.privilege_type
FROM pg_class AS c JOIN members AS m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid,
	aclexplode(c.relacl) AS a
WHERE a.grantee = 0 AND c.relkind <> 'c' ORDER BY c.oid::regclass::text COLLATE "C";
SELECT n.nspname, a.privilege_type
FROM pg_namespace AS n, aclexplode(n.nspacl) AS a
WHERE n.nspname = 'event_engine' AND a.grantee = 0;

-- Neither of a duty nor called internal: what superusers alone may call.
SELECT p.oid::regprocedure AS function_without_duty
FROM pg_proc AS p JOIN members AS m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
WHERE NOT EXISTS (SELECT FROM event_engine.duties AS d WHERE d.oid = p.oid)
	AND NOT EXISTS (SELECT FROM aclexplode(p.proacl) AS a WHERE a.grantee = 0)
	AND obj_description(p.oid, 'pg_proc') !~ '^(Internal|Trigger|Does the work of)'
ORDER BY p.oid::regprocedure::text COLLATE "C";
SELECT duty, kind, count(*) > 0 AS some FROM event_engine.duties GROUP BY 1, 2 ORDER BY 1, 2;

-- Everything says what it is for, whoever runs with more rights pins its path.
SELECT pg_describe_object(m.classid, m.objid, 0) AS without_comment
FROM members AS m
LEFT JOIN pg_class AS c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
LEFT JOIN pg_type AS t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid
WHERE obj_description(m.objid, m.classid::regclass::name) IS NULL
	AND (m.classid = 'pg_proc'::regclass OR c.relkind IN ('r', 'p', 'v', 'm', 'f')
		OR t.typtype IN ('e', 'd', 'r')
		OR t.typtype = 'c' AND EXISTS (SELECT FROM pg_class AS o WHERE o.oid = t.typrelid AND o.relkind = 'c')
		OR c.relkind = 'S' AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = c.oid
			AND d.classid = 'pg_class'::regclass AND d.deptype = 'i'))
ORDER BY 1;
SELECT p.oid::regprocedure AS definer_without_path
FROM pg_proc AS p JOIN members AS m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
WHERE p.prosecdef AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (p.proconfig), false)
ORDER BY p.oid::regprocedure::text COLLATE "C";

-- Roles, and what they find.
CREATE ROLE regress_publisher;
CREATE ROLE regress_subscriber LOGIN;
CREATE ROLE regress_reader;
CREATE ROLE regress_operator;
CREATE ROLE regress_nobody;
CALL event_engine.grant_duty('publisher', 'regress_publisher');
CALL event_engine.grant_duty('subscriber', 'regress_subscriber');
CALL event_engine.grant_duty('reader', 'regress_reader');
CALL event_engine.grant_duty('operator', 'regress_operator');
CALL event_engine.grant_duty('owner', 'regress_nobody');
CALL event_engine.grant_duty(NULL, 'regress_nobody');
CALL event_engine.grant_duty('reader', NULL);
SELECT r.role, event_engine.duties_of(r.role) FROM (VALUES ('regress_publisher'::regrole),
	('regress_subscriber'), ('regress_reader'), ('regress_operator'), ('regress_nobody')) AS r (role);

SET ROLE regress_nobody;
SELECT event_engine.jsonschema_is_valid('{"type": "string"}', '"x"');
SELECT event_engine.publish_event('privileged', '{}');
SELECT event_engine.list_events();
SELECT count(*) FROM event_engine.events;
SELECT event_engine.subscribe('nobody', '{#}');
SELECT * FROM event_engine.subscription_list;
SELECT event_engine.health();
SELECT nextval('event_engine.event_seq');
SELECT event_engine.wake_workers();
SELECT event_engine.lock_receipt(0, NULL);
CALL event_engine.grant_duty('operator', 'regress_nobody');
CREATE FUNCTION pg_temp.takes(e event_engine.event) RETURNS uuid LANGUAGE sql AS 'SELECT e.id';
DROP FUNCTION pg_temp.takes(event_engine.event);
RESET ROLE;

-- The operator defines; nobody else does.
SET ROLE regress_publisher;
SELECT event_engine.register_event_definition('privileged');
SET ROLE regress_operator;
SELECT event_engine.register_event_definition('privileged',
	'{"type": "object", "properties": {"n": {"type": "integer"}}}');
SELECT event_engine.run_maintenance();
SELECT event_engine.publish_event('privileged', '{}');
SELECT count(*) FROM event_engine.events;
INSERT INTO event_engine.event_definitions (event_id, name, pattern, version) VALUES ('x', 'x', 'x', '1.0.0');

-- The publisher publishes, by function, INSERT and COPY.
SET ROLE regress_publisher;
SELECT event_engine.publish_event('privileged', '{"n": 1}', event_id => 'one') IS NOT NULL AS published;
SELECT count(*) FROM event_engine.publish_events('[{"pattern": "privileged", "payload": {"n": 2}, "eventId": "one"},
	{"pattern": "privileged", "payload": {"n": 3}}]');
INSERT INTO event_engine.events (pattern, payload, event_id) VALUES ('privileged', '{"n": 4}', 'four');
INSERT INTO event_engine.events (pattern, payload, event_id) VALUES ('privileged', '{"n": 5}', 'four');
COPY event_engine.events (pattern, payload) FROM stdin;
privileged	{"n": 6}
privileged	{"n": 7}
\.
INSERT INTO event_engine.events (pattern, payload) VALUES ('privileged', '{"n": "eight"}');
INSERT INTO event_engine.events (pattern, payload, seq, xid, id) VALUES ('privileged', '{}', 1, '1', gen_random_uuid());
SELECT count(*) FROM event_engine.validate_event('privileged', '{"n": "x"}');
SELECT pattern FROM event_engine.get_event_definition('privileged');
SELECT count(*) FROM event_engine.events;
SELECT count(*) FROM event_engine.event_keys;
SELECT event_engine.get_event(gen_random_uuid());
SELECT event_engine.subscribe('publisher', '{#}');
UPDATE event_engine.events SET payload = '{}';
DELETE FROM event_engine.events;
TRUNCATE event_engine.events;
INSERT INTO event_engine.events_default (pattern, payload) VALUES ('privileged', '{}');

-- The subscriber subscribes its own function, which runs as itself, and pulls.
RESET ROLE;
CREATE SCHEMA subscriber AUTHORIZATION regress_subscriber;
SET ROLE regress_subscriber;
CREATE TABLE subscriber.got (n integer, by_whom name);
CREATE FUNCTION subscriber.take(e event_engine.event) RETURNS void LANGUAGE sql
	AS $$ INSERT INTO subscriber.got VALUES ((e.payload ->> 'n')::integer, current_user) $$;
SELECT event_engine.subscribe('handled', '{privileged}', 'subscriber.take',
	options => '{"start": "beginning"}') IS NOT NULL AS subscribed;
SELECT event_engine.subscribe('pulled', '{priv#,#}') IS NOT NULL AS subscribed;
SELECT event_engine.subscribe('pulled', '{#}', options => '{"start": "beginning"}') IS NOT NULL AS subscribed;
SELECT event_engine.pause_subscription('pulled');
SELECT event_engine.resume_subscription('pulled');
SELECT count(*) FROM event_engine.receive_events('pulled');
-- By a worker or in this session, whoever is first.
DO $$
BEGIN
	FOR i IN 1 .. 600 LOOP
		PERFORM event_engine.process_batch(1000, 'handled');
		EXIT WHEN (SELECT count(*) FROM subscriber.got) = 5;
		COMMIT;
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$;
SELECT * FROM subscriber.got ORDER BY n;
SELECT count(*) FROM event_engine.events;
SELECT count(*) FROM event_engine.subscriptions;
SELECT event_engine.publish_event('privileged', '{}');
SELECT event_engine.match_event('privileged', '{}');
UPDATE event_engine.subscriptions SET owner = 10;

-- The reader reads.
SET ROLE regress_reader;
SELECT count(*) FROM event_engine.events;
SELECT count(*) FROM event_engine.list_events('priv.#');
SELECT count(*) FROM event_engine.list_events('privileged');
SELECT count(*) FROM event_engine.get_event((SELECT id FROM event_engine.events LIMIT 1));
SELECT count(*) FROM event_engine.trace_events('none');
SELECT events FROM event_engine.event_counts();
SELECT subscriber, matches FROM event_engine.match_event('privileged', '{}') ORDER BY 1;
SELECT matched FROM event_engine.test_filter('{privileged}', '$.payload.n > 3');
SELECT subscriber FROM event_engine.subscription_list ORDER BY 1;
SELECT subscriber, owner FROM event_engine.stat_subscriptions ORDER BY 1;
SELECT count(*) > 0 AS some FROM event_engine.stat_partitions;
SELECT count(*) >= 0 AS any FROM event_engine.stat_workers;
SELECT count(*) FROM event_engine.captured_tables;
SELECT event_engine.health() ->> 'service' AS service;
SELECT event_engine.publish_event('privileged', '{}');
INSERT INTO event_engine.events (pattern, payload) VALUES ('privileged', '{}');
SELECT event_engine.pause_subscription('handled');
SELECT count(*) FROM event_engine.event_keys;
SELECT event_engine.run_maintenance();
RESET ROLE;

-- What is taken back is gone, but for what another duty needs.
CALL event_engine.grant_duty('publisher', 'regress_reader');
SELECT event_engine.duties_of('regress_reader');
CALL event_engine.revoke_duty('reader', 'regress_reader');
SELECT event_engine.duties_of('regress_reader');
SET ROLE regress_reader;
SELECT pattern FROM event_engine.get_event_definition('privileged');
SELECT event_engine.publish_event('privileged', '{"n": 9}') IS NOT NULL AS published;
SELECT count(*) FROM event_engine.events;
RESET ROLE;
CALL event_engine.revoke_duty('publisher', 'regress_reader');
SELECT count(*) FROM event_engine.duties AS d, aclexplode(d.acl) AS a
WHERE a.grantee = 'regress_reader'::regrole;

SELECT event_engine.unsubscribe(subscriber) FROM event_engine.subscription_list
WHERE owner = 'regress_subscriber'::regrole;
SET client_min_messages = error;
DROP SCHEMA subscriber CASCADE;
DROP OWNED BY regress_publisher, regress_subscriber, regress_reader, regress_operator;
DROP ROLE regress_publisher, regress_subscriber, regress_reader, regress_operator, regress_nobody;
DROP EXTENSION event_engine;
CREATE EXTENSION event_engine;
