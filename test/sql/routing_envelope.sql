-- The event as handlers of jsonb and pulling clients see it.
SET timezone = 'Asia/Tokyo';
SET datestyle = 'SQL, DMY';
CREATE FUNCTION sample(payload jsonb) RETURNS event_engine.event
	LANGUAGE sql AS $$
	SELECT ROW('0198c6e0-0000-7000-8000-000000000001', 'order-1', 'order.created',
		'1.2.0', '{"type": "task", "id": "t1"}', '2026-01-02 03:04:05.678901+00',
		payload, '{"correlationId": "c1"}', '2026-01-02 03:04:06+00', 'key',
		'order', 3, 'high', 'me', '2026-02-01 00:00:00+00', 42,
		'7')::event_engine.event
$$;
SELECT jsonb_pretty(event_engine.event_envelope(sample('{"a": [1, {"b": null}], "n": 1.50}')));

-- What is null is absent; without an event_id, id serves.
SELECT event_engine.event_envelope(ROW('0198c6e0-0000-7000-8000-000000000001',
	NULL, 'a', NULL, '{}', '2026-01-02 03:04:05+00', '{}', '{}', NULL, NULL, NULL,
	NULL, NULL, NULL, NULL, NULL, NULL)::event_engine.event);
SELECT event_engine.event_envelope(ROW(NULL, NULL, NULL, NULL, NULL, t::timestamptz,
	NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
	NULL)::event_engine.event) ->> 'timestamp' AS timestamp
FROM unnest('{infinity,-infinity,0044-03-15 12:00:00+00 BC,12026-01-01 00:00:00+00}'::text[]) AS t;

-- It is jsonb like any other, whatever the payload: equal to one that the
-- server built, found by its look-ups, and stored.
CREATE TABLE envelopes AS
	SELECT n, payload, event_engine.event_envelope(sample(payload)) AS envelope,
		jsonb_build_object('id', '0198c6e0-0000-7000-8000-000000000001',
			'eventId', 'order-1', 'pattern', 'order.created', 'version', '1.2.0',
			'source', '{"type": "task", "id": "t1"}'::jsonb,
			'timestamp', '2026-01-02T03:04:05.678901Z', 'payload', payload,
			'metadata', '{"correlationId": "c1"}'::jsonb,
			'createdAt', '2026-01-02T03:04:06.000000Z', 'partitionKey', 'key',
			'aggregateType', 'order', 'aggregateVersion', 3, 'priority', 'high',
			'createdBy', 'me', 'deliverAt', '2026-02-01T00:00:00.000000Z',
			'seq', 42) AS built
	FROM unnest(ARRAY['{}', '[]', '5', '-1.5e-30', '"text"', 'true', 'false', 'null',
		'{"odd": "x"}', '[[[["deep"]]], {"k": [1.25, "y"]}]',
		(SELECT jsonb_object_agg('key ' || i, repeat('v', i)) FROM generate_series(1, 100) i)::text,
		(SELECT jsonb_agg(repeat(md5(i::text), 30)) FROM generate_series(1, 2000) i)::text
	]::jsonb[]) WITH ORDINALITY AS p (payload, n);
SELECT count(*), bool_and(envelope = built) AS equal,
	bool_and(envelope::text = built::text) AS same_text,
	bool_and(pg_column_size(envelope) = pg_column_size(built)) AS same_size,
	bool_and(envelope -> 'payload' = payload) AS payload,
	bool_and(envelope ->> 'aggregateVersion' = '3') AS last_member
FROM envelopes;
SELECT k, count(DISTINCT envelope -> k) > 0 AS found FROM envelopes,
	jsonb_object_keys(built) AS k GROUP BY k ORDER BY k;
DROP TABLE envelopes;
DROP FUNCTION sample(jsonb);
RESET timezone;
RESET datestyle;
