-- INSERT and COPY into the log pass what publish_event passes.
\set SHOW_CONTEXT never
SELECT event_engine.register_event_definition('row.order', '{
	"type": "object", "required": ["amount"],
	"properties": {"amount": {"type": "number", "minimum": 0}}}');
CREATE TABLE row_seen (n integer GENERATED ALWAYS AS IDENTITY, event event_engine.event);
CREATE FUNCTION row_see(e event_engine.event) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO public.row_seen (event) VALUES (e) $$;
SELECT event_engine.subscribe('rows', '{row.order}', 'row_see') IS NOT NULL AS ok;

INSERT INTO event_engine.events (pattern, payload) VALUES ('row.order', '{"amount": 1}')
	RETURNING id IS NOT NULL AS id, version, source ->> 'type' AS source,
		metadata = jsonb_build_object('correlationId', id) AS metadata,
		"timestamp" = created_at AS "timestamp", abs(extract(epoch FROM clock_timestamp() - created_at)) < 60 AS created_at,
		priority, created_by = current_user AS created_by, seq > 0 AS seq, xid = pg_current_xact_id() AS xid;
INSERT INTO event_engine.events (pattern, payload, event_id, "timestamp", partition_key, priority)
	SELECT 'row.order', jsonb_build_object('amount', i), 'row-' || i, '2020-01-01 00:00+00', 'k', 'low'
	FROM generate_series(2, 4) i;
COPY event_engine.events (pattern, payload, metadata, source) FROM stdin;
row.order	{"amount": 5}	{"traceId": "t"}	{"type": "task", "id": "x"}
row.order	{"amount": 6}	\N	\N
\.
SELECT event_engine.process_batch(subscriber => 'rows');
SELECT (event).payload -> 'amount' AS amount, (event).event_id, (event).partition_key, (event).priority,
	(event).source ->> 'type' AS source, (event).metadata ->> 'traceId' AS trace
	FROM row_seen ORDER BY n;

-- An identifier seen before is left out, in the same statement too.
INSERT INTO event_engine.events (pattern, payload, event_id)
	VALUES ('row.order', '{"amount": 7}', 'row-2'), ('row.order', '{"amount": 8}', 'row-8'),
		('row.order', '{"amount": 9}', 'row-8');
SELECT event_engine.process_batch(subscriber => 'rows');

-- One bad row and nothing is stored.
INSERT INTO event_engine.events (pattern, payload)
	VALUES ('row.order', '{"amount": 10}'), ('row.order', '{"amount": -10}');
COPY event_engine.events (pattern, payload) FROM stdin;
row.order	{"amount": 11}
row.order	{}
\.
INSERT INTO event_engine.events (pattern, payload) VALUES ('row.unknown', '{}');
INSERT INTO event_engine.events (pattern) VALUES ('row.order');
INSERT INTO event_engine.events (pattern, payload, source, metadata)
	VALUES ('row.order', '{"amount": -1}', '[]', '{"tags": 1}');
SELECT event_engine.process_batch(subscriber => 'rows');

-- What is assigned cannot be given, and not past the parent either.
INSERT INTO event_engine.events (pattern, payload, seq) VALUES ('row.order', '{"amount": 1}', 1);
INSERT INTO event_engine.events (pattern, payload, xid) VALUES ('row.order', '{"amount": 1}', '3');
INSERT INTO event_engine.events (pattern, payload, created_at) VALUES ('row.order', '{"amount": 1}', '2020-01-01');
INSERT INTO event_engine.events_default (pattern, payload) VALUES ('row.order', '{"amount": -1}');
CREATE ROLE regress_ee_loader;
GRANT USAGE ON SCHEMA event_engine TO regress_ee_loader;
GRANT INSERT ON event_engine.events TO regress_ee_loader;
SET ROLE regress_ee_loader;
INSERT INTO event_engine.events (id, pattern, payload, seq, xid)
	VALUES (gen_random_uuid(), 'row.order', '{"amount": 1}', 1, '3');
INSERT INTO event_engine.events (pattern, payload) VALUES ('row.order', '{"amount": 12}');
RESET ROLE;
CALL event_engine.grant_publish('row.order', 'regress_ee_loader');
SET ROLE regress_ee_loader;
INSERT INTO event_engine.events (pattern, payload) VALUES ('row.order', '{"amount": 12}');
RESET ROLE;
SELECT event_engine.process_batch(subscriber => 'rows');
SELECT (event).payload, (event).created_by, (event).source FROM row_seen ORDER BY n DESC LIMIT 1;

-- Where somebody has a trigger on the log, publish_event fires it too.
CREATE TABLE row_fired (pattern text);
CREATE FUNCTION row_fire() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN INSERT INTO public.row_fired VALUES (new.pattern); RETURN NULL; END $$;
CREATE TRIGGER row_fire AFTER INSERT ON event_engine.events FOR EACH ROW EXECUTE FUNCTION row_fire();
SELECT event_engine.publish_event('row.order', '{"amount": 13}') IS NOT NULL AS ok;
SELECT count(*) FROM event_engine.publish_events('[{"pattern": "row.order", "payload": {"amount": 14}}]');
INSERT INTO event_engine.events (pattern, payload) VALUES ('row.order', '{"amount": 15}');
DROP TRIGGER row_fire ON event_engine.events;
SELECT event_engine.publish_event('row.order', '{"amount": 16}') IS NOT NULL AS ok;
SELECT count(*) FROM row_fired;
TRUNCATE row_seen;
SELECT event_engine.process_batch(subscriber => 'rows');
SELECT (event).payload FROM row_seen ORDER BY n;

SELECT event_engine.unsubscribe('rows');
DROP FUNCTION row_fire, row_see;
DROP TABLE row_fired, row_seen;
CALL event_engine.revoke_publish('row.order', 'regress_ee_loader');
REVOKE ALL ON SCHEMA event_engine FROM regress_ee_loader;
DROP ROLE regress_ee_loader;
