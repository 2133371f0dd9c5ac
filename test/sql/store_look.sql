-- Looking at events: one, a page, what belongs together, how many.
\set SHOW_CONTEXT never
DROP EXTENSION event_engine;
CREATE EXTENSION event_engine;
SELECT event_engine.run_maintenance();
SELECT event_engine.register_event_definition(p) AS registered
FROM unnest('{order.placed,order.paid,order.line.added,mail.sent}'::text[]) AS p;
CREATE TEMP TABLE published AS
SELECT i, event_engine.publish_event(
	(ARRAY['order.placed', 'order.paid', 'order.line.added', 'mail.sent'])[1 + i % 4],
	jsonb_build_object('i', i),
	metadata => jsonb_build_object('correlationId', 'c' || i % 3,
		'tags', jsonb_build_object('batch', i / 10)),
	source => jsonb_build_object('type', CASE WHEN i % 2 = 0 THEN 'task' ELSE 'integration' END, 'id', 's' || i % 5),
	event_id => CASE WHEN i < 3 THEN 'mine-' || i END,
	partition_key => 'k' || i % 2) AS id
FROM generate_series(1, 20) AS i;

-- One, by its id.
SELECT (event_engine.get_event(id)).pattern, i FROM published WHERE i IN (3, 20) ORDER BY i;
SELECT count(*) FROM event_engine.get_event('0198c6e0-0000-7000-8000-000000000001');
SELECT count(*) FROM event_engine.get_event(gen_random_uuid());
SELECT count(*) FROM event_engine.get_event(NULL);
-- The id's time is that of its arrival, to the microsecond or so.
SELECT count(*) AS ids, bool_and(abs(extract(epoch FROM
	event_engine.event_time(e.id) - e.created_at)) < 0.001) AS near
FROM event_engine.events AS e;
SELECT event_engine.event_time(gen_random_uuid()) IS NULL AS other_version;
-- Only the partition of that time is opened (and at midnight its neighbour).
DO $$ BEGIN PERFORM event_engine.run_maintenance(); END $$;
CREATE FUNCTION partitions_read(id uuid) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) SELECT * FROM event_engine.events WHERE id = $1
		AND created_at BETWEEN $2 - $3 AND $2 + $3'
		INTO plan USING id, event_engine.event_time(id), '2 s'::interval;
	RETURN (SELECT count(*) FROM regexp_matches(plan::text, '"Relation Name"', 'g'));
END $$;
SELECT partitions_read(id) <= 2 AS few, (SELECT count(*) > 2 FROM event_engine.event_partitions) AS of_many
FROM published WHERE i = 1;

-- A page, newest first, and the next one.
SELECT payload ->> 'i' AS i, pattern FROM event_engine.list_events(max_events => 3);
SELECT payload ->> 'i' AS i, pattern FROM event_engine.list_events(max_events => 3,
	before_seq => (SELECT min(seq) FROM event_engine.list_events(max_events => 3)));
-- In the order of the log.
SELECT payload ->> 'i' AS i, pattern FROM event_engine.list_events(max_events => 3, after_seq => 0);
-- All that it can be asked for.
SELECT payload ->> 'i' AS i FROM event_engine.list_events('order.paid');
SELECT payload ->> 'i' AS i, pattern FROM event_engine.list_events('order.*', max_events => 3);
SELECT count(*) FROM event_engine.list_events('order.#');
SELECT count(*) FROM event_engine.list_events('nothing.#');
SELECT payload ->> 'i' AS i FROM event_engine.list_events(source_type => 'task', max_events => 2);
SELECT payload ->> 'i' AS i FROM event_engine.list_events(source_type => 'task', source => '{"id": "s0"}');
SELECT payload ->> 'i' AS i FROM event_engine.list_events(metadata => '{"tags": {"batch": 2}}');
SELECT payload ->> 'i' AS i FROM event_engine.list_events(event_id => 'mine-2');
SELECT count(*) FROM event_engine.list_events(correlation_id => 'c1', partition_key => 'k1', pattern => 'order.*');
SELECT count(*) FROM event_engine.list_events(since => clock_timestamp());
SELECT count(*) FROM event_engine.list_events(
	since => (SELECT created_at FROM event_engine.events WHERE payload @> '{"i": 5}'),
	until => (SELECT created_at FROM event_engine.events WHERE payload @> '{"i": 9}'));
SELECT event_engine.list_events(max_events => 0);
SELECT event_engine.list_events(before_seq => 1, after_seq => 1);
SELECT event_engine.list_events('order.*paid');

-- What belongs together.
DO $$
DECLARE
	placed uuid := event_engine.publish_event('order.placed', '{"n": 1}',
		'{"correlationId": "trace"}', event_id => 'placed-1');
	paid uuid := event_engine.publish_event('order.paid', '{"n": 2}',
		jsonb_build_object('correlationId', 'trace', 'causationId', placed));
BEGIN
	PERFORM event_engine.publish_event('mail.sent', '{"n": 3}',
		'{"correlationId": "trace", "causationId": "placed-1"}');
	PERFORM event_engine.publish_event('mail.sent', '{"n": 4}',
		jsonb_build_object('correlationId', 'trace', 'causationId', paid));
	PERFORM event_engine.publish_event('order.line.added', '{"n": 5}',
		'{"correlationId": "trace", "causationId": "elsewhere"}');
	PERFORM event_engine.publish_event('mail.sent', '{"n": 6}',
		'{"correlationId": "trace", "causationId": "ring-2"}', event_id => 'ring-1');
	PERFORM event_engine.publish_event('mail.sent', '{"n": 7}',
		'{"correlationId": "trace", "causationId": "ring-1"}', event_id => 'ring-2');
END $$;
SELECT depth, tree, payload, caused_by IS NOT NULL AS caused, elapsed >= '0' AS later
FROM event_engine.trace_events('trace');
SELECT depth, payload FROM event_engine.trace_events('trace', 2);
SELECT count(*) FROM event_engine.trace_events('unknown');

SELECT pattern, events, first_at <= last_at AS ordered FROM event_engine.event_counts();
SELECT * FROM event_engine.event_counts(until => clock_timestamp() - interval '1 hour');
DROP FUNCTION partitions_read(uuid);
DROP EXTENSION event_engine;
CREATE EXTENSION event_engine;
