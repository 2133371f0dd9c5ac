-- receive_events() makes only the columns that the statement looks at, wherever it does.
SET client_min_messages = warning;
SELECT event_engine.register_event_definition('column.wanted');
SELECT event_engine.subscribe('columns', '{column.wanted}') IS NOT NULL AS subscribed;
CREATE TABLE parts (n integer, part text);
INSERT INTO parts SELECT i, 'part ' || i FROM generate_series(1, 20) AS i;
SELECT count(event_engine.publish_event('column.wanted', jsonb_build_object('n', i),
	partition_key => 'key ' || i)) FROM generate_series(1, 20) AS i;

-- in the select list, in conditions, in the order, inside expressions
SELECT payload, partition_key FROM event_engine.receive_events('columns', 1);
SELECT 1 AS one FROM event_engine.receive_events('columns', 1) WHERE partition_key = 'key 2' AND attempts = 1;
SELECT partition_key FROM event_engine.receive_events('columns', 2) ORDER BY seq DESC;
SELECT count(*), count(receipt), max(payload ->> 'n') FROM event_engine.receive_events('columns', 1);
SELECT (SELECT p.part FROM parts AS p WHERE p.n = (r.payload ->> 'n')::integer) FROM event_engine.receive_events('columns', 1) AS r;
-- nothing at all
SELECT FROM event_engine.receive_events('columns', 1);
SELECT count(*) FROM event_engine.receive_events('columns', 1);

-- the row as a whole
SELECT (r).pattern, (r).payload FROM (SELECT r FROM event_engine.receive_events('columns', 1) AS r) AS x;
SELECT r.*::text LIKE '%column.wanted%key 10%' AS whole FROM event_engine.receive_events('columns', 1) AS r;
SELECT to_jsonb(r) ->> 'partition_key' AS key FROM event_engine.receive_events('columns', 1) AS r;
SELECT num_nulls(VARIADIC ARRAY[receipt::text, attempts::text, id::text, pattern, version, "timestamp"::text, payload::text,
	created_at::text, partition_key, priority::text, created_by, seq::text]) AS missing
FROM event_engine.receive_events('columns', 1);

-- in a join, a common table expression, a subquery, a set, beside another function
SELECT p.part, r.partition_key FROM event_engine.receive_events('columns', 1) AS r JOIN parts AS p ON p.n = (r.payload ->> 'n')::integer;
WITH r AS MATERIALIZED (SELECT * FROM event_engine.receive_events('columns', 1)) SELECT r.payload, r.attempts FROM r;
SELECT x.payload FROM (SELECT payload FROM event_engine.receive_events('columns', 1) OFFSET 0) AS x;
SELECT payload FROM event_engine.receive_events('columns', 1) UNION ALL SELECT to_jsonb(part) FROM parts WHERE n = 1;
SELECT r.partition_key, r.ordinality FROM event_engine.receive_events('columns', 1) WITH ORDINALITY AS r;
SELECT r.partition_key, r.n FROM ROWS FROM (event_engine.receive_events('columns', 1), generate_series(1, 1)) AS r (receipt, attempts,
	id, event_id, pattern, version, source, "timestamp", payload, metadata, created_at, partition_key, aggregate_type,
	aggregate_version, priority, created_by, deliver_at, seq, n);
SELECT (event_engine.receive_events('columns', 1)).partition_key;
INSERT INTO parts SELECT 0, partition_key FROM event_engine.receive_events('columns', 1) RETURNING part;

-- handed out again
SELECT count(event_engine.extend_events(l.receipt, '0')) FROM (SELECT DISTINCT receipt FROM event_engine.event_leases) AS l;
SELECT count(DISTINCT partition_key), min(attempts), max(attempts) FROM event_engine.receive_events('columns', 100);

SELECT event_engine.unsubscribe('columns');
DROP TABLE parts;
DELETE FROM event_engine.event_definitions;
