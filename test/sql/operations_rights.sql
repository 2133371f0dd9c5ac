-- Who may read what: the log, and what is kept of deliveries.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_anna LOGIN;
CREATE ROLE regress_all;
CREATE ROLE regress_acme;
CREATE ROLE regress_both;
GRANT regress_acme TO regress_both;
SELECT event_engine.register_event_definition(p) FROM unnest('{invoice.paid,order.created}'::text[]) AS p;
CALL event_engine.grant_read('invoice.#', 'regress_anna');
CALL event_engine.grant_read('#', 'regress_all');
CALL event_engine.grant_read('#', 'regress_acme', tenant => 'acme');
CALL event_engine.grant_read('order.created', 'regress_both', tenant => 'globex');
SELECT count(event_engine.publish_event(p, jsonb_build_object('p', p, 't', t),
	CASE WHEN t IS NULL THEN '{}' ELSE jsonb_build_object('correlationId', 'c', 'tags', jsonb_build_object('tenant', t)) END))
FROM unnest('{invoice.paid,order.created}'::text[]) AS p, unnest('{acme,globex,NULL}'::text[]) AS t;
SELECT id AS invoice FROM event_engine.events WHERE payload = '{"p": "invoice.paid", "t": "globex"}' \gset
SELECT id AS "order" FROM event_engine.events WHERE payload = '{"p": "order.created", "t": "acme"}' \gset

-- Of a pattern.
SET ROLE regress_anna;
SELECT pattern, event_engine.event_tenant(metadata) AS tenant FROM event_engine.readable_events ORDER BY seq;
SELECT count(*) FROM event_engine.events;
SELECT count(*) FROM event_engine.get_event(:'invoice');
SELECT count(*) FROM event_engine.get_event(:'order');
SELECT count(*) FROM event_engine.list_events();
SELECT count(*) FROM event_engine.list_events(correlation_id => 'c');
SELECT count(*) FROM event_engine.list_events('order.created');
SELECT pattern, events FROM event_engine.event_counts();
SELECT matched, tested, jsonb_array_length(examples) FROM event_engine.test_filter('{#}');
SELECT event_engine.assert_published('#', since => '2000-01-01');
SELECT event_engine.assert_published('order.created', since => '2000-01-01');
SELECT event_engine.match_event(:'invoice');
SELECT event_engine.trace_events('c');
SELECT count(*) FROM event_engine.stat_definitions;
SELECT count(*) FROM event_engine.subscriptions;
-- What a condition of one's own is shown.
CREATE FUNCTION pg_temp.spy(payload jsonb) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS
	$$ BEGIN IF payload ->> 'p' LIKE 'order%' THEN RAISE WARNING 'seen %', payload; END IF; RETURN true; END $$;
SELECT count(*) FROM event_engine.readable_events WHERE pg_temp.spy(payload);
RESET ROLE;

-- Of everything, and of tenants.
SET ROLE regress_all;
SELECT count(*) FROM event_engine.events;
SELECT count(*) FROM event_engine.readable_events;
SET ROLE regress_acme;
SELECT pattern, event_engine.event_tenant(metadata) AS tenant FROM event_engine.readable_events ORDER BY seq;
SELECT count(*) FROM event_engine.get_event(:'invoice');
SELECT count(*) FROM event_engine.get_event(:'order');
SET ROLE regress_both;
SELECT pattern, event_engine.event_tenant(metadata) AS tenant FROM event_engine.list_events() ORDER BY seq;
RESET ROLE;
-- In parallel workers; the setting has another name from PostgreSQL 16 on.
SELECT set_config(name, 'on', false) AS "parallel" FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SET ROLE regress_both;
SELECT count(*) FROM event_engine.readable_events;
RESET ROLE;
SELECT set_config(name, 'off', false) AS "parallel" FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');

-- A GRANT by hand does not show more.
GRANT SELECT ON event_engine.deliveries, event_engine.event_dead_letters, event_engine.readable_events TO regress_anna;
GRANT SELECT ON event_engine.deliveries, event_engine.event_dead_letters, event_engine.event_processing_log TO regress_both;

-- Deliveries, dead letters and the processing log: of what one may read, and of one's own subscriptions.
CREATE ROLE regress_otto LOGIN;
CALL event_engine.grant_subscribe('order.*', 'regress_otto');
CREATE SCHEMA rights AUTHORIZATION regress_otto;
SET ROLE regress_otto;
CREATE FUNCTION rights.fails(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
SELECT event_engine.subscribe('gives up', '{#}', 'rights.fails', options => '{"max_attempts": 1, "start": "beginning", "processing_log": true}') IS NOT NULL AS subscribed,
	event_engine.subscribe('retries', '{#}', 'rights.fails', options => '{"start": "beginning"}') IS NOT NULL AS subscribed;
RESET ROLE;
CREATE FUNCTION fails(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
SELECT event_engine.subscribe('of all', '{#}', 'fails', options => '{"max_attempts": 1, "start": "beginning", "processing_log": true}') IS NOT NULL AS subscribed;
SELECT event_engine.process_batch();
CREATE VIEW shown AS
	SELECT current_user AS role, 'letters' AS what, l.subscriber::text, l.event_type::text AS pattern, count(*) FROM event_engine.event_dead_letters AS l GROUP BY 2, 3, 4
	UNION ALL SELECT current_user, 'deliveries', d.subscription_number::text, (d.event).pattern, count(*) FROM event_engine.deliveries AS d GROUP BY 2, 3, 4
	UNION ALL SELECT current_user, 'log', p.subscriber, p.pattern, count(*) FROM event_engine.event_processing_log AS p GROUP BY 2, 3, 4;
ALTER VIEW shown SET (security_invoker);
GRANT SELECT ON shown TO PUBLIC;
SELECT what, count(*), sum(count) FROM shown GROUP BY 1 ORDER BY 1;
SET ROLE regress_otto;
SELECT what, pattern, subscriber LIKE 'of all' AS others, count FROM shown ORDER BY 1, 2, 3;
SET ROLE regress_anna;
SELECT what, pattern, subscriber, count FROM shown ORDER BY 1, 2, 3;
SET ROLE regress_both;
SELECT what, pattern, sum(count) FROM shown GROUP BY 1, 2 ORDER BY 1, 2;
SET ROLE regress_all;
SELECT what, count(*), sum(count) FROM shown GROUP BY 1 ORDER BY 1;
RESET ROLE;
CALL event_engine.revoke_subscribe('order.*', 'regress_otto');
GRANT SELECT ON event_engine.deliveries, event_engine.event_dead_letters, event_engine.event_processing_log TO regress_otto;
GRANT EXECUTE ON FUNCTION event_engine.may_read(text, jsonb), event_engine.has_subscribed(text, integer, text, jsonb) TO regress_otto;
SET ROLE regress_otto;
SELECT * FROM shown;
RESET ROLE;

-- Partitions are no way around.
SELECT count(*) FROM pg_inherits AS i, aclexplode((SELECT c.relacl FROM pg_class AS c WHERE c.oid = i.inhrelid)) AS a
WHERE i.inhparent = 'event_engine.events'::regclass AND a.grantee <> (SELECT relowner FROM pg_class WHERE oid = i.inhrelid);
-- Taken back.
CALL event_engine.revoke_read('#', 'regress_all');
SET ROLE regress_all;
SELECT count(*) FROM event_engine.events;
SELECT count(*) FROM event_engine.readable_events;
RESET ROLE;
SELECT event_engine.duties_of('regress_all'), event_engine.duties_of('regress_anna');
CALL event_engine.grant_duty('reader', 'regress_anna');
SET ROLE regress_anna;
SELECT count(*) FROM event_engine.events;
RESET ROLE;
CALL event_engine.revoke_read('#', 'regress_anna');
SET ROLE regress_anna;
SELECT count(*) FROM event_engine.events;
SELECT count(*) FROM event_engine.readable_events;
RESET ROLE;

\set VERBOSITY terse
SET client_min_messages = error;
DROP VIEW shown;
SELECT event_engine.unsubscribe(subscriber) IS NOT NULL AS gone FROM event_engine.subscription_list;
DROP FUNCTION fails(event_engine.event);
DROP SCHEMA rights CASCADE;
DROP OWNED BY regress_anna, regress_all, regress_acme, regress_both, regress_otto;
DROP ROLE regress_anna, regress_all, regress_acme, regress_both, regress_otto;
DROP EXTENSION event_engine;
CREATE EXTENSION event_engine;
