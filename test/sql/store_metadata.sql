-- The shapes of source and metadata, and what is filled in.
\set SHOW_CONTEXT never
SELECT event_engine.register_event_definition('meta.a');
SELECT event_engine.register_event_definition('meta.b', source_types => '{task,workflow}');
CREATE FUNCTION meta_stored(id uuid) RETURNS event_engine.events LANGUAGE sql VOLATILE AS
	$$ SELECT * FROM event_engine.events e WHERE e.id = meta_stored.id $$;
CREATE FUNCTION meta(metadata jsonb) RETURNS jsonb LANGUAGE sql AS $$
	SELECT CASE WHEN e.metadata ->> 'correlationId' = e.id::text
		THEN e.metadata || '{"correlationId": "its own id"}' ELSE e.metadata END
	FROM meta_stored(event_engine.publish_event('meta.a', '{}', metadata => meta.metadata)) e $$;

-- As the specification has it.
SELECT meta(NULL);
SELECT meta('{}');
SELECT meta('{"correlationId": "c", "causationId": "d", "traceId": "t", "userId": "u",
	"context": {"type": "client", "id": "9"}, "tags": {"deep": {"er": [1]}}, "hops": 0}');
SELECT meta('{"userId": 42, "context": {"type": "global"}}');

-- What is not, all at once.
SELECT meta('[]');
SELECT meta('"text"');
SELECT meta('{"correlationId": 1, "causationId": "", "traceId": null, "userId": true, "context": {"type": "all", "x": 1},
	"tags": [], "hops": -1, "free": 1}');
SELECT meta('{"context": {}}');
SELECT meta('{"context": "client", "hops": 1.5}');
SELECT meta('{"hops": 99999999999}');

-- The source.
SELECT (meta_stored(event_engine.publish_event('meta.a', '{}', source => s::jsonb))).source
	FROM unnest('{"{\"type\": \"workflow\", \"id\": \"w\"}", "{\"type\": \"external\", \"id\": \"x\", \"name\": \"X\"}"}'::text[]) s;
SELECT event_engine.publish_event('meta.a', '{}', source => '{"type": "cron", "name": 1, "host": "h"}');
SELECT event_engine.publish_event('meta.a', '{}', source => '"me"');
-- what indexes keep is bounded, and shown by its beginning
SELECT event_engine.publish_event('meta.a', '{}', metadata => jsonb_build_object('correlationId', m)) IS NOT NULL AS ok
	FROM repeat('é', 255) m;
SELECT event_engine.publish_event('meta.a', '{}', metadata => jsonb_build_object('correlationId', 'x' || m,
		'causationId', '', 'tags', jsonb_build_object('tenant', m || 'é')))
	FROM repeat('é', 255) m;
SELECT event_engine.publish_event('meta.a', '{}', metadata => '{"tags": {"tenant": ""}}');
SELECT event_engine.publish_event('meta.b', '{}', source => '{"type": "task", "id": "x"}') IS NOT NULL AS ok;
SELECT event_engine.publish_event('meta.b', '{}', source => '{"type": "integration", "id": "x"}');
-- the default one has to be among them as well
SELECT event_engine.publish_event('meta.b', '{}');

-- Who publishes from within a handler carries on.
CREATE FUNCTION meta_answer(e event_engine.event) RETURNS void LANGUAGE sql AS $$
	SELECT event_engine.publish_event('meta.b', jsonb_build_object('cause', e.id),
		source => '{"type": "task", "id": "x"}', metadata => e.payload) $$;
SELECT event_engine.subscribe('meta answer', '{meta.a}', 'meta_answer',
	options => '{"max_attempts": 1}') IS NOT NULL AS ok;
SELECT event_engine.publish_event('meta.a', p::jsonb, metadata => m::jsonb) IS NOT NULL AS ok
	FROM (VALUES ('{}', '{"correlationId": "one"}'),
		('{"correlationId": "mine", "causationId": "also", "hops": 0}', '{"correlationId": "two", "hops": 3}'),
		('{"tags": {}}', '{"correlationId": "three", "hops": 32}')) v (p, m);
SELECT event_engine.process_batch(subscriber => 'meta answer');
SELECT c.metadata ->> 'correlationId' AS cause, e.metadata ->> 'correlationId' AS correlation,
	CASE e.metadata ->> 'causationId' WHEN c.id::text THEN 'the cause' ELSE e.metadata ->> 'causationId' END AS causation,
	e.metadata -> 'hops' AS hops
	FROM event_engine.events e JOIN event_engine.events c ON c.id = (e.payload ->> 'cause')::uuid
	WHERE e.pattern = 'meta.b' ORDER BY e.seq;
-- a loop ends as a dead letter
SELECT error_message, error_details ->> 'sqlstate' AS sqlstate FROM event_engine.event_dead_letters
	WHERE subscriber = 'meta answer';
SELECT event_engine.unsubscribe('meta answer');
DELETE FROM event_engine.event_dead_letters WHERE subscriber = 'meta answer';
DROP FUNCTION meta, meta_stored, meta_answer;
