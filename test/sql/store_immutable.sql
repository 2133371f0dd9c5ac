-- What is stored stays as it is, for superusers too.
\set SHOW_CONTEXT never
SELECT event_engine.register_event_definition('stone.laid');
SELECT event_engine.publish_event('stone.laid', '{"n": 1}') AS id \gset
SELECT tableoid::regclass AS partition FROM event_engine.events WHERE id = :'id' \gset
UPDATE event_engine.events SET payload = '{}' WHERE id = :'id';
UPDATE event_engine.events SET payload = '{}' WHERE false;
DELETE FROM event_engine.events WHERE id = :'id';
TRUNCATE event_engine.events;
\set VERBOSITY terse
UPDATE :partition SET payload = '{}' WHERE id = :'id';
DELETE FROM :partition;
TRUNCATE :partition;
TRUNCATE event_engine.events_default;
TRUNCATE :partition, event_engine.events_default;
\set VERBOSITY default
INSERT INTO :partition (id, pattern, payload, created_at, seq, xid, source, metadata, "timestamp", created_by, priority)
	SELECT id, pattern, '{"n": 2}', created_at, seq, xid, source, metadata, "timestamp", created_by, priority
	FROM event_engine.events WHERE id = :'id'
	ON CONFLICT (id, created_at) DO UPDATE SET payload = excluded.payload;
MERGE INTO event_engine.events e USING (SELECT :'id'::uuid AS id) s ON s.id = e.id
	WHEN MATCHED THEN DELETE;
SELECT payload FROM event_engine.events WHERE id = :'id';
