-- Urgent events overtake, low ones come last; each is delivered once.
SET client_min_messages = warning;
SELECT event_engine.register_event_definition('priority.event') IS NOT NULL AS ok;
SELECT event_engine.register_event_definition('priority.other') IS NOT NULL AS ok;
CREATE TABLE priority_seen (n serial, subscriber text, label text);
CREATE FUNCTION priority_see(e event_engine.event) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO priority_seen (subscriber, label) VALUES ('handler', e.payload #>> '{}') $$;
CREATE FUNCTION priority_see_batch(e event_engine.event[]) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO priority_seen (subscriber, label) SELECT 'batch', x.payload #>> '{}' FROM unnest(e) AS x $$;
CREATE FUNCTION priority_publish(label text, priority text, pattern text DEFAULT 'priority.event', key text DEFAULT NULL)
	RETURNS boolean LANGUAGE sql AS
	$$ SELECT event_engine.publish_event(pattern, to_jsonb(label), partition_key => key,
		priority => priority::event_engine.event_priority) IS NOT NULL $$;
CREATE VIEW priority_order AS
	SELECT subscriber, string_agg(label, ' ' ORDER BY n) AS seen FROM priority_seen GROUP BY 1 ORDER BY 1;

SELECT event_engine.subscribe('handler', ARRAY['priority.event'], 'priority_see') IS NOT NULL AS ok;
SELECT event_engine.subscribe('batch', ARRAY['priority.#'], 'priority_see_batch', filter => '$.payload != "unwanted"') IS NOT NULL AS ok;
SELECT event_engine.subscribe('pulled', ARRAY['priority.event']) IS NOT NULL AS ok;
SELECT event_engine.subscribe('bell', ARRAY['priority.event'], channel => 'priority') IS NOT NULL AS ok;

-- whatever the order of publishing
SELECT bool_and(priority_publish(e.label, e.priority, e.pattern)) FROM (VALUES
	('n1', 'normal', 'priority.event'), ('l1', 'low', 'priority.event'), ('h1', 'high', 'priority.event'),
	('o1', 'high', 'priority.other'), ('n2', 'normal', 'priority.event'), ('c1', 'critical', 'priority.event'),
	('unwanted', 'critical', 'priority.event'), ('h2', 'high', 'priority.event')) AS e (label, priority, pattern);
SELECT event_engine.process_batch(subscriber => 'handler') AS handler,
	event_engine.process_batch(subscriber => 'batch') AS batch;
SELECT * FROM priority_order;
SELECT event_engine.process_batch();

-- a pulling client has one class at a time, the most urgent first; low events
-- come when there are no others, and now and then before
CREATE FUNCTION priority_pull(max_events integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	given text;
	receipts uuid[];
BEGIN
	SELECT string_agg(r.payload #>> '{}', ' '), array_agg(DISTINCT r.receipt) INTO given, receipts
		FROM event_engine.receive_events('pulled', max_events) AS r;
	PERFORM event_engine.ack_events(r) FROM unnest(receipts) AS r;
	RETURN given;
END $$;
SELECT regexp_replace(string_agg(x.seen, '; ' ORDER BY x.i), '(; l1|^l1; )', '') AS in_order, bool_or(x.seen = 'l1') AS low
	FROM (SELECT i, priority_pull(10) AS seen FROM generate_series(1, 5) AS i) AS x;

-- within a class the order is that of publishing, batch by batch
SELECT event_engine.process_batch();
TRUNCATE priority_seen;
SELECT bool_and(priority_publish(left(p, 1) || i, p)) FROM generate_series(1, 3) AS i, unnest('{low, normal, high, critical}'::text[]) AS p;
SELECT event_engine.process_batch(max_events => 4, subscriber => 'handler');
SELECT event_engine.process_batch(max_events => 4, subscriber => 'handler');
SELECT event_engine.process_batch(max_events => 8, subscriber => 'handler');
SELECT * FROM priority_order;

-- what fails is retried, whatever its class
CREATE FUNCTION priority_fail(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	RAISE 'no';
END $$;
SELECT event_engine.subscribe('failing', ARRAY['priority.event'], 'priority_fail', options => '{"max_attempts": 2, "backoff_ms": 0}') IS NOT NULL AS ok;
SELECT priority_publish('f1', 'critical') AND priority_publish('f2', 'low') AND priority_publish('f3', 'normal') AS ok;
SELECT event_engine.process_batch(subscriber => 'failing');
SELECT payload, retry_count FROM event_engine.event_dead_letters WHERE subscriber = 'failing' ORDER BY seq;
SELECT delivered, failed, dead, pending, lag FROM event_engine.stat_subscriptions WHERE subscriber = 'failing';
SELECT subscriber, delivered FROM event_engine.stat_subscriptions WHERE subscriber IN ('handler', 'batch', 'bell') ORDER BY 1;

SELECT event_engine.unsubscribe(subscriber) FROM event_engine.subscriptions;
DELETE FROM event_engine.event_dead_letters;
DELETE FROM event_engine.event_definitions WHERE pattern LIKE 'priority.%';
DROP VIEW priority_order;
DROP FUNCTION priority_see, priority_see_batch, priority_publish, priority_pull, priority_fail;
DROP TABLE priority_seen;
