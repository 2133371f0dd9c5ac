-- Publish, and what a subscriber is given; process_batch() delivers, as the
-- library is not preloaded here.
\set SHOW_CONTEXT never
SELECT event_engine.register_event_definition('store.order.placed', '{
	"type": "object", "required": ["amount"],
	"properties": {"amount": {"type": "number", "minimum": 0}}}');
SELECT event_engine.register_event_definition('store.order.paid');
CREATE TABLE store_seen (n integer GENERATED ALWAYS AS IDENTITY, subscriber text,
	event event_engine.event);
CREATE FUNCTION store_see(e event_engine.event) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO public.store_seen (subscriber, event) VALUES ('one', e) $$;
CREATE FUNCTION store_see_all(e event_engine.event[]) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO public.store_seen (subscriber, event) SELECT 'many', u FROM unnest(e) u $$;
SELECT event_engine.subscribe('store one', '{store.order.placed}', 'store_see') IS NOT NULL AS ok;
SELECT event_engine.subscribe('store many', '{store.#}', 'store_see_all') IS NOT NULL AS ok;

-- Every column that a publisher may give.
SELECT event_engine.publish_event('store.order.placed', '{"amount": 12.50}',
	metadata => '{"correlationId": "c1", "userId": 7, "tags": {"a": "b"}}',
	source => '{"type": "integration", "id": "shop", "name": "The shop"}',
	event_id => 'store-order-1', "timestamp" => '2020-02-29 12:00:00.123456+00',
	partition_key => 'customer 7', aggregate_type => 'order', aggregate_version => 3,
	priority => 'high') AS id \gset
-- None of them.
SELECT event_engine.publish_event('store.order.paid', '{}') AS other_id \gset
SELECT event_engine.process_batch(subscriber => 'store one') AS one,
	event_engine.process_batch(subscriber => 'store many') AS many;
SELECT (event).id = :'id' AS same_id, (event).event_id, (event).pattern, (event).version, (event).source,
	(event)."timestamp" = '2020-02-29 12:00:00.123456+00' AS same_time, (event).payload, (event).metadata,
	(event).partition_key, (event).aggregate_type, (event).aggregate_version, (event).priority,
	(event).created_by = current_user AS by_me, (event).deliver_at
	FROM store_seen WHERE subscriber = 'one' \gx
SELECT (event).id = :'other_id' AS same_id, (event).event_id, (event).version,
	(event).source = jsonb_build_object('type', 'external', 'id', current_user) AS source_is_me,
	(event)."timestamp" = (event).created_at AS when_it_arrived,
	(event).metadata = jsonb_build_object('correlationId', :'other_id') AS starts_a_correlation,
	(event).partition_key, (event).priority
	FROM store_seen WHERE n = (SELECT max(n) FROM store_seen) \gx
-- What a handler gets is what is stored, and the log is in order.
SELECT count(*) AS differing FROM store_seen s JOIN event_engine.events e ON e.id = (s.event).id
	WHERE to_jsonb(s.event) IS DISTINCT FROM to_jsonb(e);
SELECT subscriber, array_agg((event).pattern ORDER BY n) FROM store_seen GROUP BY 1 ORDER BY 1;
-- The identifier is of version 7 and of the time of arrival.
SELECT substr(id::text, 15, 1) AS version,
	abs(('x' || translate(left(id::text, 13), '-', ''))::bit(48)::bigint
		- extract(epoch FROM created_at) * 1000) < 1 AS of_the_time
	FROM event_engine.events WHERE id = :'id';

-- Many at once keep their order, and so do their identifiers.
TRUNCATE store_seen;
SELECT count(*) AS ids, count(DISTINCT id) AS different FROM event_engine.publish_events(
	(SELECT jsonb_agg(jsonb_build_object('pattern', 'store.order.placed',
		'payload', jsonb_build_object('amount', i), 'eventId', 'store-many-' || i,
		'timestamp', '2020-01-01T00:00:00Z', 'partitionKey', 'k', 'priority', 'low',
		'aggregateType', 'order', 'aggregateVersion', i, 'metadata', '{"traceId": "t"}'::jsonb,
		'source', '{"type": "task", "id": "x"}'::jsonb) ORDER BY i)
	FROM generate_series(1, 2500) i)) AS id;
SELECT event_engine.process_batch(1700, 'store one') AS some,
	event_engine.process_batch(1000000, 'store one') AS rest,
	event_engine.process_batch(1000000, 'store one') AS none,
	event_engine.process_batch(1000000, 'store many') AS many;
SELECT subscriber, count(*), count(DISTINCT (event).seq),
	bool_and((event).aggregate_version = nth) AS in_order,
	bool_and((event).metadata ->> 'correlationId' = (event).id::text AND (event).metadata ->> 'traceId' = 't') AS completed
	FROM (SELECT *, row_number() OVER (PARTITION BY subscriber ORDER BY n) AS nth FROM store_seen) s
	GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM event_engine.publish_events('[]');
SELECT count(*) FROM event_engine.publish_events(NULL);

-- A savepoint that is rolled back takes its events along, a transaction too.
TRUNCATE store_seen;
BEGIN;
SELECT event_engine.publish_event('store.order.placed', '{"amount": 1}') IS NOT NULL AS ok;
SAVEPOINT s;
SELECT event_engine.publish_event('store.order.placed', '{"amount": 2}') IS NOT NULL AS ok;
ROLLBACK TO s;
SELECT event_engine.publish_event('store.order.placed', '{"amount": 3}') IS NOT NULL AS ok;
-- what is not committed is nobody's yet, its own session's included
SELECT event_engine.process_batch(subscriber => 'store one');
COMMIT;
BEGIN;
SELECT event_engine.publish_event('store.order.placed', '{"amount": 4}') IS NOT NULL AS ok;
ROLLBACK;
SELECT event_engine.process_batch(subscriber => 'store one');
SELECT (event).payload FROM store_seen ORDER BY n;

-- So does process_batch: what it delivered is delivered again.
BEGIN;
SELECT event_engine.process_batch(subscriber => 'store many');
ROLLBACK;
SELECT event_engine.process_batch(subscriber => 'store many');

-- What is refused, all of it at once, and nothing stored.
SELECT max(seq) AS before FROM event_engine.events \gset
SELECT event_engine.publish_event('store.order.placed', '{"amount": -1}');
SELECT event_engine.publish_event('store.order.unknown', '{}');
SELECT event_engine.publish_event('store.order.placed', '{"amount": 1}', version => '9.0.0');
SELECT event_engine.publish_event('store.order.placed', NULL);
SELECT event_engine.publish_event(NULL, '{}');
SELECT event_engine.publish_event('store.order.placed', '{"amount": "x"}', event_id => '',
	partition_key => repeat('k', 256), source => '{"type": "cron"}', metadata => '{"who": 1}');
SELECT event_engine.publish_events('[{"pattern": "store.order.paid", "payload": {}},
	{"pattern": "store.order.placed", "payload": {}, "colour": "red"},
	{"pattern": "store.order.placed", "payload": {"amount": -2}, "priority": 1},
	{"payload": {}}, 7, {"pattern": "store.order.placed", "payload": {"amount": -3}}]');
SELECT event_engine.publish_events('{"pattern": "store.order.paid", "payload": {}}');
SELECT event_engine.publish_events('[{"pattern": "store.order.paid", "payload": {}, "priority": "urgent"}]');
SELECT event_engine.publish_events('[{"pattern": "store.order.paid", "payload": {}, "timestamp": "soon"}]');
SET event_engine.store_max_payload = '1kB';
SELECT event_engine.publish_event('store.order.paid', jsonb_build_object('x', repeat('x', 2000)));
RESET event_engine.store_max_payload;
SELECT count(*) AS stored FROM event_engine.events WHERE seq > :before;

-- Not delivered before its time; then by a retry round.
TRUNCATE store_seen;
SELECT event_engine.publish_event('store.order.placed', '{"amount": 1}', deliver_at => now() + interval '1 hour') IS NOT NULL AS ok;
SELECT event_engine.publish_event('store.order.placed', '{"amount": 2}', deliver_at => now() - interval '1 hour') IS NOT NULL AS ok;
SELECT event_engine.process_batch(subscriber => 'store one');
SELECT d.status, attempts, (event).payload FROM event_engine.deliveries d
	JOIN event_engine.subscriptions s ON s.number = d.subscription_number WHERE s.subscriber = 'store one';
UPDATE event_engine.deliveries SET next_attempt_at = now();
SELECT event_engine.process_batch(subscriber => 'store one');
SELECT event_engine.process_batch(subscriber => 'store one');
SELECT (event).payload FROM store_seen ORDER BY n;

-- Publishing needs a transaction that may write.
BEGIN READ ONLY;
SELECT event_engine.publish_event('store.order.paid', '{}');
ROLLBACK;
-- A query over the log may publish.
SELECT count(event_engine.publish_event('store.order.paid', payload)) FROM event_engine.events
	WHERE event_id = 'store-order-1';

SELECT event_engine.unsubscribe('store one'), event_engine.unsubscribe('store many');
DROP FUNCTION store_see, store_see_all;
DROP TABLE store_seen;
